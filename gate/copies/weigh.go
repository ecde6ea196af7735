package copies

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

// Weighed is a cache that holds at most maxBytes. weigh gives what a key and a
// value take beyond the size of their types.
func Weighed[K comparable, V any](maxBytes int64, weigh func(K, V) int64) *otter.Cache[K, V] {
	fixed := nodeBytes + SizeOf[K]() + SizeOf[V]()
	return otter.Must(&otter.Options[K, V]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(k K, v V) uint32 { return uint32(min(fixed+weigh(k, v), math.MaxUint32)) },
	})
}

// SizeOf is what a type itself takes, in bytes.
func SizeOf[T any]() int64 { return int64(reflect.TypeFor[T]().Size()) }

// BytesOf is what texts of any type take, in bytes.
func BytesOf[T ~string](texts ...T) int64 {
	n := int64(0)
	for _, t := range texts {
		n += int64(len(t)+7) &^ 7 // as the allocator rounds it, about
	}
	return n
}

// Slots are the bytes that a slice takes before what its elements point at.
func Slots[T any](s []T) int64 { return int64(cap(s)) * SizeOf[T]() }

// The functions named weigh… and Weigh… give what a value takes beyond its own type, in
// bytes. A test fails when a field is forgotten.

func weighLocation(l gate.Location) int64 { return BytesOf(l.Registry, l.Repository) }

// WeighTagKey is for the name of a tag.
func WeighTagKey(k gate.TagKey) int64 { return weighLocation(k.Location) + BytesOf(k.Tag) }

// WeighTag is for a mapping with its name.
func WeighTag(m gate.TagMapping) int64 {
	return WeighTagKey(m.TagKey) + BytesOf(m.Digest) + BytesOf(m.Host)
}

func weighEntry(e gate.Entry) int64 {
	n := weighRecord(e.Record)
	if e.Job != nil {
		n += SizeOf[gate.Job]() + weighJob(*e.Job)
	}
	return n
}

func weighRecord(r gate.Record) int64 {
	n := BytesOf(r.Digest, r.Advisories) + WeighManifest(r.Manifest) +
		BytesOf(r.InventoryID, r.AnalyzerSet, r.FindingsID, r.FindingsOf, r.Matcher) + Slots(r.Locations) + weighSummary(r.Summary)
	for _, l := range r.Locations {
		n += weighLocation(l.Location) + weighDecision(l.Verdict)
	}
	return n
}

func weighSummary(s gate.Summary) int64 {
	i, f := s.Inventory, s.Findings
	return BytesOf(i.Of, i.Family, i.Release, i.Platform, i.Isolation, i.User, i.RisksAlike, i.SecretsAlike) +
		Slots(i.Incomplete) + BytesOf(i.Incomplete...) + BytesOf(f.Of, f.GapsAlike, f.NamesAlike, f.Uses) + BytesOf(f.Alike[:]...) + BytesOf(f.Advisories)
}

func weighPlatform(p gate.Platform) int64 {
	return BytesOf(p.OS, p.Architecture, p.Variant, p.OSVersion)
}

// WeighManifest is for a manifest.
func WeighManifest(m gate.Manifest) int64 {
	n := BytesOf(m.Digest, m.Subject) + BytesOf(m.Kind) + BytesOf(m.MediaType, m.Unassessable) + weighPlatform(m.Platform) + Slots(m.Children) + Slots(m.Attestations)
	for _, a := range m.Attestations {
		n += BytesOf(a.Digest, a.Subject)
	}
	for _, c := range m.Children {
		n += BytesOf(c.Digest) + BytesOf(c.MediaType) + weighPlatform(c.Platform)
	}
	return n
}

func weighDecision(d gate.Decision) int64 {
	n := BytesOf(d.Outcome) + BytesOf(d.Code) + BytesOf(d.PolicyRevision) + Slots(d.Reasons)
	for _, r := range d.Reasons {
		n += BytesOf(r.Action) + BytesOf(r.Code) + BytesOf(r.Rule, r.Msg) + Slots(r.Findings) + BytesOf(r.Findings...) + weighText(r.Text)
	}
	return n
}

// places are what a map takes before what its keys and values point at: a header, and
// groups of eight (internal/runtime/maps).
func places[V any](m map[string]V) int64 {
	if m == nil {
		return 0
	}
	return 48 + int64(len(m)+7)/8*(8+8*(SizeOf[string]()+SizeOf[V]()))
}

func weighText(t gate.Text) int64 {
	n := BytesOf(t.Key) + places(t.Values) + places(t.Texts)
	for name, value := range t.Values {
		n += BytesOf(name, value)
	}
	for name, inner := range t.Texts {
		n += BytesOf(name) + weighText(inner)
	}
	return n
}

func weighJob(j gate.Job) int64 {
	n := BytesOf(j.ID, j.Key, j.Worker, j.Error, j.Reason) + BytesOf(j.Kind) + weighLocation(j.Location) + BytesOf(j.Digest) +
		Slots(j.Tags) + BytesOf(j.Tags...) + BytesOf(j.Trigger) + BytesOf(j.State) + BytesOf(j.Progress.Phase) + Slots(j.Causes)
	for _, c := range j.Causes {
		n += BytesOf(c.Kind) + weighLocation(c.At) + BytesOf(c.Text)
	}
	return n
}
