package admission

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate"
)

// Mode says what becomes of a refusal.
type Mode string

// The modes.
const (
	// ModeEnforce refuses the object.
	ModeEnforce Mode = "enforce"
	// ModeWarn admits the object with the refusal as a warning, which kubectl
	// shows.
	ModeWarn Mode = "warn"
	// ModeAudit admits the object silently; the refusal stands in the audit
	// log of the API server, in our log and metrics.
	ModeAudit Mode = "audit"
)

// Details says how much of a decision a refusal shows to the refused person.
type Details string

// The levels of detail.
const (
	DetailsFull Details = "full" // rules and their messages, with top findings
	DetailsRule Details = "rule" // names of the rules only
)

// Config is the part "admission" of the configuration (DESIGN.md §6). wait,
// requireDigest, tags, newDigestsPerHour and repositories are rules of the
// lookup (lookup.Options); storeGrace belongs to the reader that the lookup is
// given. cmd hands them on.
type Config struct {
	// Mode holds for every namespace that Namespaces does not name.
	Mode Mode `yaml:"mode"`
	// Wait holds a request this long for an analysis in progress; 0 answers
	// at once. It must be below the caller's timeout less 1.5 s.
	Wait time.Duration `yaml:"wait"`
	// RequireDigest refuses tags.
	RequireDigest bool       `yaml:"requireDigest"`
	Tags          TagsConfig `yaml:"tags"`
	// StoreGrace is how long after its last contact with the store a replica
	// decides from its local copy of the records.
	StoreGrace time.Duration `yaml:"storeGrace"`
	// NewDigestsPerHour is what the admission misses of one namespace may
	// queue; 0 is no limit.
	NewDigestsPerHour int `yaml:"newDigestsPerHour"`
	// NewDigestsPerHourTotal is what the admission misses of all namespaces of a
	// cluster may queue together; half of it is reserved for namespaces that had
	// an image admitted before. 0 is no limit.
	NewDigestsPerHourTotal int     `yaml:"newDigestsPerHourTotal"`
	Details                Details `yaml:"details"`
	// ShutdownDelay is how long after SIGTERM the process serves on while it
	// says that it is not ready, so that callers find another one first; 0
	// stops at once. It is part of what terminationGracePeriodSeconds covers.
	ShutdownDelay time.Duration `yaml:"shutdownDelay"`
	// Contact is a line that is added to every denial: whom to ask, a URL. At most
	// 200 bytes of printable ASCII; "" adds none.
	Contact string `yaml:"contact"`
	// Repositories limits what may be admitted. A denied pattern wins over an
	// allowed one; once anything is allowed, everything else is not.
	Repositories []RepositoryConfig `yaml:"repositories"`
	// ExemptNamespaces are not judged at all. Exact names: no pattern, no
	// label that a user could set.
	ExemptNamespaces []string                   `yaml:"exemptNamespaces"`
	Namespaces       map[string]NamespaceConfig `yaml:"namespaces"`
	// Clusters are the callers. "default" without a token is reached at
	// /admission/validate, others at /admission/validate/{name}/{token}.
	Clusters []ClusterConfig    `yaml:"clusters"`
	TLS      certificate.Config `yaml:"tls"`
	// WebhookConfiguration is the name of the ValidatingWebhookConfiguration whose caBundle
	// is kept current with the self-managed certificate; "" is none.
	WebhookConfiguration string `yaml:"webhookConfiguration"`
}

// TagsConfig says how long our own reading of a tag is believed.
type TagsConfig struct {
	MaxAge time.Duration `yaml:"maxAge"` // without asking the registry
	Grace  time.Duration `yaml:"grace"`  // when the registry does not answer
}

// RepositoryConfig is a doublestar pattern over "registry/repository" with the
// configured name of the registry, and what it is for: allowed or denied.
type RepositoryConfig struct {
	Pattern   string `yaml:"pattern"`
	Admission string `yaml:"admission"`
}

// NamespaceConfig is what differs for one namespace.
type NamespaceConfig struct {
	Mode Mode `yaml:"mode"`
}

// ClusterConfig is one cluster that may ask. The token, in a file, is part of
// the URL, because an API server sends webhooks no credentials by itself: 16
// to 256 characters out of A-Z a-z 0-9 . _ ~ -.
type ClusterConfig struct {
	Name      string `yaml:"name"`
	TokenFile string `yaml:"tokenFile"`
}

// Default is the shipped configuration.
func Default() Config {
	return Config{
		Mode:              ModeEnforce,
		Tags:              TagsConfig{MaxAge: time.Minute, Grace: 10 * time.Minute},
		StoreGrace:        5 * time.Minute,
		NewDigestsPerHour: 60, NewDigestsPerHourTotal: 600,
		Details:          DetailsFull,
		ShutdownDelay:    8 * time.Second,
		ExemptNamespaces: []string{"kube-system"},
		Clusters:         []ClusterConfig{{Name: DefaultCluster}},
		TLS:              certificate.Config{Names: []string{}},
	}
}

