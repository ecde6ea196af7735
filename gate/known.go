package gate

import "slices"

// Known is what is in hand of a digest while it is worked on: it is read at the first
// door and handed on, instead of being read again by each step. It is a copy, and the
// store may have moved on since. What depends on that is written with a condition:
// see [Written] and [Basis].
type Known struct {
	Entry
	// Inventory and Findings, unless nil, are the values that the record names.
	Inventory *Inventory
	Findings  *Findings
}

// Occasion is why the findings and verdicts of a digest are renewed.
type Occasion struct {
	Event Event
	// Tags were just read to name the digest at a location, At. The lists that say so of
	// others may not show them yet.
	At   Location
	Tags []string
}

// Written is what a write of a large value led to.
type Written struct {
	ID string // of the value, as the record names it now
	// Version is the record's now. One more than a version that was read before says
	// that nothing else was written in between.
	Version int64
	// Same: it was stored already, by another or by a try before, and nothing was
	// written.
	Same bool
}

// Follows reports whether a record that was read at a version differs from the stored
// one by this write alone.
func (w Written) Follows(version int64) bool { return !w.Same && w.Version == version+1 }

// Basis is what a standing verdict was evaluated from. A verdict whose basis is not
// the record's any more must not replace one of what came after it.
type Basis struct {
	Kind         ManifestKind
	Unassessable string
	InventoryID  string
	FindingsID   string
	// Version is that of the record as it was read, 0 when that is not known. While it is
	// the record's, nothing of the record has changed and the rest need not be compared.
	// At another version the rest decides.
	Version int64
	// Event and Generation are why the verdict was evaluated and that of the findings it
	// rests on. They are written down in the history and decide nothing.
	Event      Event
	Generation int64
}

// Basis is what a verdict of the record as it is now rests on.
func (r *Record) Basis() Basis {
	return Basis{
		Kind: r.Manifest.Kind, Unassessable: r.Manifest.Unassessable, InventoryID: r.InventoryID, FindingsID: r.FindingsID, Version: r.Version, Generation: r.Generation,
	}
}

// Is reports whether two bases are the same, whatever the versions are and what is written
// down of them.
func (b Basis) Is(o Basis) bool {
	b.Version, b.Event, b.Generation = o.Version, o.Event, o.Generation
	return b == o
}

// Locate makes the record show that the digest is located at loc.
func (r *Record) Locate(loc Location) {
	i := slices.IndexFunc(r.Locations, func(l LocationState) bool { return l.Location == loc })
	r.Locations = slices.Clone(r.Locations)
	if i < 0 {
		r.Locations = append(r.Locations, LocationState{Location: loc})
		return
	}
	r.Locations[i].Gone = false
}

// TakeInventory makes the record name an inventory, with its summary. Findings of another stay.
func (r *Record) TakeInventory(id string, inv *Inventory) {
	r.InventoryID, r.AnalyzerSet, r.AnalyzedAt = id, inv.AnalyzerSet, inv.AnalyzedAt
	r.Summary.Inventory = inv.Summarize(id)
}

// TakeFindings makes the record name findings, with their summary.
func (r *Record) TakeFindings(id string, f *Findings) {
	r.FindingsID, r.FindingsOf, r.Generation, r.Matcher = id, f.InventoryID, f.Generation, f.Matcher
	r.Advisories, r.MatchedAt, r.Counts = f.Advisories, f.MatchedAt, f.Count()
	r.Summary.Findings = f.Summarize(id)
	if !r.InventorySummarized() && f.Matched.Of == r.InventoryID {
		r.Summary.Inventory = f.Matched
	}
}
