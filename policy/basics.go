package policy

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// basics is what the input holds of an image and needs no list of its inventory or its
// findings: a record's summary has all of it.
type basics struct {
	platform, family, release, user, isolation string
	eol                                        bool
	created, analyzedAt, matchedAt             time.Time
	size                                       int64
	vulnerabilities                            int // how many there are, of any severity
	analyzerSet, matcher                       string
}

// basicsOf reads the large values.
func basicsOf(inv *gate.Inventory, f *gate.Findings) basics {
	return basics{
		platform: inv.Platform.String(), family: inv.OS.Family, release: inv.OS.Name, user: inv.Config.User, isolation: inv.Isolation.Level,
		eol: inv.OS.EOL || f.EOL, created: inv.Created, analyzedAt: inv.AnalyzedAt, matchedAt: f.MatchedAt, size: inv.Size,
		vulnerabilities: len(f.Vulnerabilities), analyzerSet: inv.AnalyzerSet, matcher: f.Matcher,
	}
}

// basicsFrom reads the record where its summary is of what it names, and otherwise the
// large values, which are that.
func basicsFrom(r *gate.Record, l large) basics {
	i, f := r.Summary.Inventory, r.Summary.Findings
	analyzedAt, analyzerSet, matchedAt, matcher := r.AnalyzedAt, r.AnalyzerSet, r.MatchedAt, r.Matcher
	vulnerabilities := r.Counts.Total()
	if !r.InventorySummarized() {
		b := basicsOf(l.inv, &gate.Findings{})
		i = gate.InventorySummary{Platform: b.platform, Family: b.family, Release: b.release, User: b.user, Isolation: b.isolation,
			EOL: b.eol, Created: b.created, Size: b.size}
		analyzedAt, analyzerSet = b.analyzedAt, b.analyzerSet
	}
	if !r.FindingsSummarized() {
		f = gate.FindingsSummary{EOL: l.f.EOL}
		matchedAt, matcher, vulnerabilities = l.f.MatchedAt, l.f.Matcher, len(l.f.Vulnerabilities)
	}
	return basics{
		platform: i.Platform, family: i.Family, release: i.Release, user: i.User, isolation: i.Isolation,
		eol: i.EOL || f.EOL, created: i.Created, analyzedAt: analyzedAt, matchedAt: matchedAt, size: i.Size,
		vulnerabilities: vulnerabilities, analyzerSet: analyzerSet, matcher: matcher,
	}
}

// origin is the data that the findings of an image are of.
type origin struct {
	gate.Generation
	uses string // the buckets that they depend on, where the record does not say it
}

// originOf is that of stored findings.
func originOf(f *gate.Findings) origin {
	return origin{gate.Generation{Number: f.Generation, Content: f.Advisories, UpdatedAt: f.UpdatedAt}, f.Uses}
}

// usesOf are the buckets that the findings of a question's image depend on; "" is all.
func usesOf(q *gate.Question, own origin) string {
	if q.Record.FindingsSummarized() {
		return q.Record.Summary.Findings.Uses
	}
	return own.uses
}

// inForce is the data whose age counts: the generation in force, because findings that
// it does not change are not matched again, or the findings' own when none is loaded.
// Its time is that of the oldest bucket that the findings depend on, zero when it is not
// known.
func inForce(q *gate.Question, own origin) gate.Generation {
	g := q.Advisories
	if g.Number == 0 && g.UpdatedAt.IsZero() {
		g = own.Generation
	}
	if g.Ages != nil {
		g.UpdatedAt, _ = g.AgeFor(usesOf(q, own))
	}
	if !gate.AgeKnown(g.UpdatedAt) {
		g.UpdatedAt = time.Time{}
	}
	return g
}
