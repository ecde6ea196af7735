package standing

import (
	"cmp"
	"context"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// Changes takes what became different; history and notifications are made from it. It
// is called by the worker that has written the change, after the write, and must
// return soon. A process that ends between the two reports nothing, so that a change
// is told at most once; the record has what stands.
type Changes interface {
	// Changed takes one change. It returns no error: a taker that cannot keep it loses
	// it, and the record stays right.
	Changed(ctx context.Context, c gate.StandingChange)
}

// change begins the change of one renewal.
func (s *Standing) change(k *gate.Known, o gate.Occasion) *gate.StandingChange {
	return &gate.StandingChange{Digest: k.Record.Digest, At: s.Now(), Event: o.Event, Generation: k.Record.Generation}
}

// tell hands a change on.
func (s *Standing) tell(ctx context.Context, c gate.StandingChange) {
	if s.Changes != nil && !c.Empty() {
		s.Changes.Changed(ctx, c)
	}
}

// compare says what new findings changed. older are those that rec named, nil when
// there were none or they are lost; inv is what was matched.
func compare(rec gate.Record, older *gate.Findings, inv *gate.Inventory, f *gate.Findings) *gate.FindingsChange {
	c := &gate.FindingsChange{Before: refOf(rec, older), After: newRef(f), First: rec.FindingsID == "", Lost: rec.FindingsID != "" && older == nil}
	c.Analysed = rec.FindingsOf != "" && rec.FindingsOf != f.InventoryID
	// The same inventory hides what it hid before.
	c.Incomplete = f.Unassessable != "" || rec.FindingsOf != f.InventoryID && inv.Named(f).Risks[gate.RiskVulnerabilities].Coverage != gate.Complete
	if c.Lost {
		return c
	}
	var found, gone []gate.Vulnerability
	gate.PairFindings(older, f, func(before, after []*gate.Vulnerability) {
		b, a := len(before), len(after)
		switch {
		case b == 0:
			found = append(found, *after[a-1])
		case a == 0:
			gone = append(gone, *before[b-1])
		case before[b-1].Severity != after[a-1].Severity:
			c.Severity = append(c.Severity, gate.SeverityChange{Vulnerability: *after[a-1], Before: before[b-1].Severity})
		}
	})
	c.Found = changed(found)
	if fixed := changed(gone); c.Incomplete {
		c.Unseen, c.Missing = fixed.Total, fixed.List
	} else {
		c.Fixed = fixed
	}
	slices.SortFunc(c.Severity, func(a, b gate.SeverityChange) int { return worstFirst(a.Vulnerability, b.Vulnerability) })
	c.MoreSeverity = max(0, len(c.Severity)-gate.MaxChanged)
	c.Severity = slices.Clip(c.Severity[:len(c.Severity)-c.MoreSeverity])
	return c
}

func refOf(rec gate.Record, f *gate.Findings) gate.FindingsRef {
	ref := gate.FindingsRef{ID: rec.FindingsID, InventoryID: rec.FindingsOf, Generation: rec.Generation, Advisories: rec.Advisories, Counts: rec.Counts}
	if f != nil {
		ref.Unassessable = f.Unassessable
	}
	return ref
}

// newRef names findings that are not stored yet.
func newRef(f *gate.Findings) gate.FindingsRef {
	return gate.FindingsRef{
		InventoryID: f.InventoryID, Generation: f.Generation, Advisories: f.Advisories, Counts: f.Count(), Unassessable: f.Unassessable,
	}
}

func changed(list []gate.Vulnerability) gate.ChangedFindings {
	all := gate.Findings{Vulnerabilities: list}
	slices.SortFunc(list, worstFirst)
	return gate.ChangedFindings{List: slices.Clone(list[:min(len(list), gate.MaxChanged)]), Total: all.Count()}
}

func worstFirst(a, b gate.Vulnerability) int {
	return cmp.Or(cmp.Compare(a.Severity.Rank(), b.Severity.Rank()), cmp.Compare(a.Key(), b.Key()))
}
