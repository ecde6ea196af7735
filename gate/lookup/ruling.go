package lookup

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// ruling is what the rules about repositories say of one.
type ruling int8

const (
	admitted ruling = iota
	ruledOut        // a rule names it and does not allow it
	unlisted        // rules list what is allowed, and it is not among that
)

// rememberRulings bounds what is remembered of rulings, in bytes: 8,000 repositories.
const rememberRulings = 2 << 20

func newRulings() *otter.Cache[gate.Location, ruling] {
	return copies.Weighed(rememberRulings, func(l gate.Location, _ ruling) int64 { return copies.BytesOf(l.Registry, l.Repository) })
}

// ruling applies the rules, which do not change in the life of a Lookup, and remembers
// what they say: matching a pattern costs more than the rest of a lookup.
func (l *Lookup) ruling(loc gate.Location) ruling {
	if len(l.options.Repositories) == 0 {
		return admitted
	}
	if r, ok := l.rules.GetIfPresent(loc); ok {
		return r
	}
	r := l.options.rule(loc.String())
	l.rules.Set(gate.Location{Registry: loc.Registry, Repository: strings.Clone(loc.Repository)}, r)
	return r
}

// rule is what the rules say of "registry/repository".
func (o Options) rule(repository string) ruling {
	allowed, listed := false, false
	for _, rule := range o.Repositories {
		match, _ := doublestar.Match(rule.Pattern, repository)
		if match && !rule.Allowed {
			return ruledOut
		}
		listed = listed || rule.Allowed
		allowed = allowed || match
	}
	if listed && !allowed {
		return unlisted
	}
	return admitted
}
