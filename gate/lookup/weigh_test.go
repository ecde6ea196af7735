package lookup

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// filled gives every field of a value something of its own: n elements, texts of
// n bytes.
func filled(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Clone(strings.Repeat("x", n)))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return // points at nothing of its own
		}
		for i := range v.NumField() {
			filled(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			filled(v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range n {
			value := reflect.New(v.Type().Elem()).Elem()
			if text, ok := value.Addr().Interface().(*gate.Text); ok { // texts in texts end here
				*text = gate.Text{Key: strings.Repeat("x", n), Values: map[string]string{"x": "y"}}
			} else {
				filled(value, n)
			}
			v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("%08d", i)), value)
		}
	}
}

// reached is what a value takes beyond its own type.
func reached(v reflect.Value) int64 {
	n := int64(0)
	switch v.Kind() {
	case reflect.String:
		return int64(v.Len()+7) &^ 7
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type() != reflect.TypeFor[time.Time]() {
				n += reached(v.Field(i))
			}
		}
	case reflect.Slice:
		n = int64(v.Cap()) * int64(v.Type().Elem().Size())
		for i := range v.Len() {
			n += reached(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			n = int64(v.Type().Elem().Size()) + reached(v.Elem())
		}
	case reflect.Map:
		if v.IsNil() {
			return 0
		}
		n = 48 + int64(v.Len()+7)/8*(8+8*int64(v.Type().Key().Size()+v.Type().Elem().Size()))
		for _, key := range v.MapKeys() {
			n += reached(key) + reached(v.MapIndex(key))
		}
	case reflect.Interface:
		panic(fmt.Sprintf("%s is not weighed", v.Type()))
	}
	return n
}

func TestWeightForgetsNoField(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9} {
		var e gate.Entry
		var m gate.TagMapping
		filled(reflect.ValueOf(&e).Elem(), n)
		filled(reflect.ValueOf(&m).Elem(), n)
		if got, want := weighEntry(e), reached(reflect.ValueOf(e)); got != want {
			t.Errorf("an entry with %d of everything: got %d bytes, want %d", n, got, want)
		}
		if got, want := weighTagMapping(m), reached(reflect.ValueOf(m)); got != want {
			t.Errorf("a mapping with %d of everything: got %d bytes, want %d", n, got, want)
		}
	}
}

// heap is what is reachable now, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what has a finalizer or lies in a pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// name is a text of n bytes of its own that differs by i.
func name(i, n int) string { return fmt.Sprintf("%0*d", n, i) }

func digest(i int) gate.Digest { return gate.Digest("sha256:" + name(i, 64)) }

func ordinary(i int) gate.Entry {
	at := gate.Location{Registry: strings.Clone("harbor"), Repository: fmt.Sprintf("team/app-%d", i)}
	d := digest(i)
	job := gate.Job{ID: name(i, 20), Kind: gate.JobAnalyze, Key: name(i, 71), Location: at, Digest: digest(i), Tags: []string{name(i, 8)}, Worker: name(i, 30), State: gate.JobDone}
	return gate.Entry{Job: &job, Record: gate.Record{
		Digest: d, Version: 1, InventoryID: name(i, 64), FindingsID: name(i, 64), FindingsOf: name(i, 64), AnalyzerSet: name(i, 64), Advisories: digest(i), Matcher: name(i, 30),
		Manifest:  gate.Manifest{Digest: d, MediaType: name(i, 50), Kind: gate.KindImage, Platform: gate.Platform{OS: strings.Clone("linux"), Architecture: strings.Clone("amd64")}},
		Locations: []gate.LocationState{{Location: at, Verdict: gate.Decision{Outcome: gate.OutcomeWarn, PolicyRevision: name(i, 64), Reasons: []gate.Reason{{Action: gate.OutcomeWarn, Rule: name(i, 20), Msg: name(i, 100), Findings: []string{name(i, 16)}}}}}},
	}}
}

