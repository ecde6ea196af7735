package copies

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies/copiestest"
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
	case reflect.Array:
		for i := range v.Len() {
			filled(v.Index(i), n)
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
	case reflect.Array:
		for i := range v.Len() {
			n += reached(v.Index(i))
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
		if got, want := WeighTag(m), reached(reflect.ValueOf(m)); got != want {
			t.Errorf("a mapping with %d of everything: got %d bytes, want %d", n, got, want)
		}
	}
}

func ordinary(i int) gate.Entry {
	at := gate.Location{Registry: strings.Clone("harbor"), Repository: fmt.Sprintf("team/app-%d", i)}
	d := copiestest.Digest(i)
	job := gate.Job{ID: copiestest.Name(i, 20), Kind: gate.JobAnalyze, Key: copiestest.Name(i, 71), Location: at, Digest: copiestest.Digest(i), Tags: []string{copiestest.Name(i, 8)}, Worker: copiestest.Name(i, 30), State: gate.JobDone}
	return gate.Entry{Job: &job, Record: gate.Record{
		Digest: d, Version: 1, InventoryID: copiestest.Name(i, 64), FindingsID: copiestest.Name(i, 64), FindingsOf: copiestest.Name(i, 64), AnalyzerSet: copiestest.Name(i, 64), Advisories: copiestest.Digest(i), Matcher: copiestest.Name(i, 30),
		Manifest: gate.Manifest{Digest: d, MediaType: copiestest.Name(i, 50), Kind: gate.KindImage, Platform: gate.Platform{OS: strings.Clone("linux"), Architecture: strings.Clone("amd64")}},
		Summary: gate.Summary{
			Inventory: gate.InventorySummary{
				Of: copiestest.Name(i, 64), Family: strings.Clone("debian"), Release: strings.Clone("12.5"), Platform: copiestest.Name(i, 11),
				Isolation: strings.Clone("strict"), User: copiestest.Name(i, 5), RisksAlike: copiestest.Name(i, 22), SecretsAlike: copiestest.Name(i, 22),
			},
			Findings: gate.FindingsSummary{Of: copiestest.Name(i, 64), Advisories: copiestest.Digest(i), Alike: [5]string{copiestest.Name(i, 22), copiestest.Name(i, 23), copiestest.Name(i, 24), copiestest.Name(i, 25), copiestest.Name(i, 26)}, GapsAlike: copiestest.Name(i, 22)},
		},
		Locations: []gate.LocationState{{Location: at, Verdict: gate.Decision{Outcome: gate.OutcomeWarn, PolicyRevision: copiestest.Name(i, 64), Reasons: []gate.Reason{{Action: gate.OutcomeWarn, Rule: copiestest.Name(i, 20), Msg: copiestest.Name(i, 100), Findings: []string{copiestest.Name(i, 16)}}}}}},
	}}
}

// longest has names as long as a reference may have, many tags and places.
func longest(i int) gate.Entry {
	e := ordinary(i)
	for k := range 120 {
		at := gate.Location{Registry: copiestest.Name(k, 63), Repository: copiestest.Name(i+k, 255)}
		e.Record.Locations = append(e.Record.Locations, gate.LocationState{Location: at, Verdict: gate.Decision{Reasons: []gate.Reason{{Msg: copiestest.Name(i, 300)}}}})
		e.Job.Tags = append(e.Job.Tags, copiestest.Name(k, 128))
		e.Record.Manifest.Children = append(e.Record.Manifest.Children, gate.Child{Digest: copiestest.Digest(k), MediaType: copiestest.Name(i, 100)})
	}
	return e
}

func TestCopiesHoldNoMoreThanTheirBytes(t *testing.T) {
	records := func(make func(int) gate.Entry) func() copiestest.Held {
		return func() copiestest.Held {
			c := New(time.Now)
			return copiestest.Held{Bound: recordBytes, Offer: func(i int) { c.put(make(i)) },
				Weight: func() int64 { c.entries.CleanUp(); return int64(c.entries.WeightedSize()) }, Count: c.entries.EstimatedSize}
		}
	}
	tags := func(n int) func() copiestest.Held {
		return func() copiestest.Held {
			c := New(time.Now)
			return copiestest.Held{Bound: tagBytes, Offer: func(i int) { c.putTag(copiestest.Mapped(i, n)) },
				Weight: func() int64 { c.tags.CleanUp(); return int64(c.tags.WeightedSize()) }, Count: c.tags.EstimatedSize}
		}
	}
	copiestest.Check(t, map[string]func() copiestest.Held{
		"records": records(longest), "ordinary_records": records(ordinary), "tags": tags(255), "ordinary_tags": tags(12),
	})
}

func (c *Copies) put(e gate.Entry) {
	d := e.Record.Digest
	c.KeepEntry(d, Entry{Entry: e, Proof: Proof{Order: e.Record.Version}}, c.EntryTurn(d))
}

func (c *Copies) putTag(m gate.TagMapping) {
	c.KeepTag(m.TagKey, &Tag{TagMapping: m}, c.TagTurn(m.TagKey))
}

// TestCopiesOfFortyThousandImages: as many as are documented fit, with their tags.
func TestCopiesOfFortyThousandImages(t *testing.T) {
	c := New(time.Now)
	const images = 40_000
	for i := range images {
		c.put(ordinary(i))
		c.putTag(copiestest.Mapped(i, 32))
	}
	c.entries.CleanUp()
	c.tags.CleanUp()
	if e, m := c.entries.EstimatedSize(), c.tags.EstimatedSize(); e < images || m < images {
		t.Errorf("of %d images %d records and %d tags are kept", images, e, m)
	}
	for _, i := range []int{0, images - 1} {
		if e := c.Entry(copiestest.Digest(i)); e == nil || e.Record.Digest != copiestest.Digest(i) {
			t.Errorf("record %d: got %+v", i, e)
		}
	}
}

// TestRecordTooHeavyToKeep: one that alone would fill the cache neither is kept nor
// takes the others' place; what was known of it before is not answered either.
func TestRecordTooHeavyToKeep(t *testing.T) {
	c := New(time.Now)
	for i := range 100 {
		c.put(ordinary(i))
	}
	heavy := ordinary(0)
	heavy.Record.Version = 2
	heavy.Record.Manifest.Children = make([]gate.Child, recordBytes/int(SizeOf[gate.Child]()))
	c.put(heavy)
	c.entries.CleanUp()
	if e := c.Entry(copiestest.Digest(0)); e != nil {
		t.Errorf("the heavy one: got version %d from the copies", e.Record.Version)
	}
	for i := range 99 {
		if c.Entry(copiestest.Digest(i+1)) == nil {
			t.Fatalf("record %d has gone", i+1)
		}
	}
}
