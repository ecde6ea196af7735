package vex

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate"
)

// Config is one entry of advisories.vex: a document that an operator has chosen to believe,
// and how far.
type Config struct {
	// Name is for people; it must be unique.
	Name string `yaml:"name"`
	// Path is a file, or an https URL; "" where only documents beside images count.
	Path string `yaml:"path"`
	// Images has documents count that are found beside images in their registries and that
	// Key signs.
	Images bool `yaml:"images"`
	// Key is a file with the public key that signs the document, Checksum the sha256 of the
	// file ("sha256:…"); one of them is needed.
	Key      string `yaml:"key"`
	Checksum string `yaml:"checksum"`
	// Repositories are where it counts: doublestar patterns over "registry/repository" with
	// the configured name of the registry ("harbor-prod/library/**"; "**" is everywhere).
	Repositories []string `yaml:"repositories"`
	// Applications has statements count whose product is an application with components,
	// without an image: which application it is, the files of the image say. So the authors of
	// the images in Repositories must be trusted with it, and a pattern names the registry.
	Applications bool `yaml:"applications"`
	// MaxAge is how long after its time the document counts.
	MaxAge time.Duration `yaml:"maxAge"`
	// CAFile has the authorities of the server of a URL; "" is the system's.
	CAFile string `yaml:"caFile"`
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// Validate reports every problem of an entry at once; each line starts with the key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, fmt.Errorf(key+": "+format, args...)) }
	if !namePattern.MatchString(c.Name) {
		bad("name", "got %q, want small letters, digits, dots and hyphens, at most 63", c.Name)
	}
	switch {
	case c.Path == "" && !c.Images:
		bad("path", "empty; name a file or an https URL, or set images: true for documents beside images")
	case c.Images && c.Key == "":
		bad("images", "true, but key is empty; name the file of the public key that signs the documents beside images: an author who can push an image can push documents too")
	}
	switch {
	case c.Key == "" && c.Checksum == "":
		bad("key", "empty, as is checksum; name the file of the public key that signs the document, or give its checksum: a document of unknown origin hides nothing")
	case c.Key != "" && c.Checksum != "":
		bad("key", "given together with checksum; one of them says whose the document is")
	case c.Checksum != "" && !gate.Digest(c.Checksum).Valid():
		bad("checksum", "got %q, want sha256: and 64 hexadecimal digits", c.Checksum)
	}
	if len(c.Repositories) == 0 {
		bad("repositories", "empty; name the repositories in which it counts, such as harbor-prod/library/**, or ** for all")
	}
	for i, p := range c.Repositories {
		registry, _, _ := strings.Cut(p, "/")
		switch {
		case !doublestar.ValidatePattern(p):
			bad(fmt.Sprintf("repositories[%d]", i), "%q is not a pattern", p)
		case c.Applications && strings.ContainsAny(registry, `*?[{\`):
			bad(fmt.Sprintf("repositories[%d]", i), "%q is in any registry, but applications is true; name the registry, such as harbor-prod/acme/**: an author of an image can call any program by the name of the application", p)
		}
	}
	if c.MaxAge <= 0 {
		bad("maxAge", "got %v, want how long after its time the document counts, such as 2160h", c.MaxAge)
	}
	return errors.Join(errs...)
}

// Counts reports whether the source counts at a location.
func (c Config) Counts(loc gate.Location) bool { return counts(c.Repositories, loc) }

// counts reports whether patterns take a location in.
func counts(patterns []string, loc gate.Location) bool {
	for _, p := range patterns {
		if ok, _ := doublestar.Match(p, loc.Registry+"/"+loc.Repository); ok {
			return true
		}
	}
	return false
}
