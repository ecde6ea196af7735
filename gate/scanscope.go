package gate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// ScanScope chooses images. What is given has to hold all together; of a list one entry is
// enough. The zero value chooses every image.
type ScanScope struct {
	// Registries are names of configured registries, RegistryTypes types of them.
	Registries    []string `yaml:"registries" json:"registries,omitempty"`
	RegistryTypes []string `yaml:"registryTypes" json:"registryTypes,omitempty"`
	// Repositories and Tags are doublestar patterns, as for [Registry.Takes]. A tag that
	// names an index counts for the images in it.
	Repositories []string `yaml:"repositories" json:"repositories,omitempty"`
	Tags         []string `yaml:"tags" json:"tags,omitempty"`
	// PushedWithin takes what was first seen at a location not longer ago.
	PushedWithin time.Duration `yaml:"pushedWithin" json:"pushedWithin,omitempty"`
	// Running takes what admission was asked for lately.
	Running bool `yaml:"running" json:"running,omitempty"`
	// Verdict takes what has this standing verdict: allow, warn, deny, or none.
	Verdict Outcome `yaml:"verdict" json:"verdict,omitempty"`
	// Recommended takes what is running, was pushed within RecommendedWithin, or was never
	// scanned.
	Recommended bool `yaml:"recommended" json:"recommended,omitempty"`
}

// RecommendedWithin is how long ago a push makes an image one that is recommended to be
// scanned.
const RecommendedWithin = 7 * 24 * time.Hour

// The limits of a scope: one is stored with each of its tasks.
const (
	maxScopeEntries = 50
	maxScopeEntry   = 255
	maxScopeBytes   = 2048
	maxPushedWithin = 10 * 366 * 24 * time.Hour
)

// ScanKnown is what scans are checked against: the registries and risks that are
// configured. A nil Registries leaves names and types unchecked.
type ScanKnown struct {
	Registries []Registry
	Risks      []Risk
}

// ScanProblem is one key of a scan that cannot be.
type ScanProblem struct {
	Key  string // "repositories[1]"
	Text string // what is wrong with its value, and what to write
}

// ScanProblems makes an error of problems, each line beginning with prefix and a key; nil
// of none. It wraps ErrInvalid.
func ScanProblems(prefix string, list []ScanProblem) error {
	var all []error
	for _, p := range list {
		all = append(all, fmt.Errorf("%s%s: %s: %w", prefix, p.Key, p.Text, ErrInvalid))
	}
	return errors.Join(all...)
}

// Zero reports whether the scope chooses every image.
func (s ScanScope) Zero() bool {
	return len(s.Registries)+len(s.RegistryTypes)+len(s.Repositories)+len(s.Tags) == 0 && s.PushedWithin == 0 && !s.Running && s.Verdict == "" && !s.Recommended
}

// Problems says what is wrong with the scope.
func (s ScanScope) Problems(known ScanKnown) (list []ScanProblem) {
	bad := func(key, format string, args ...any) {
		list = append(list, ScanProblem{key, fmt.Sprintf(format, args...)})
	}
	bytes := 0
	each := func(key string, values []string, check func(key, value string)) {
		if len(values) > maxScopeEntries {
			bad(key, "has %d entries, more than %d; use patterns, or several schedules", len(values), maxScopeEntries)
			return
		}
		for i, v := range values {
			key := fmt.Sprintf("%s[%d]", key, i)
			bytes += len(v)
			if v == "" || len(v) > maxScopeEntry {
				bad(key, "%s has %d bytes; write 1 to %d", Quoted(v, 60), len(v), maxScopeEntry)
				continue
			}
			check(key, v)
		}
	}
	each("registries", s.Registries, func(key, v string) { s.checkRegistry(known, v, key, bad) })
	each("registryTypes", s.RegistryTypes, func(key, v string) { s.checkType(known, v, key, bad) })
	pattern := func(key, v string) {
		if !doublestar.ValidatePattern(v) {
			bad(key, "%s is not a pattern; write one such as library/** or v1.*", Quoted(v, 60))
		}
	}
	each("repositories", s.Repositories, pattern)
	each("tags", s.Tags, pattern)
	if bytes > maxScopeBytes {
		bad("repositories", "the names and patterns of the scope have %d bytes together, more than %d; use shorter patterns, or several schedules", bytes, maxScopeBytes)
	}
	if s.PushedWithin < 0 || s.PushedWithin > maxPushedWithin {
		bad("pushedWithin", "%s is not a time between 0 and 10 years; write hours, such as 360h for 15 days", s.PushedWithin)
	}
	verdicts := []Outcome{OutcomeAllow, OutcomeWarn, OutcomeDeny, OutcomeNone}
	if s.Verdict != "" && !slices.Contains(verdicts, s.Verdict) {
		bad("verdict", "%s is not one of allow, warn, deny, none", Quoted(string(s.Verdict), 40))
	}
	return list
}

