package gate

import (
	"slices"
	"time"
)

// State is the state of an image as the API shows it (DESIGN.md §5).
type State string

// The states of an image.
const (
	StateNotScanned     State = "not_scanned"
	StateQueued         State = "queued"
	StateScanning       State = "scanning"
	StateScanned        State = "scanned"
	StateFailed         State = "failed"
	StateCancelled      State = "cancelled"
	StateUnassessable   State = "unassessable"
	StateQuotaExhausted State = "quota_exhausted"
)

// States lists all states.
func States() []State {
	return []State{
		StateNotScanned, StateQueued, StateScanning, StateScanned, StateFailed,
		StateCancelled, StateUnassessable, StateQuotaExhausted,
	}
}

// Record is the small part of what is stored of a digest: everything that
// admission and lists need, but not the inventory and the findings, which are
// fetched by the ids given here. The zero Record stands for an unknown digest.
type Record struct {
	Digest Digest `json:"digest"`
	// Version grows with every write to the record.
	Version int64 `json:"version"`
	// Epoch is the highest claim that has announced itself; a write with a
	// lower one is refused.
	Epoch    int64    `json:"epoch"`
	Manifest Manifest `json:"manifest"`

	// InventoryID and FindingsID are the hashes of the stored values, "" when
	// there is none. They key every cache of the large values.
	InventoryID string    `json:"inventoryID,omitempty"`
	AnalyzerSet string    `json:"analyzerSet,omitempty"`
	AnalyzedAt  time.Time `json:"analyzedAt,omitzero"`
	FindingsID  string    `json:"findingsID,omitempty"`
	FindingsOf  string    `json:"findingsOf,omitempty"` // the inventory they were computed from
	Generation  int64     `json:"generation,omitempty"`
	Advisories  Digest    `json:"advisories,omitempty"` // content of that generation
	Matcher     string    `json:"matcher,omitempty"`
	MatchedAt   time.Time `json:"matchedAt,omitzero"`
	Counts      Counts    `json:"counts"`
	// Summary is of both values; see [Record.Summarized].
	Summary Summary `json:"summary,omitzero"`

	Locations []LocationState `json:"locations"`
	// Forgotten says that everything else was removed, see store.Records.Forget. Any write
	// takes it back.
	Forgotten bool `json:"forgotten,omitempty"`
}

// LocationState is one location of a digest with its standing verdict.
type LocationState struct {
	Location
	SeenAt time.Time `json:"seenAt"`
	// Gone is set when the registry says that the digest is not there; the findings stay.
	Gone bool `json:"gone,omitempty"`
	// GoneAt is the store's time when Gone was set, the zero time when it is not, or was
	// set by a version that did not keep it.
	GoneAt  time.Time `json:"goneAt,omitzero"`
	Verdict Decision  `json:"verdict"`
}

// Settled reports whether the state of the image follows from the record alone: it has
// an inventory, cannot be assessed, or is not one image. Otherwise its newest job tells.
func (r Record) Settled() bool {
	return r.Manifest.Unassessable != "" || r.InventoryID != "" || r.Manifest.Kind != KindUnknown && r.Manifest.Kind != KindImage
}

// Known reports whether anything is stored of the digest that was not forgotten.
func (r Record) Known() bool { return r.Version > 0 && !r.Forgotten }

// At returns the state of a location of the digest, ok false when the digest
// was never seen there.
func (r Record) At(loc Location) (LocationState, bool) {
	i := slices.IndexFunc(r.Locations, func(l LocationState) bool { return l.Location == loc })
	if i < 0 {
		return LocationState{}, false
	}
	return r.Locations[i], true
}

// Confirmed reports whether what the record says of the manifest follows from
// bytes that were hashed: it was read under that rule, or an analysis has proved
// that it is an image. Otherwise it is what a version before took an index's word
// or one registry's word for, and it is read again.
func (r Record) Confirmed() bool {
	return r.Manifest.Hashed || r.Manifest.Kind == KindImage && r.InventoryID != ""
}

// Doubtful reports whether reading the manifest again may change what a version before
// recorded of it: an index may have a child that was left out, an image may be called
// unassessable on the word of another manifest, and a digest that was taken for
// something else may be an image.
func (r Record) Doubtful() bool {
	if r.Confirmed() || r.Manifest.Kind == KindUnknown {
		return false
	}
	switch r.Manifest.Kind {
	case KindImage:
		return r.Manifest.Unassessable != ""
	case KindIndex:
		return r.Manifest.Unassessable != "" || slices.ContainsFunc(r.Manifest.Children, func(c Child) bool { return !c.Judged })
	}
	return true
}

// ImageState derives the state of one platform's image from its record and its
// newest analyze job (nil when there is none). A usable inventory is "scanned"
// whatever a job does, so that a rescan never hides an image. An index has no
// state of its own: see [CombineStates].
func ImageState(r Record, newest *Job) State {
	switch {
	case r.Manifest.Unassessable != "":
		return StateUnassessable
	case r.InventoryID != "":
		return StateScanned
	case r.Manifest.Kind != KindUnknown && r.Manifest.Kind != KindImage && r.Manifest.Kind != KindIndex:
		return StateUnassessable // it is not an image, and no scan will come
	case newest == nil:
		return StateNotScanned
	}
	switch newest.State {
	case JobQueued:
		return StateQueued
	case JobRunning:
		return StateScanning
	case JobParked:
		return StateQuotaExhausted
	case JobFailed:
		if newest.Reason == "unassessable" {
			return StateUnassessable
		}
		return StateFailed
	case JobCancelled:
		return StateCancelled
	}
	return StateNotScanned
}

