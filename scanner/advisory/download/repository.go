package download

import (
	"errors"
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/scanner/registry"
)

// Repository is an element of advisories.repositories: the reference alone, or keys with
// it. Where an entry of registries has its host, the entry's credentials, certificates,
// tokenHosts, blobHosts and plainHTTP are used, and what is written here wins.
type Repository struct {
	// Repository is host/repository, and a tag or a digest; without either the tag is
	// the version of the artifact's schema ("2" of the database, "1" of the Java index).
	Repository string `yaml:"repository"`
	// Username and PasswordFile are the credentials; both or none. The file is read at
	// each use.
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
	// CAFile holds PEM certificates that are trusted in addition to the system's.
	CAFile string `yaml:"caFile"`
	// Insecure accepts any certificate, and http when the host does not speak TLS: who
	// is on the way can then choose what the tag names, unless advisories.keys is set.
	Insecure bool `yaml:"insecure"`
	// Own says that it is a database of the operator's own, which need not reach the
	// sizes that are shipped for a first start.
	Own bool `yaml:"own"`
}

// SetShort takes the reference alone, as it stands in a list; see document.Shorter.
func (r *Repository) SetShort(text string) { *r = Repository{Repository: text} }

// MarshalYAML writes what SetShort takes where that says all.
func (r Repository) MarshalYAML() (any, error) {
	if r == (Repository{Repository: r.Repository}) {
		return r.Repository, nil
	}
	type keys Repository
	return keys(r), nil
}

// String is the reference.
func (r Repository) String() string { return r.Repository }

// Repositories are references alone.
func Repositories(references ...string) []Repository {
	list := make([]Repository, len(references))
	for i, ref := range references {
		list[i].Repository = ref
	}
	return list
}

// Validate reports every problem at once, each line with its key, "" for the reference;
// all wrap gate.ErrInvalid. It reads the files that are named.
func (r Repository) Validate() error {
	var errs []error
	if _, err := parseReference(r.Repository, ""); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	c, err := r.config("x", nil)
	if err != nil {
		return err
	}
	return c.Validate()
}

// reference is a repository taken apart.
type reference struct {
	host, repository string
	ref              string // tag or digest
}

// parseReference wants the host written: that a short name means docker.io is known to
// those only who use docker.
func parseReference(s, tag string) (reference, error) {
	want := fmt.Errorf("got %s, want host/repository:tag without a scheme: %w", gate.Quoted(s, 200), gate.ErrInvalid)
	if strings.Contains(s, "://") || s != strings.TrimSpace(s) {
		return reference{}, want
	}
	host, _, ok := strings.Cut(s, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return reference{}, want
	}
	parsed, err := gate.ParseReference(s)
	if err != nil {
		return reference{}, fmt.Errorf("got %s, want host/repository:tag: %w: %w", gate.Quoted(s, 200), err, gate.ErrInvalid)
	}
	if why := outbound.Never(parsed.Host); why != "" {
		return reference{}, fmt.Errorf("got %s, %s: %w", gate.Quoted(s, 200), why, gate.ErrInvalid)
	}
	r := reference{host: parsed.Host, repository: parsed.Repository, ref: parsed.Tag}
	switch {
	case parsed.Digest != "":
		r.ref = string(parsed.Digest)
	case !strings.Contains(s[strings.LastIndex(s, "/"):], ":"):
		r.ref = tag
	}
	return r, nil
}

// config is the registry that the repository is read from, by the name that it gets.
func (r Repository) config(name string, registries []registry.Config) (registry.Config, error) {
	ref, err := parseReference(r.Repository, "")
	if err != nil {
		return registry.Config{}, err
	}
	var c registry.Config
	for _, entry := range registries {
		if hasHost(entry, ref.host) {
			c = entry
			break
		}
	}
	c.Name, c.Type, c.Host, c.Include, c.Exclude = name, "distribution", ref.host, nil, nil
	if r.Username != "" || r.PasswordFile != "" {
		c.Username, c.PasswordFile, c.Credentials = r.Username, r.PasswordFile, registry.CredentialsConfig{}
	}
	if r.CAFile != "" {
		c.CAFile, c.PlainHTTP = r.CAFile, false
	}
	if r.Insecure {
		c.InsecureSkipVerify, c.PlainHTTP = true, false
	}
	return c, nil
}

// hasHost reports whether an entry of registries is about a host.
func hasHost(entry registry.Config, host string) bool {
	for _, h := range append([]string{entry.Host}, entry.Aliases...) {
		if gate.CanonicalHost(h) == gate.CanonicalHost(host) {
			return true
		}
	}
	return false
}