// longest has names as long as a reference may have, many tags and places.
func longest(i int) gate.Entry {
	e := ordinary(i)
	for k := range 120 {
		at := gate.Location{Registry: name(k, 63), Repository: name(i+k, 255)}
		e.Record.Locations = append(e.Record.Locations, gate.LocationState{Location: at, Verdict: gate.Decision{Reasons: []gate.Reason{{Msg: name(i, 300)}}}})
		e.Job.Tags = append(e.Job.Tags, name(k, 128))
		e.Record.Manifest.Children = append(e.Record.Manifest.Children, gate.Child{Digest: digest(k), MediaType: name(i, 100)})
	}
	return e
}

// mapped is a tag mapping whose names have n bytes at most.
func mapped(i, n int) gate.TagMapping {
	key := gate.TagKey{Location: gate.Location{Registry: name(i, min(n, 63)), Repository: name(i, min(n, 255))}, Tag: name(i, min(n, 128))}
	return gate.TagMapping{TagKey: key, Digest: digest(i), Host: name(i, min(n, 253))}
}

// A held cache is filled by offer, i being another each time.
type held struct {
	bound  int64
	offer  func(i int)
	weight func() int64
	count  func() int
}

func TestCachesHoldNoMoreThanTheirBytes(t *testing.T) {
	build := map[string]func() held{
		"records": func() held {
			c := newCopies()
			return held{bound: recordCopyBytes, offer: func(i int) { c.put(longest(i)) },
				weight: func() int64 { c.entries.CleanUp(); return int64(c.entries.WeightedSize()) }, count: c.entries.EstimatedSize}
		},
		"ordinary_records": func() held {
			c := newCopies()
			return held{bound: recordCopyBytes, offer: func(i int) { c.put(ordinary(i)) },
				weight: func() int64 { c.entries.CleanUp(); return int64(c.entries.WeightedSize()) }, count: c.entries.EstimatedSize}
		},
		"tags": func() held {
			c := newCopies()
			return held{bound: tagCopyBytes, offer: func(i int) { c.putTag(mapped(i, 255)) },
				weight: func() int64 { c.tags.CleanUp(); return int64(c.tags.WeightedSize()) }, count: c.tags.EstimatedSize}
		},
		"ordinary_tags": func() held {
			c := newCopies()
			return held{bound: tagCopyBytes, offer: func(i int) { c.putTag(mapped(i, 12)) },
				weight: func() int64 { c.tags.CleanUp(); return int64(c.tags.WeightedSize()) }, count: c.tags.EstimatedSize}
		},
		"kept_readings": func() held {
			l := New(Parts{}, Options{}, nil)
			return held{bound: keptReadingBytes, offer: func(i int) { m := mapped(i, 255); l.bar(m.TagKey, m.Host, m.Digest, time.Time{}) },
				weight: func() int64 { l.kept.CleanUp(); return int64(l.kept.WeightedSize()) }, count: l.kept.EstimatedSize}
		},
		"registry_answers": func() held {
			l := New(Parts{}, Options{}, nil)
			return held{bound: rememberHeads, offer: func(i int) {
				m := mapped(i, 255)
				h := &headed{key: m.TagKey, host: m.Host, digest: m.Digest}
				if i%2 == 0 {
					h.got = &gate.Manifest{Digest: digest(i), Children: make([]gate.Child, 5)}
				}
				l.heads.Set(name(i, 300), h)
			}, weight: func() int64 { l.heads.CleanUp(); return int64(l.heads.WeightedSize()) }, count: l.heads.EstimatedSize}
		},
		"remembered_tags": func() held {
			r := newRemembered()
			return held{bound: rememberNamed, offer: func(i int) { r.noteTag(mapped(i, 255).TagKey, digest(i)) },
				weight: func() int64 { r.named.CleanUp(); return int64(r.named.WeightedSize()) }, count: r.named.EstimatedSize}
		},
		"remembered_indexes": func() held {
			r := newRemembered()
			return held{bound: rememberChildren, offer: func(i int) { r.noteChildren(digest(i), []gate.Digest{digest(i + 1), digest(i + 2)}) },
				weight: func() int64 { r.children.CleanUp(); return int64(r.children.WeightedSize()) }, count: r.children.EstimatedSize}
		},
		"asked": func() held {
			l := New(Parts{Budget: freeBudget{}, Now: time.Now}, Options{NewDigestsPerHour: 1}, nil)
			return held{bound: rememberAsked, offer: func(i int) {
				_, _ = l.spend(context.Background(), gate.JobRequest{Namespace: name(i, 63), Digest: digest(i), Kind: gate.JobAnalyze})
			}, weight: func() int64 { l.asked.CleanUp(); return int64(l.asked.WeightedSize()) }, count: l.asked.EstimatedSize}
		},
	}
	for what, fill := range build {
		t.Run(what, func(t *testing.T) {
			before := heap()
			c := fill()
			for i := range 500 {
				c.offer(i)
			}
			each := c.weight() / int64(c.count())
			for i := range int(c.bound / each * 5 / 4) { // a quarter more than fits
				c.offer(500 + i)
			}
			weight, count := c.weight(), c.count()
			grown := heap() - before
			runtime.KeepAlive(c)
			t.Logf("%d entries of %d bytes: weighed %d KiB of %d, the heap grew by %d", count, weight/int64(count), weight>>10, c.bound>>10, grown>>10)
			if weight > c.bound || weight < c.bound*8/10 {
				t.Errorf("full, it weighs %d bytes; want at most %d and nearly that", weight, c.bound)
			}
			if grown > 2*weight || grown < weight/2 {
				t.Errorf("it weighs %d bytes and the heap grew by %d: no truthful weight", weight, grown)
			}
		})
	}
}

