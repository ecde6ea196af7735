package registry

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate"
)

// Config is one registry as the pulling side sees it: a part of an entry of
// the configuration's list "registries". cmd adds the parts of webhooks and
// synchronisation.
type Config struct {
	// Name identifies the registry in paths, locations and policies. It must
	// not change while records name it.
	Name string `yaml:"name"`
	// Type is the product or service, one of Types.
	Type string `yaml:"type"`
	// Host is where images are pulled, "host" or "host:port". docker.io stands
	// for Docker Hub, as in references. Every request goes to it.
	Host string `yaml:"host"`
	// Aliases are other hosts that references and payloads may name for the
	// same registry; nothing is pulled from them.
	Aliases []string `yaml:"aliases"`
	// TokenHosts are the hosts, besides Host and Aliases, at which a token
	// may be asked for; credentials go to them.
	TokenHosts []string `yaml:"tokenHosts"`
	// BlobHosts are the hosts in private networks to which blob requests may
	// be redirected, without credentials. Public ones need no entry: what they
	// serve is checked against its digest.
	BlobHosts []string `yaml:"blobHosts"`
	// Region is the cloud region, where the type needs one.
	Region string `yaml:"region"`
	// Username and PasswordFile are the credentials; both or none. The file is
	// read at each use, so that a rotated secret needs no restart.
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
	// Credentials are those that a docker configuration or a credential helper
	// keeps, instead of Username and PasswordFile.
	Credentials CredentialsConfig `yaml:"credentials"`
	// CAFile holds PEM certificates that are trusted in addition to the
	// system's. It is read again within a second of a change; an unusable one
	// leaves the last in force.
	CAFile string `yaml:"caFile"`
	// InsecureSkipVerify accepts any certificate. Content asked for by digest
	// is still checked; credentials and tags are not safe.
	InsecureSkipVerify bool `yaml:"insecureSkipVerify"`
	// PlainHTTP uses http and nothing else. Without it every request is
	// https, also to loopback and private addresses.
	PlainHTTP bool `yaml:"plainHTTP"`
	// PullsPerHour is the number of analyses started in 60 minutes; 0 is
	// unlimited. Any number works.
	PullsPerHour int `yaml:"pullsPerHour"`
	// Concurrency is the number of jobs of this registry that run at once over
	// all workers; 0 is unlimited.
	Concurrency int `yaml:"concurrency"`
	// Include and Exclude are doublestar patterns over repositories that limit
	// push and sync. An empty Include takes everything; Exclude wins.
	Include []string `yaml:"include"`
	Exclude []string `yaml:"exclude"`
}

// Types lists the values of Config.Type.
func Types() []string {
	return []string{
		"harbor", "harbor-v1", "jfrog", "swr", "tcr", "acr", "quay", "ecr", "azure", "dockerhub",
		"distribution", "gar", "ghcr", "gitlab", "zot", "cloudevents",
	}
}

// DefaultConfig is an entry before the file is read: four jobs at once.
func DefaultConfig() Config { return Config{Concurrency: 4} }

// Registry is what the pipeline needs of the entry.
func (c Config) Registry() gate.Registry {
	aliases := make([]string, len(c.Aliases))
	for i, a := range c.Aliases {
		aliases[i] = gate.CanonicalHost(a)
	}
	return gate.Registry{
		Name: c.Name, Type: c.Type, Host: gate.CanonicalHost(c.Host), Aliases: aliases,
		Include: c.Include, Exclude: c.Exclude,
		Limits: gate.Limits{Concurrency: c.Concurrency, PullsPerHour: c.PullsPerHour},
	}
}

// namePattern keeps names fit for URL paths and storage keys.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Validate reports every problem at once, each line with its key; all wrap
// gate.ErrInvalid. It reads the files that the entry names.
func (c Config) Validate() error {
	var errs []error
	report := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w: %w", key, fmt.Errorf(format, args...), gate.ErrInvalid))
	}
	if !namePattern.MatchString(c.Name) {
		report("name", "%s is not a name (want lower-case letters, digits, '.', '_' and '-', at most 63)", gate.Quoted(c.Name, 80))
	}
	if !slices.Contains(Types(), c.Type) {
		report("type", "%s is unknown (want one of %s)", gate.Quoted(c.Type, 40), strings.Join(Types(), ", "))
	}
	if err := checkHost(c.Host); err != nil {
		report("host", "%w", err)
	}
	for key, hosts := range map[string][]string{"aliases": c.Aliases, "tokenHosts": c.TokenHosts, "blobHosts": c.BlobHosts} {
		for i, h := range hosts {
			if err := checkHost(h); err != nil {
				report(fmt.Sprintf("%s[%d]", key, i), "%w", err)
			}
		}
	}
	for key, patterns := range map[string][]string{"include": c.Include, "exclude": c.Exclude} {
		for i, p := range patterns {
			if p == "" || !doublestar.ValidatePattern(p) {
				report(fmt.Sprintf("%s[%d]", key, i), "pattern %s is malformed", gate.Quoted(p, 80))
			}
		}
	}
	if c.PullsPerHour < 0 {
		report("pullsPerHour", "%d is negative (0 is unlimited)", c.PullsPerHour)
	}
	if c.Concurrency < 0 {
		report("concurrency", "%d is negative (0 is unlimited)", c.Concurrency)
	}
	c.validateFiles(report)
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func (c Config) validateFiles(report func(key, format string, args ...any)) {
	switch {
	case c.Username != "" && c.PasswordFile == "":
		report("passwordFile", "is required with username")
	case c.Username == "" && c.PasswordFile != "":
		report("username", "is required with passwordFile")
	case strings.Contains(c.Username, ":"):
		report("username", "must not contain a colon")
	}
	if c.PasswordFile != "" {
		if _, err := readPassword(c.PasswordFile); err != nil {
			report("passwordFile", "%w", err)
		}
	}
	c.validateCredentials(report)
	if c.CAFile != "" {
		if _, _, err := readCAs(c.CAFile); err != nil {
			report("caFile", "%w", err)
		}
	}
	if c.PlainHTTP && (c.CAFile != "" || c.InsecureSkipVerify) {
		report("plainHTTP", "excludes caFile and insecureSkipVerify")
	}
}

func (c Config) validateCredentials(report func(key, format string, args ...any)) {
	file, helper := c.Credentials.DockerConfig, c.Credentials.Helper
	ways := 0
	for _, set := range []bool{c.Username != "", file != "", helper != ""} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		report("credentials", "username, credentials.dockerConfig and credentials.helper exclude each other; keep one")
	}
	if file != "" {
		if _, _, err := readDockerConfig(file, c.Host, ""); err != nil {
			report("credentials.dockerConfig", "%w", err)
		}
	}
	if helper != "" {
		if err := checkHelper(helper); err != nil {
			report("credentials.helper", "%w", err)
		}
	}
}
