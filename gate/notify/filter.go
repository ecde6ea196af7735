package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate"
)

// Surroundings are what is known of the digests of changes besides the changes.
type Surroundings struct {
	// Places are where a digest is; those that it is gone from are left out.
	Places map[gate.Digest][]gate.Location
	// Running are those that admission was asked for lately.
	Running map[gate.Digest]bool
}

// part is what a change comes to for one target.
type part struct {
	at     time.Time
	digest gate.Digest
	items  []Item
	totals Totals
	more   int
}

func (p part) empty() bool { return len(p.items) == 0 && p.more == 0 && p.totals == (Totals{}) }

// filter is what of a change a target is sent: its events, thresholds and scope.
func (c Config) filter(change gate.StandingChange, s Surroundings) part {
	p := part{at: change.At, digest: change.Digest}
	if c.Running && !s.Running[change.Digest] {
		return p
	}
	if slices.Contains(c.Events, EventVerdicts) {
		c.verdicts(change, s.Places[change.Digest], &p)
	}
	if f := change.Findings; f != nil && !f.Lost {
		place, ok := c.place(s.Places[change.Digest])
		if ok {
			c.findings(f, change.Digest, place, &p)
		}
	}
	return p
}

// place is a place of a digest that is in scope.
func (c Config) place(places []gate.Location) (gate.Location, bool) {
	for _, l := range places {
		if c.takes(l) {
			return l, true
		}
	}
	return gate.Location{}, len(c.Registries)+len(c.Repositories) == 0
}

func (c Config) takes(l gate.Location) bool {
	if len(c.Registries) > 0 && !slices.Contains(c.Registries, l.Registry) {
		return false
	}
	return len(c.Repositories) == 0 || slices.ContainsFunc(c.Repositories, func(p string) bool {
		ok, _ := doublestar.Match(p, l.Repository)
		return ok
	})
}

func (c Config) verdicts(change gate.StandingChange, places []gate.Location, p *part) {
	for _, v := range change.Verdicts {
		before, after := v.Before.Outcome, v.After.Outcome
		first := before == "" || before == gate.OutcomeNone
		denied := after == gate.OutcomeDeny
		switch {
		case before == after, first && !c.FirstScans, first && !denied, c.OnlyDenied && !denied, !c.takes(v.Location):
			continue
		}
		item := Item{
			What: Flipped, Digest: change.Digest, Registry: v.Location.Registry, Repository: v.Location.Repository,
			Before: before, After: after, Code: v.After.Code, Rules: v.After.Rules,
		}
		if denied {
			item.What = Denied
			p.totals.Denied++
		} else {
			p.totals.Flipped++
		}
		p.items = append(p.items, item.cut())
	}
	if len(c.Registries)+len(c.Repositories) == 0 {
		p.more += change.MoreVerdicts
		return
	}
	// Which ones are not listed is not known. Those in scope may be among them: an image
	// that somebody else has pushed to many repositories must not keep their owners in the
	// dark.
	p.more += min(change.MoreVerdicts, c.unlisted(change.Verdicts, places))
}

// unlisted counts the places in scope that a change does not list.
func (c Config) unlisted(listed []gate.VerdictChange, places []gate.Location) (n int) {
	known := make(map[gate.Location]bool, len(listed))
	for _, v := range listed {
		known[v.Location] = true
	}
	for _, l := range places {
		if !known[l] && c.takes(l) {
			n++
		}
	}
	return n
}

func (c Config) findings(f *gate.FindingsChange, d gate.Digest, place gate.Location, p *part) {
	line := func(what What, v gate.Vulnerability) Item {
		return Item{
			What: what, Digest: d, Registry: place.Registry, Repository: place.Repository, Images: 1, Vulnerability: v.ID, Severity: v.Severity,
			Package: v.Package, Installed: v.InstalledVersion, FixedIn: v.FixedVersion,
		}.cut()
	}
	list := func(what What, changed gate.ChangedFindings) (counts gate.Counts) {
		listed := gate.Counts{}
		for _, v := range changed.List {
			if c.wants(v) {
				p.items = append(p.items, line(what, v))
				counts = counts.Plus(one(v.Severity))
			}
			listed = listed.Plus(one(v.Severity))
		}
		if !c.OnlyFixable { // of what is not listed only the severity is known
			rest := c.atLeast(minus(changed.Total, listed))
			counts = counts.Plus(rest)
			p.more += rest.Total()
		}
		return counts
	}
	switch {
	case f.First && !c.FirstScans:
		return
	case f.First && slices.Contains(c.Events, EventNew):
		if counts := c.atLeast(f.Found.Total); counts.Total() > 0 {
			p.totals.New = p.totals.New.Plus(counts)
			p.items = append(p.items, Item{
				What: New, Digest: d, Registry: place.Registry, Repository: place.Repository, Images: 1, Severity: highest(counts),
				Text: fmt.Sprintf("first scan: %d findings%s", counts.Total(), worst(counts)),
			}.cut())
		}
		return
	}
	if slices.Contains(c.Events, EventNew) {
		p.totals.New = p.totals.New.Plus(list(New, f.Found))
		for _, s := range f.Severity {
			if c.wants(s.Vulnerability) && c.MinSeverity != "" && s.Before.Rank() > c.MinSeverity.Rank() {
				p.items = append(p.items, line(Raised, s.Vulnerability))
				p.totals.Raised = p.totals.Raised.Plus(one(s.Severity))
			}
		}
	}
	if slices.Contains(c.Events, EventFixed) {
		p.totals.Fixed = p.totals.Fixed.Plus(list(Fixed, f.Fixed))
	}
}

// wants applies the thresholds to a finding.
func (c Config) wants(v gate.Vulnerability) bool {
	return (!c.OnlyFixable || strings.TrimSpace(v.FixedVersion) != "") &&
		(c.MinSeverity == "" || v.Severity.Rank() <= c.MinSeverity.Rank())
}

// atLeast leaves out the severities below the threshold.
func (c Config) atLeast(n gate.Counts) gate.Counts {
	var out gate.Counts
	keep := func(s gate.Severity, from int, to *int) {
		if c.MinSeverity == "" || s.Rank() <= c.MinSeverity.Rank() {
			*to = from
		}
	}
	keep("CRITICAL", n.Critical, &out.Critical)
	keep("HIGH", n.High, &out.High)
	keep("MEDIUM", n.Medium, &out.Medium)
	keep("LOW", n.Low, &out.Low)
	keep("UNKNOWN", n.Unknown, &out.Unknown)
	return out
}

func one(s gate.Severity) gate.Counts {
	return (&gate.Findings{Vulnerabilities: []gate.Vulnerability{{Severity: s}}}).Count()
}

func minus(a, b gate.Counts) gate.Counts {
	return gate.Counts{
		Critical: max(0, a.Critical-b.Critical), High: max(0, a.High-b.High), Medium: max(0, a.Medium-b.Medium), Low: max(0, a.Low-b.Low), Unknown: max(0, a.Unknown-b.Unknown),
	}
}

func highest(c gate.Counts) gate.Severity {
	for _, s := range []struct {
		n    int
		name gate.Severity
	}{{c.Critical, "CRITICAL"}, {c.High, "HIGH"}, {c.Medium, "MEDIUM"}, {c.Low, "LOW"}} {
		if s.n > 0 {
			return s.name
		}
	}
	return "UNKNOWN"
}
