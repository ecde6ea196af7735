// Package source is what advisories.sources says of the sources that advisory data is
// composed of, besides Trivy's database: where each comes from, what it is called, and
// which of several decides.
package source

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/scanner/advisory/composition"
	"github.com/digestgate/digestgate/scanner/advisory/download"
)

// Kind is where a source comes from.
type Kind string

// The kinds.
const (
	Path       Kind = "path"       // of this machine
	Repository Kind = "repository" // an OCI repository
	Feed       Kind = "feed"       // a file that is served over HTTP
)

// Config is an element of advisories.sources. Exactly one of Path, Repository and Feed is
// set.
type Config struct {
	// Name is what findings, the status and metrics call it: lower-case letters, digits,
	// hyphens and dots, at most 40. "trivy-db" is the database of
	// advisories.repositories or advisories.path.
	Name string `yaml:"name"`
	// Path is a directory with a database, a bundle of "advisories export", or a
	// directory with files of the formats that "advisories build" reads. It is the same
	// on each machine that has the role.
	Path string `yaml:"path"`
	// Repository is an OCI repository with a database, as in advisories.repositories.
	Repository string `yaml:"repository"`
	// Feed is the URL of a file of a format that "advisories build" reads, or of a
	// repomd.xml, whose updateinfo is downloaded.
	Feed string `yaml:"feed"`
	// Username and PasswordFile are credentials for the repository or the feed; both or
	// none. CAFile has PEM certificates that are trusted besides the system's.
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
	CAFile       string `yaml:"caFile"`
	// Insecure accepts any certificate of the repository; see advisories.repositories.
	Insecure bool `yaml:"insecure"`
	// Keys are files with public keys that the artifact of the repository, or the bundle,
	// must be signed by. A bundle of a source without keys must be signed by those of
	// advisories.keys, if there are any.
	Keys []string `yaml:"keys"`
	// SHA256 is the checksum that the bundle or the feed must have: 64 hexadecimal
	// digits, or, for a feed, the URL of a file that begins with them.
	SHA256 string `yaml:"sha256"`
	// Distribution and Release say what a feed is about whose format does not tell it,
	// as feed.yaml does for "advisories build".
	Distribution string `yaml:"distribution"`
	Release      string `yaml:"release"`
	// Epochs says whether the versions of a feed have epochs where packages have some; with
	// false they are compared without.
	Epochs bool `yaml:"epochs"`
	// Priority says which source decides where two speak of one vulnerability in one
	// package otherwise: the lower number. trivy-db has 0. Sources of one number decide
	// in the order in which they are written.
	Priority int `yaml:"priority"`
	// Replaces are buckets ("debian 12") and ecosystems ("debian", "npm") in which the
	// sources that decide after this one do not count at all.
	Replaces []string `yaml:"replaces"`
	// Licence is a note on the terms of the data, shown with it.
	Licence string `yaml:"licence"`
	// MaxAge is the age from which the data of this source counts as stale; 0 is
	// advisories.maxAge.
	MaxAge time.Duration `yaml:"maxAge"`
}

// DefaultPriority is that of a source which names none: after trivy-db.
const DefaultPriority = 100

// Default is an element of the list when nothing but what is required is written.
func Default() Config {
	return Config{Priority: DefaultPriority, Epochs: true, Keys: []string{}, Replaces: []string{}}
}

// SetDefaults implements the defaults of the keys of an element.
func (c *Config) SetDefaults() { *c = Default() }

// Kind is where it comes from; "" for an element that is not valid.
func (c Config) Kind() Kind {
	switch {
	case c.Path != "":
		return Path
	case c.Repository != "":
		return Repository
	case c.Feed != "":
		return Feed
	}
	return ""
}

// Where is the path, the repository or the URL, for people.
func (c Config) Where() string { return c.Path + c.Repository + withoutQuery(c.Feed) }

// withoutQuery leaves out what may be a secret.
func withoutQuery(feed string) string {
	before, _, _ := strings.Cut(feed, "?")
	return before
}

// Mirror is the repository as advisories.repositories has one.
func (c Config) Mirror() download.Repository {
	return download.Repository{
		Repository: c.Repository, Username: c.Username, PasswordFile: c.PasswordFile, CAFile: c.CAFile, Insecure: c.Insecure, Own: true,
	}
}

// Bounds of what is written.
const (
	maxSources  = 50
	maxLicence  = 200
	maxReplaces = 200
	maxPriority = 1_000_000
)