func (s ScanScope) checkRegistry(known ScanKnown, name, key string, bad func(key, format string, args ...any)) {
	if known.Registries == nil || slices.ContainsFunc(known.Registries, func(r Registry) bool { return r.Name == name }) {
		return
	}
	var names []string
	for _, r := range known.Registries {
		names = append(names, r.Name)
	}
	bad(key, "%s is not the name of a configured registry; %s", Quoted(name, 80), configuredAre(names))
}

func (s ScanScope) checkType(known ScanKnown, kind, key string, bad func(key, format string, args ...any)) {
	if known.Registries == nil || slices.ContainsFunc(known.Registries, func(r Registry) bool { return r.Type == kind }) {
		return
	}
	var types []string
	for _, r := range known.Registries {
		types = append(types, r.Type)
	}
	bad(key, "no configured registry is of type %s; %s", Quoted(kind, 40), configuredAre(types))
}

func configuredAre(names []string) string {
	if len(names) == 0 {
		return "no registry is configured"
	}
	slices.Sort(names)
	return "configured are " + Printable(strings.Join(slices.Compact(names), ", "), 300)
}

// Within is the scope's registries among those that are configured: names of a type are
// added. all is true when the scope does not name any.
func (s ScanScope) Within(table []Registry) (names map[string]bool, all bool) {
	names = map[string]bool{}
	for _, r := range table {
		if (len(s.Registries) == 0 || slices.Contains(s.Registries, r.Name)) && (len(s.RegistryTypes) == 0 || slices.Contains(s.RegistryTypes, r.Type)) {
			names[r.Name] = true
		}
	}
	return names, len(s.Registries)+len(s.RegistryTypes) == 0
}

// ScanCandidate is what a scope looks at of an image.
type ScanCandidate struct {
	Digest   Digest
	Scanned  bool // has an inventory
	Decision Outcome
	SeenAt   time.Time // newest location
	// Places are the locations, with the tags that name the image there or an index with
	// the image in it, and Parents those indexes.
	Places  []Place
	Parents []Digest
}

// ScanChooser chooses images as a scope does at a time.
type ScanChooser struct {
	Scope ScanScope
	// Registries are those of [ScanScope.Within], All that any will do.
	Registries map[string]bool
	All        bool
	// Now is when the scan was requested: it does not choose differently when it takes
	// days.
	Now time.Time
	// Running are the digests that admission was asked for lately.
	Running map[Digest]bool
}

// NeedsPlaces reports whether locations and tags matter.
func (c ScanChooser) NeedsPlaces() bool {
	return !c.All || len(c.Scope.Repositories)+len(c.Scope.Tags) > 0
}

// NeedsParents reports whether the indexes matter that an image is in.
func (c ScanChooser) NeedsParents() bool {
	return len(c.Scope.Tags) > 0 || c.Scope.Running || c.Scope.Recommended
}

// Takes reports whether the scope has the image.
func (c ScanChooser) Takes(i ScanCandidate) bool {
	s := c.Scope
	switch {
	case s.PushedWithin > 0 && c.Now.Sub(i.SeenAt) > s.PushedWithin,
		s.Verdict != "" && i.Decision != s.Verdict && (s.Verdict != OutcomeNone || i.Decision != ""),
		s.Running && !c.running(i),
		s.Recommended && i.Scanned && c.Now.Sub(i.SeenAt) > RecommendedWithin && !c.running(i):
		return false
	}
	return !c.NeedsPlaces() || slices.ContainsFunc(i.Places, c.TakesPlace)
}

// TakesPlace reports whether an image is chosen for being at a place.
func (c ScanChooser) TakesPlace(p Place) bool {
	one := func(patterns, values []string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(values, func(v string) bool {
			return slices.ContainsFunc(patterns, func(p string) bool { ok, _ := doublestar.Match(p, v); return ok })
		})
	}
	return !p.Gone && (c.All || c.Registries[p.Registry]) && one(c.Scope.Repositories, []string{p.Repository}) && one(c.Scope.Tags, p.Tags)
}

func (c ScanChooser) running(i ScanCandidate) bool {
	return c.Running[i.Digest] || slices.ContainsFunc(i.Parents, func(d Digest) bool { return c.Running[d] })
}

// ScanAsk says which candidates are listed and what of them; see gate/catalog.
type ScanAsk struct {
	// Registry, unless "", is where the images have to be.
	Registry        string
	Places, Parents bool // are filled in
}
