package lookup

import (
	"math"
	"reflect"

	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
)

// Caches that a caller can fill are bounded by the memory that their entries take,
// keys included: with a bound on their number, long names or records with many places
// would take many times the intended memory.

// nodeBytes is what such a cache takes for an entry in addition to key and value:
// its place in the table, in a queue and in the sketch of frequencies.
const nodeBytes = 160

// newWeighed is a cache that holds at most maxBytes. weigh gives what a key and a
// value take beyond the size of their types.
func newWeighed[K comparable, V any](maxBytes int64, weigh func(K, V) int64) *otter.Cache[K, V] {
	fixed := nodeBytes + sizeOf[K]() + sizeOf[V]()
	return otter.Must(&otter.Options[K, V]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(k K, v V) uint32 { return uint32(min(fixed+weigh(k, v), math.MaxUint32)) },
	})
}

func sizeOf[T any]() int64 { return int64(reflect.TypeFor[T]().Size()) }

// bytesOf is what texts of any type take.
func bytesOf[T ~string](texts ...T) int64 {
	n := int64(0)
	for _, t := range texts {
		n += int64(len(t)+7) &^ 7 // as the allocator rounds it, about
	}
	return n
}

// slots are what a slice takes before what its elements point at.
func slots[T any](s []T) int64 { return int64(cap(s)) * sizeOf[T]() }

// The functions named weigh… give what a value takes beyond its own type. A test fails
// when a field is forgotten.

func weighLocation(l gate.Location) int64 { return bytesOf(l.Registry, l.Repository) }

func weighTagKey(k gate.TagKey) int64 { return weighLocation(k.Location) + bytesOf(k.Tag) }

func weighTagMapping(m gate.TagMapping) int64 {
	return weighTagKey(m.TagKey) + bytesOf(m.Digest) + bytesOf(m.Host)
}

func weighEntry(e gate.Entry) int64 {
	n := weighRecord(e.Record)
	if e.Job != nil {
		n += sizeOf[gate.Job]() + weighJob(*e.Job)
	}
	return n
}

func weighRecord(r gate.Record) int64 {
	n := bytesOf(r.Digest, r.Advisories) + weighManifest(r.Manifest) +
		bytesOf(r.InventoryID, r.AnalyzerSet, r.FindingsID, r.FindingsOf, r.Matcher) + slots(r.Locations)
	for _, l := range r.Locations {
		n += weighLocation(l.Location) + weighDecision(l.Verdict)
	}
	return n
}

func weighPlatform(p gate.Platform) int64 {
	return bytesOf(p.OS, p.Architecture, p.Variant, p.OSVersion)
}

func weighManifest(m gate.Manifest) int64 {
	n := bytesOf(m.Digest, m.Subject) + bytesOf(m.Kind) + bytesOf(m.MediaType, m.Unassessable) + weighPlatform(m.Platform) + slots(m.Children) + slots(m.Attestations)
	for _, a := range m.Attestations {
		n += bytesOf(a.Digest, a.Subject)
	}
	for _, c := range m.Children {
		n += bytesOf(c.Digest) + bytesOf(c.MediaType) + weighPlatform(c.Platform)
	}
	return n
}

func weighDecision(d gate.Decision) int64 {
	n := bytesOf(d.Outcome) + bytesOf(d.Code) + bytesOf(d.PolicyRevision) + slots(d.Reasons)
	for _, r := range d.Reasons {
		n += bytesOf(r.Action) + bytesOf(r.Code) + bytesOf(r.Rule, r.Msg) + slots(r.Findings) + bytesOf(r.Findings...) + weighText(r.Text)
	}
	return n
}

// places are what a map takes before what its keys and values point at: a header, and
// groups of eight (internal/runtime/maps).
func places[V any](m map[string]V) int64 {
	if m == nil {
		return 0
	}
	return 48 + int64(len(m)+7)/8*(8+8*(sizeOf[string]()+sizeOf[V]()))
}

func weighText(t gate.Text) int64 {
	n := bytesOf(t.Key) + places(t.Values) + places(t.Texts)
	for name, value := range t.Values {
		n += bytesOf(name, value)
	}
	for name, inner := range t.Texts {
		n += bytesOf(name) + weighText(inner)
	}
	return n
}

func weighJob(j gate.Job) int64 {
	n := bytesOf(j.ID, j.Key, j.Worker, j.Error, j.Reason) + bytesOf(j.Kind) + weighLocation(j.Location) + bytesOf(j.Digest) +
		slots(j.Tags) + bytesOf(j.Tags...) + bytesOf(j.Trigger) + bytesOf(j.State) + bytesOf(j.Progress.Phase) + slots(j.Causes)
	for _, c := range j.Causes {
		n += bytesOf(c.Kind) + weighLocation(c.At) + bytesOf(c.Text)
	}
	return n
}
