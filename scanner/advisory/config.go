package advisory

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/scanner/advisory/source"
	tables "github.com/digestgate/digestgate/scanner/joined"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// StaleAction is what happens to an image when the advisory data is older than
// maxAge.
type StaleAction string

// The values of advisories.stale.
const (
	StaleAllow StaleAction = "allow"
	StaleWarn  StaleAction = "warn"
	StaleDeny  StaleAction = "deny"
)

// Config is the part "advisories" of the configuration.
type Config struct {
	// Path is a directory with trivy.db and metadata.json, or a symbolic link
	// to one. It is watched; "" means that no local data is used.
	Path string `yaml:"path"`
	// Repositories are OCI repositories of the database, tried in order when Path is "".
	Repositories []download.Repository `yaml:"repositories"`
	// Sources are composed with that database, see docs/advisories.md.
	Sources []source.Config `yaml:"sources"`
	// Refresh is how often repositories are asked for new data.
	Refresh time.Duration `yaml:"refresh"`
	// MaxAge is the age from which the data counts as stale; 0 means never.
	MaxAge time.Duration `yaml:"maxAge"`
	// RefuseAge is the age from which every image is refused, whatever Stale says; 0 means
	// never.
	RefuseAge time.Duration `yaml:"refuseAge"`
	// FullSweepEvery is how often every stored image is matched, also those of which new
	// data changed nothing; 0 is never.
	FullSweepEvery time.Duration `yaml:"fullSweepEvery"`
	// Stale says what stale data means for a decision.
	Stale StaleAction `yaml:"stale"`
	// SweepGrace is how long after new data came into force the findings of the data
	// before may decide a review whose image cannot be matched in time; 0 is never.
	SweepGrace time.Duration `yaml:"sweepGrace"`
	// Keys are files with public keys that a downloaded database must be signed by.
	Keys []string `yaml:"keys"`
	// Signing is how "advisories export" signs a bundle.
	Signing SigningConfig `yaml:"signing"`
	// Java is the index of Java archives, in which archives that do not name themselves
	// are looked up when images are matched.
	Java JavaConfig `yaml:"java"`
	// EPSS, KEV and EOL are files or https URLs of what is joined to findings when policies
	// are evaluated; "" is none.
	EPSS string `yaml:"epss"`
	KEV  string `yaml:"kev"`
	EOL  string `yaml:"eol"`
	// VEX are the documents whose statements are believed.
	VEX []vex.Config `yaml:"vex"`
}

// SigningConfig is the key that bundles are signed with; its public part is what
// advisories.keys has where they are imported.
type SigningConfig struct {
	// KeyFile is a file with the private key (PEM); "" signs nothing.
	KeyFile string `yaml:"keyFile"`
	// PasswordFile is a file with the password of an encrypted key; "" for one that is not.
	PasswordFile string `yaml:"passwordFile"`
}

// JavaConfig names the index of Java archives.
type JavaConfig struct {
	// Path is a directory with trivy-java.db and metadata.json. It is watched; "" is none.
	Path string `yaml:"path"`
	// Repositories are OCI repositories of the index, tried in order, also when Path names
	// one: the newer counts.
	Repositories []download.Repository `yaml:"repositories"`
	// MaxAge is the age from which the index counts as stale; 0 means never. No decision
	// depends on it: what an old index does not know stays a gap.
	MaxAge time.Duration `yaml:"maxAge"`
}

// Default is the configuration when nothing is written. 10 minutes are time for a sweep
// of the images that new data concerns; 48 hours are eight
// times the six hours in which upstream publishes: less alarms at every small
// outage, more hides a broken mirror over a weekend.
func Default() Config {
	return Config{
		Repositories: download.Repositories("mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2"),
		Sources:      []source.Config{},
		Refresh:      6 * time.Hour,
		MaxAge:       48 * time.Hour,
		// A week: often enough to notice an error before the data that it was made
		// with is gone, and cheap, an hour of a processor for 100,000 images.
		FullSweepEvery: 7 * 24 * time.Hour,
		SweepGrace:     10 * time.Minute,
		Stale:          StaleWarn,
		Keys:           []string{},
		VEX:            []vex.Config{},
		// Upstream publishes the index every day; one of two weeks lacks what was released
		// since, which is noticed as gaps.
		Java: JavaConfig{Repositories: download.Repositories(), MaxAge: 14 * 24 * time.Hour},
	}
}

