package gate

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// Registry is a configured registry as the pipeline sees it: no credentials.
type Registry struct {
	Name    string
	Type    string
	Host    string   // host[:port], lower case
	Aliases []string // other hosts of the same registry
	Include []string // repository patterns for push and sync; empty means all
	Exclude []string // wins over Include
	Limits  Limits
}

// Takes reports whether push and sync feed the gate with the repository.
// Patterns are doublestar patterns over the whole repository path ("library/**").
func (r Registry) Takes(repository string) bool {
	match := func(patterns []string) bool {
		for _, p := range patterns {
			if ok, _ := doublestar.Match(p, repository); ok {
				return true
			}
		}
		return false
	}
	if match(r.Exclude) {
		return false
	}
	return len(r.Include) == 0 || match(r.Include)
}

// Registries is the table of configured registries. It changes only as a whole
// and is safe for concurrent use.
type Registries struct{ table atomic.Pointer[registryTable] }

// registryTable is what a Registries holds at a time. It is immutable.
type registryTable struct {
	byName map[string]Registry
	byHost map[string]Registry
	all    []Registry
}

// NewRegistries builds the table; ErrInvalid when a name or host occurs twice
// or a pattern is malformed.
func NewRegistries(list []Registry) (*Registries, error) {
	t := &registryTable{byName: map[string]Registry{}, byHost: map[string]Registry{}, all: list}
	for _, r := range list {
		if _, ok := t.byName[r.Name]; ok {
			return nil, fmt.Errorf("registry %q is configured twice: %w", r.Name, ErrInvalid)
		}
		t.byName[r.Name] = r
		for _, h := range append([]string{r.Host}, r.Aliases...) {
			h = CanonicalHost(h)
			if other, ok := t.byHost[h]; ok {
				return nil, fmt.Errorf("host %q belongs to registries %q and %q: %w", h, other.Name, r.Name, ErrInvalid)
			}
			t.byHost[h] = r
		}
		for _, p := range append(append([]string{}, r.Include...), r.Exclude...) {
			if !doublestar.ValidatePattern(p) {
				return nil, fmt.Errorf("registry %q: pattern %q is malformed: %w", r.Name, p, ErrInvalid)
			}
		}
	}
	out := new(Registries)
	out.table.Store(t)
	return out, nil
}

// Replace puts the registries of another table in the place of these.
func (t *Registries) Replace(with *Registries) { t.table.Store(with.table.Load()) }

// ByName finds a registry by its configured name.
func (t *Registries) ByName(name string) (Registry, bool) {
	r, ok := t.table.Load().byName[name]
	return r, ok
}

// HostOf is where the registry of a name is read at present, "" for one that is not
// configured.
func (t *Registries) HostOf(name string) string {
	r, _ := t.ByName(name)
	return CanonicalHost(r.Host)
}

// ByHost finds the registry that a host belongs to, by its own name or an
// alias. The comparison is of whole hosts including the port.
func (t *Registries) ByHost(host string) (Registry, bool) {
	r, ok := t.table.Load().byHost[CanonicalHost(host)]
	return r, ok
}

// All lists the registries in the order of the configuration. The slice must
// not be modified.
func (t *Registries) All() []Registry { return t.table.Load().all }

// Limits is the table of limits that a claim takes.
func (t *Registries) Limits() map[string]Limits {
	all := t.All()
	m := make(map[string]Limits, len(all))
	for _, r := range all {
		m[r.Name] = r.Limits
	}
	return m
}

// Rest is a time in which nothing is sent to a registry: it has asked to wait, or its
// last requests all failed.
type Rest struct {
	Left time.Duration // until it is asked again; not positive: it does not rest
	// Kind is what the rest is called to people who are refused, and Until the time that
	// the registry itself named, if it did.
	Kind  CauseKind
	Until time.Time
}

// CanonicalHost is the one spelling under which hosts are compared: lower
// case, and index.docker.io becomes docker.io, as in distribution/reference.
func CanonicalHost(host string) string {
	host = strings.ToLower(host)
	if host == "index.docker.io" {
		return "docker.io"
	}
	return host
}

// ErrOtherHost: while a registry was read its name was given to another host.
var ErrOtherHost = fmt.Errorf("the registry was given another host in the meantime: %w", ErrBusy)