// DefaultCluster is the cluster whose path needs no token.
const DefaultCluster = "default"

// Validate reports every problem at once, one a line, each starting with the
// key. It reads the token files.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf(key+": "+format+": %w", append(args, gate.ErrInvalid)...))
	}
	if !c.Mode.valid() {
		bad("mode", "want enforce, warn or audit, got %q", c.Mode)
	}
	if c.Details != DetailsFull && c.Details != DetailsRule {
		bad("details", "want full or rule, got %q", c.Details)
	}
	if len(c.Contact) > maxContact || gate.Printable(c.Contact, maxContact) != c.Contact || strings.TrimSpace(c.Contact) != c.Contact {
		bad("contact", "want one line of at most %d bytes of printable ASCII, without white space at its ends, got %s (%d bytes)",
			maxContact, gate.Quoted(c.Contact, maxContact), len(c.Contact))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
		limit time.Duration
	}{
		{"wait", c.Wait, maxTimeout - margin}, {"tags.maxAge", c.Tags.MaxAge, 24 * time.Hour},
		{"tags.grace", c.Tags.Grace, 24 * time.Hour}, {"storeGrace", c.StoreGrace, time.Hour},
		{"shutdownDelay", c.ShutdownDelay, 10 * time.Minute},
	} {
		if d.value < 0 || d.value > d.limit {
			bad(d.key, "want 0s to %s, got %s", d.limit, d.value)
		}
	}
	if c.Tags.Grace != 0 && c.Tags.Grace < c.Tags.MaxAge {
		bad("tags.grace", "want 0s or at least tags.maxAge (%s), got %s", c.Tags.MaxAge, c.Tags.Grace)
	}
	if c.NewDigestsPerHour < 0 {
		bad("newDigestsPerHour", "want 0 or more, got %d", c.NewDigestsPerHour)
	}
	if c.NewDigestsPerHourTotal < 0 {
		bad("newDigestsPerHourTotal", "want 0 or more, got %d", c.NewDigestsPerHourTotal)
	}
	for i, r := range c.Repositories {
		key := fmt.Sprintf("repositories[%d]", i)
		if !strings.Contains(r.Pattern, "/") || !doublestar.ValidatePattern(r.Pattern) {
			bad(key+".pattern", "want a pattern over registry/repository, such as \"harbor-prod/library/**\", got %q", r.Pattern)
		}
		if r.Admission != "allowed" && r.Admission != "denied" {
			bad(key+".admission", "want allowed or denied, got %q", r.Admission)
		}
	}
	return errors.Join(append(errs, c.validateNames()...)...)
}

// validateNames checks namespaces, clusters and TLS.
func (c Config) validateNames() []error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf(key+": "+format+": %w", append(args, gate.ErrInvalid)...))
	}
	for i, name := range c.ExemptNamespaces {
		if !isLabel(name) {
			bad(fmt.Sprintf("exemptNamespaces[%d]", i), "want the exact name of a namespace, got %q", name)
		}
	}
	for _, name := range sortedKeys(c.Namespaces) {
		key := fmt.Sprintf("namespaces[%q]", name)
		if !isLabel(name) {
			bad(key, "want the exact name of a namespace")
		}
		if m := c.Namespaces[name].Mode; !m.valid() {
			bad(key+".mode", "want enforce, warn or audit, got %q", m)
		}
		if slices.Contains(c.ExemptNamespaces, name) {
			bad(key, "the namespace is in exemptNamespaces too")
		}
	}
	if _, err := loadClusters(c.Clusters, gate.ReadSmallFile); err != nil {
		errs = append(errs, err)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls", "want both certFile and keyFile, or neither")
	}
	if c.WebhookConfiguration != "" && c.TLS.CertFile != "" {
		bad("webhookConfiguration", "got %q, but tls.certFile names a certificate, whose authority is not known; leave one of them empty", c.WebhookConfiguration)
	}
	if c.WebhookConfiguration != "" && !isName(c.WebhookConfiguration) {
		bad("webhookConfiguration", "want the name of a ValidatingWebhookConfiguration, got %q", c.WebhookConfiguration)
	}
	for i, name := range c.TLS.Names {
		if net.ParseIP(name) == nil && !isName(name) {
			bad(fmt.Sprintf("tls.names[%d]", i), "want a DNS name or an IP address, got %q", name)
		}
	}
	return errs
}

func (m Mode) valid() bool { return m == ModeEnforce || m == ModeWarn || m == ModeAudit }

// mode is the mode of a namespace.
func (c Config) mode(namespace string) Mode {
	if n, ok := c.Namespaces[namespace]; ok {
		return n.Mode
	}
	return c.Mode
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// isName reports whether s is the name of an object, or a DNS name: labels between dots.
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}