// Validate reports every problem at once; each line starts with the key, such as
// "maxAge".
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf(key+": "+format, args...))
	}
	switch c.Stale {
	case StaleAllow, StaleWarn, StaleDeny:
	default:
		bad("stale", "got %q, want allow, warn or deny", c.Stale)
	}
	if c.MaxAge < 0 {
		bad("maxAge", "got %v, want 0 (never stale) or more", c.MaxAge)
	}
	switch {
	case c.RefuseAge < 0:
		bad("refuseAge", "got %v, want 0 (never) or more", c.RefuseAge)
	case c.RefuseAge > 0 && c.Stale == StaleDeny:
		bad("refuseAge", "got %v, but with stale: deny images are refused from maxAge (%v) on already: write stale: warn to be warned from maxAge and refused from refuseAge on, or leave refuseAge out", c.RefuseAge, c.MaxAge)
	case c.RefuseAge > 0 && c.Stale == StaleWarn && c.RefuseAge < c.MaxAge:
		bad("refuseAge", "got %v, less than maxAge (%v), so that nothing is warned about before it is refused: make it longer", c.RefuseAge, c.MaxAge)
	}
	if c.SweepGrace < 0 {
		bad("sweepGrace", "got %v, want 0 (never) or more", c.SweepGrace)
	}
	if c.Stale == StaleDeny && c.MaxAge == 0 {
		bad("maxAge", "got 0, but stale is deny and nothing would ever be stale")
	}
	if c.FullSweepEvery != 0 && c.FullSweepEvery < time.Hour {
		bad("fullSweepEvery", "got %v, want 0 (never) or 1h or more", c.FullSweepEvery)
	}
	if c.Java.MaxAge < 0 {
		bad("java.maxAge", "got %v, want 0 (never stale) or more", c.Java.MaxAge)
	}
	if c.Refresh < time.Minute {
		bad("refresh", "got %v, want 1m or more", c.Refresh)
	}
	if c.Signing.PasswordFile != "" && c.Signing.KeyFile == "" {
		bad("signing.passwordFile", "got %q without signing.keyFile: name the key that it opens", c.Signing.PasswordFile)
	}
	errs = append(errs, validateRepositories("repositories", c.Repositories)...)
	errs = append(errs, source.Validate(c.Sources)...)
	if err := download.CheckKeys(c.Keys); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, validateRepositories("java.repositories", c.Java.Repositories)...)
	for key, from := range map[string]string{"epss": c.EPSS, "kev": c.KEV, "eol": c.EOL} {
		if err := tables.ValidateSource(from); err != nil {
			bad(key, "%w", err)
		}
	}
	errs = append(errs, validateVEX(c.VEX)...)
	return errors.Join(errs...)
}

// TooOld says which limit data of a time is beyond, and what that means; "" for none.
func (c Config) TooOld(at, now time.Time) string {
	const refused = "images are refused as STALE until newer data is there"
	switch {
	case FreshnessOf(at, now, c.RefuseAge) == Stale:
		return fmt.Sprintf("older than advisories.refuseAge (%s): %s", c.RefuseAge, refused)
	case c.Stale == StaleAllow || FreshnessOf(at, now, c.MaxAge) != Stale:
		return ""
	case c.Stale == StaleDeny:
		return fmt.Sprintf("older than advisories.maxAge (%s): %s", c.MaxAge, refused)
	}
	return fmt.Sprintf("older than advisories.maxAge (%s): decisions have a warning", c.MaxAge)
}

// validateVEX adds the path of the element to each problem of it.
func validateVEX(list []vex.Config) (errs []error) {
	names := map[string]bool{}
	for i, v := range list {
		add := func(line string) { errs = append(errs, fmt.Errorf("vex[%d].%s", i, line)) }
		if err := v.Validate(); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				add(line)
			}
		}
		if err := tables.ValidateSource(v.Path); err != nil {
			add("path: " + err.Error())
		}
		if names[v.Name] {
			add(fmt.Sprintf("name: %q is the name of another entry already", v.Name))
		}
		names[v.Name] = true
	}
	return errs
}

// validateRepositories adds the path of the element to each problem of it.
func validateRepositories(key string, list []download.Repository) (errs []error) {
	for i, r := range list {
		err := r.Validate()
		if err == nil {
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			path := fmt.Sprintf("%s[%d]", key, i)
			if at, text, ok := strings.Cut(line, ": "); ok && keyOfRepository[at] {
				path, line = path+"."+at, text
			}
			errs = append(errs, fmt.Errorf("%s: %s", path, line))
		}
	}
	return errs
}

// keyOfRepository are the keys of an element of repositories with which a line of
// [download.Repository.Validate] may start.
var keyOfRepository = map[string]bool{"username": true, "passwordFile": true, "caFile": true}