type freeBudget struct{}

func (freeBudget) Spend(context.Context, string, int, time.Duration) (bool, error) { return true, nil }

// newCopies is a RecordCopy that is filled as reads of the store fill it.
func newCopies() *RecordCopy {
	return NewRecordCopy(nil, time.Minute, time.Now, nil, slog.New(slog.DiscardHandler))
}

func (c *RecordCopy) put(e gate.Entry) {
	c.keep(gate.ReadRequest{Digests: []gate.Digest{e.Record.Digest}}, gate.ReadResult{Digests: map[gate.Digest]gate.Entry{e.Record.Digest: e}})
}

func (c *RecordCopy) putTag(m gate.TagMapping) {
	c.keep(gate.ReadRequest{Tags: []gate.TagKey{m.TagKey}}, gate.ReadResult{Tags: map[gate.TagKey]gate.TagMapping{m.TagKey: m}})
}

// TestCopiesOfFiftyThousandImages: as many as are documented fit, with their tags.
func TestCopiesOfFiftyThousandImages(t *testing.T) {
	c := newCopies()
	const images = 50_000
	for i := range images {
		c.put(ordinary(i))
		c.putTag(mapped(i, 32))
	}
	c.entries.CleanUp()
	c.tags.CleanUp()
	if e, m := c.entries.EstimatedSize(), c.tags.EstimatedSize(); e < images || m < images {
		t.Errorf("of %d images %d records and %d tags are kept", images, e, m)
	}
	if res, ok := c.copied(gate.ReadRequest{Digests: []gate.Digest{digest(0), digest(images - 1)}}); !ok || len(res.Digests) != 2 {
		t.Errorf("the first and the last: got %v, %t", res.Digests, ok)
	}
}

// TestRecordTooHeavyToKeep: one that alone would fill the cache neither is kept nor
// takes the others' place; what was known of it before is not answered either.
func TestRecordTooHeavyToKeep(t *testing.T) {
	c := newCopies()
	for i := range 100 {
		c.put(ordinary(i))
	}
	heavy := ordinary(0)
	heavy.Record.Version = 2
	heavy.Record.Manifest.Children = make([]gate.Child, recordCopyBytes/int(sizeOf[gate.Child]()))
	c.put(heavy)
	c.entries.CleanUp()
	if res, ok := c.copied(gate.ReadRequest{Digests: []gate.Digest{digest(0)}}); ok {
		t.Errorf("the heavy one: got version %d from the copies", res.Digests[digest(0)].Record.Version)
	}
	for i := range 99 {
		if _, ok := c.copied(gate.ReadRequest{Digests: []gate.Digest{digest(i + 1)}}); !ok {
			t.Fatalf("record %d has gone", i+1)
		}
	}
}