// Validate reports every problem of the list at once, each line with its key, such as
// "sources[2].feed".
func Validate(list []Config) []error {
	var errs []error
	if len(list) > maxSources {
		errs = append(errs, fmt.Errorf("sources: got %d, want at most %d", len(list), maxSources))
	}
	names := map[string]int{gate.SourceTrivyDB: -1}
	for i, c := range list {
		bad := func(key, format string, args ...any) {
			errs = append(errs, fmt.Errorf("sources[%d].%s: "+format, append([]any{i, key}, args...)...))
		}
		first, taken := names[c.Name]
		switch {
		case !composition.NamePattern.MatchString(c.Name):
			bad("name", "got %s, want lower-case letters, digits, hyphens and dots, at most 40", gate.Quoted(c.Name, 60))
		case taken && first < 0:
			bad("name", "got %q, which is the database of advisories.repositories or advisories.path; choose another name", c.Name)
		case taken:
			bad("name", "got %q, which sources[%d] has; choose another name", c.Name, first)
		default:
			names[c.Name] = i
		}
		c.validate(bad)
	}
	return errs
}

func (c Config) validate(bad func(key, format string, args ...any)) {
	set := 0
	for _, v := range []string{c.Path, c.Repository, c.Feed} {
		if v != "" {
			set++
		}
	}
	if set != 1 {
		bad("name", "%q names %d of path, repository and feed, want one", c.Name, set)
		return
	}
	c.validateOrigin(bad)
	switch {
	case c.Priority < -maxPriority || c.Priority > maxPriority:
		bad("priority", "got %d, want a number between %d and %d", c.Priority, -maxPriority, maxPriority)
	case len(c.Licence) > maxLicence:
		bad("licence", "got %d bytes, want at most %d", len(c.Licence), maxLicence)
	case len(c.Replaces) > maxReplaces:
		bad("replaces", "got %d entries, want at most %d", len(c.Replaces), maxReplaces)
	case slices.ContainsFunc(c.Replaces, func(s string) bool { return strings.TrimSpace(s) == "" }):
		bad("replaces", "an entry is empty, want a bucket (debian 12) or an ecosystem (debian, npm)")
	}
	if c.MaxAge < 0 {
		bad("maxAge", "got %v, want 0 (that of advisories.maxAge) or more", c.MaxAge)
	}
}

func (c Config) validateOrigin(bad func(key, format string, args ...any)) {
	kind := c.Kind()
	if kind != Feed && (c.Distribution != "" || c.Release != "" || !c.Epochs) {
		bad("distribution", "distribution, release and epochs are for a feed; a path has a feed.yaml beside its files, a database names its buckets itself")
	}
	if c.Distribution == "" && c.Release != "" {
		bad("release", "got %q without distribution; write both", c.Release)
	}
	if kind == Feed && len(c.Keys) > 0 || kind != Repository && c.Insecure {
		bad("keys", "only a repository or a bundle has keys, and only a repository has insecure; leave them out")
	}
	if kind == Path && (c.Username != "" || c.PasswordFile != "" || c.CAFile != "") {
		bad("username", "credentials and certificates are for a repository or a feed")
	}
	if (c.Username == "") != (c.PasswordFile == "") {
		bad("username", "username and passwordFile go together")
	}
	switch kind {
	case Path:
		if !filepath.IsAbs(c.Path) {
			bad("path", "got %s, want an absolute path", gate.Quoted(c.Path, 200))
		}
		if err := download.CheckKeys(c.Keys); err != nil {
			bad("keys", "%v", err)
		}
	case Repository:
		if err := c.Mirror().Validate(); err != nil {
			bad("repository", "%v", err)
		}
		if err := download.CheckKeys(c.Keys); err != nil {
			bad("keys", "%v", err)
		}
	case Feed:
		if err := CheckURL(c.Feed); err != nil {
			bad("feed", "%v", err)
		}
	}
	switch {
	case c.SHA256 == "":
	case kind == Repository:
		bad("sha256", "a repository is checked by keys; write REPOSITORY@sha256:DIGEST to pin one artifact")
	case kind == Feed && strings.Contains(c.SHA256, "://"):
		if err := CheckURL(c.SHA256); err != nil {
			bad("sha256", "%v", err)
		}
	case !IsSum(c.SHA256):
		bad("sha256", "got %s, want 64 hexadecimal digits, or for a feed a URL", gate.Quoted(c.SHA256, 100))
	}
}

// IsSum reports whether s is a SHA-256 in hexadecimal digits.
func IsSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// CheckURL says why a URL cannot be the place of a feed; nil when it can.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("got %s, want a URL with https or http", gate.Quoted(withoutQuery(s), 200))
	case u.User != nil:
		return errors.New("the URL has credentials in it; write username and passwordFile")
	case outbound.Never(u.Host) != "":
		return fmt.Errorf("got %s, %s", gate.Quoted(u.Host, 200), outbound.Never(u.Host))
	}
	return nil
}

// Ordered are the sources with trivy-db among them, if it is one, in the order in which
// they decide.
func Ordered(list []Config, trivyDB bool) []Config {
	all := slices.Clone(list)
	if trivyDB {
		all = slices.Insert(all, 0, Config{Name: gate.SourceTrivyDB})
	}
	slices.SortStableFunc(all, func(a, b Config) int { return a.Priority - b.Priority })
	return all
}
