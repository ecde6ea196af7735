package retention

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// syncedWithin is how long ago a registry may have been compared at most: a clock that was
// set forward by months makes every comparison old, and then nothing is forgotten until
// each registry has been compared again.
const syncedWithin = 7 * 24 * time.Hour

// Kept says why an image is not forgotten, "" when it may be.
type Kept string

// Why images are kept that no registry is known to have.
const (
	KeptLocated        Kept = "located"        // it was seen again meanwhile, or a tag names it
	KeptRecent         Kept = "recent"         // it is gone, or was analysed, for too short a time
	KeptUnconfigured   Kept = "unconfigured"   // a registry that had it is not configured any more
	KeptUnsynchronised Kept = "unsynchronised" // a registry that had it was not compared since
	KeptJob            Kept = "job"            // there is a job, or was one lately
	KeptAsked          Kept = "asked"          // admission was asked for it, or that is not known
	KeptUncharged      Kept = "uncharged"      // its charge was lost, and a sweep restores it from the record first
	KeptRelated        Kept = "related"        // an index that has it, or an image in it, is kept
	KeptFailed         Kept = "failed"         // the store did not answer, the next run tries again
)

// Reasons lists all of them, for metrics.
func Reasons() []Kept {
	return []Kept{KeptLocated, KeptRecent, KeptUnconfigured, KeptUnsynchronised, KeptJob, KeptAsked, KeptUncharged, KeptRelated, KeptFailed}
}

// facts are what a decision rests on, all of it read after the time.
type facts struct {
	now, cutoff time.Time
	compared    map[string]time.Time // when a configured registry was compared last
	asked       func(gate.Digest) time.Time
	askedSince  time.Time
	entries     map[gate.Digest]gate.Entry
	tags        map[gate.TagKey]gate.TagMapping
	charges     map[gate.Digest]gate.Charge
}

// keeps says why an image is kept. It has to be certain that the image may be forgotten:
// what is not known keeps it.
func (f *facts) keeps(i gate.AbsentImage) Kept {
	e := f.entries[i.Digest]
	if !e.Record.Known() {
		return KeptLocated // nothing is left to forget
	}
	if kept := f.keepsRecord(&e.Record); kept != "" {
		return kept
	}
	if j := e.Job; j != nil && (j.State.Live() || j.UpdatedAt.After(f.cutoff)) {
		return KeptJob
	}
	if f.askedSince.After(f.cutoff) || f.asked(i.Digest).After(f.cutoff) {
		return KeptAsked
	}
	if e.Record.InventoryID != "" && !f.charges[i.Digest].Served {
		return KeptUncharged
	}
	for _, k := range i.Tags {
		if m, known := f.tags[k]; known && m.Digest == i.Digest && !m.Gone && m.ReadAt.After(f.cutoff) {
			return KeptLocated
		}
	}
	return f.keepsRelated(i)
}

// keepsRecord looks at the locations, and at the times of the record.
func (f *facts) keepsRecord(r *gate.Record) Kept {
	newest := r.AnalyzedAt
	for _, l := range r.Locations {
		compared, configured := f.compared[l.Registry]
		switch {
		case !l.Gone:
			return KeptLocated
		case l.GoneAt.IsZero() || l.GoneAt.After(f.cutoff):
			return KeptRecent
		case !configured:
			return KeptUnconfigured
		case !compared.After(l.GoneAt) || f.now.Sub(compared).Abs() > syncedWithin:
			return KeptUnsynchronised
		}
		newest = later(newest, l.GoneAt)
	}
	if newest.IsZero() || newest.After(f.cutoff) {
		return KeptRecent // without any time nothing is known of its age
	}
	return ""
}

// keepsRelated looks at the indexes that have an image in them, which are forgotten before
// it, and at the images of an index: they are run together.
func (f *facts) keepsRelated(i gate.AbsentImage) Kept {
	for _, d := range i.Parents {
		if p := f.entries[d].Record; p.Known() {
			return KeptRelated
		}
	}
	for _, d := range i.Children {
		if f.asked(d).After(f.cutoff) {
			return KeptRelated
		}
	}
	return ""
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
