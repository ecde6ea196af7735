package app

import (
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/lookup"
)

// lookupOptions are the rules that the lookup applies.
func lookupOptions(c admission.Config) lookup.Options {
	o := lookup.Options{
		RequireDigest:     c.RequireDigest,
		TagMaxAge:         c.Tags.MaxAge,
		TagGrace:          c.Tags.Grace,
		Wait:              c.Wait,
		NewDigestsPerHour: c.NewDigestsPerHour, NewDigestsPerHourTotal: c.NewDigestsPerHourTotal,
	}
	for _, r := range c.Repositories {
		o.Repositories = append(o.Repositories, lookup.RepositoryRule{Pattern: r.Pattern, Allowed: r.Admission == "allowed"})
	}
	return o
}