// stateRank orders states for an index: the one that keeps it from being
// decided longest wins.
var stateRank = []State{
	StateScanned, StateScanning, StateQueued, StateQuotaExhausted, StateNotScanned,
	StateCancelled, StateFailed, StateUnassessable,
}

// CombineStates is the state of an index from those of its judged children:
// scanned when all are, otherwise the one furthest from it, which is a state
// that this version does not know. Without children it is unassessable.
func CombineStates(children []State) State {
	if len(children) == 0 {
		return StateUnassessable
	}
	rank := func(s State) int {
		if i := slices.Index(stateRank, s); i >= 0 {
			return i
		}
		return len(stateRank)
	}
	return slices.MaxFunc(children, func(a, b State) int { return rank(a) - rank(b) })
}

// TagMapping is what our own read of a tag found.
type TagMapping struct {
	TagKey
	Digest Digest `json:"digest"`
	// Host is the registry's host that was read, "" when an earlier version recorded
	// the mapping.
	Host string `json:"host,omitempty"`
	// ReadAt is the store's time when the read started; a mapping from a
	// later read replaces one from an earlier.
	ReadAt time.Time `json:"readAt"`
	// Dirty is set by push and delete events; a dirty mapping is never used
	// at admission.
	Dirty   bool      `json:"dirty,omitempty"`
	DirtyAt time.Time `json:"dirtyAt,omitzero"`
	// Gone: the last read found no such tag.
	Gone bool `json:"gone,omitempty"`
}

// Usable reports whether admission may rely on the mapping at now when it was
// confirmed at most maxAge ago. One from further ahead than that was stamped by
// a clock that has been set back since, and its age is not known.
func (m TagMapping) Usable(now time.Time, maxAge time.Duration) bool {
	return m.Digest != "" && !m.Dirty && !m.Gone && now.Sub(m.ReadAt).Abs() <= maxAge
}

// At is what the mapping says about host, where the registry is read now. A mapping
// that was read of another host does not say what the tag names here, only whether an
// event said that it may have moved.
func (m TagMapping) At(host string) TagMapping {
	if m.Host == "" || m.Host == host {
		return m
	}
	return TagMapping{TagKey: m.TagKey, Dirty: m.Dirty, DirtyAt: m.DirtyAt}
}

// ReadRequest asks for the small records in one round trip.
type ReadRequest struct {
	Digests []Digest
	Tags    []TagKey
	// AllJobs asks for the newest job of every digest, also where the state of the image
	// does not depend on it (see [Record.Settled]), because its activity is shown.
	AllJobs bool
}

// Entry is one digest as read: its record (zero when unknown) and its newest
// analyze job. The job is nil when there is none, and when it was not asked for: see
// ReadRequest.AllJobs.
type Entry struct {
	Record Record
	Job    *Job
	// Copied: from a local copy, because the store did not answer; see
	// lookup.RecordCopy.
	Copied bool
}

// State is the image's state; see [ImageState].
func (e Entry) State() State { return ImageState(e.Record, e.Job) }

// ReadResult answers a ReadRequest. Everything asked for has an entry in
// Digests; Tags holds the known ones only. Now is the store's clock.
type ReadResult struct {
	Digests map[Digest]Entry
	Tags    map[TagKey]TagMapping
	Now     time.Time
	Copied  bool // as for Entry
}

// ChangeKind says what changed in the feed.
type ChangeKind string

// The kinds of change.
const (
	ChangeRecord  ChangeKind = "record"  // Key: digest
	ChangeJob     ChangeKind = "job"     // Key: job id
	ChangeTag     ChangeKind = "tag"     // Key: registry/repository:tag
	ChangeSetting ChangeKind = "setting" // Key: name
)

// Change is one entry of the feed. It names what changed; the reader fetches
// the present value.
type Change struct {
	Seq  int64      `json:"seq"`
	Kind ChangeKind `json:"kind"`
	Key  string     `json:"key"`
	At   time.Time  `json:"at"`
	// History, of a record, is the number of the history entry that was written with
	// the change, 0 for none.
	History int64 `json:"history,omitempty"`
}

// ScanFunc receives one stored thing at a time.
type ScanFunc func(Item) error

// Item is one stored thing in a scan of the store; exactly one field is set.
type Item struct {
	Record *Record
	Job    *Job
	Tag    *TagMapping
}

// Charge is what is written down when a digest is charged, which happens once
// in the life of an installation. The zero value stands for a digest that never
// was.
type Charge struct {
	Period string    // the key of the period it counts in, never ""
	At     time.Time // when it was reserved by a claim, or what Restore was told
	// Served: it is kept whatever becomes of the job. Otherwise it is reserved
	// by one, and given back if that ends for good without a result.
	Served bool
}

// QuotaUse is what was charged in a period.
type QuotaUse struct {
	Used    int64 `json:"used"`
	Avoided int64 `json:"avoided"` // asks that were answered without a charge
}
