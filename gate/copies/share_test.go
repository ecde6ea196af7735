package copies

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// TestShare: a copy says what was read, to the last field, and has the texts that it has in
// common with other copies only once.
func TestShare(t *testing.T) {
	read := func() gate.Record { // as a store decodes it: each text of its own
		var r gate.Record
		filled(reflect.ValueOf(&r).Elem(), 3)
		for i := range r.Locations {
			r.Locations[i].Verdict = gate.Decision{}
		}
		r.Version = 1
		r.AnalyzedAt, r.Digest = time.Unix(1, 0).UTC(), gate.Digest(strings.Clone("xxx"))
		return r
	}
	c := New(time.Now)
	var kept [2]*Entry
	for i := range kept {
		r := read()
		c.KeepEntry(gate.Digest(strings.Repeat("d", i+1)), Entry{Entry: gate.Entry{Record: r}}, c.EntryTurn(gate.Digest(strings.Repeat("d", i+1))))
		kept[i] = c.Entry(gate.Digest(strings.Repeat("d", i+1)))
		if diff := cmp.Diff(read(), kept[i].Record); diff != "" {
			t.Errorf("copy %d is not what was read (-read +copy):\n%s", i, diff)
		}
	}
	at := func(s string) *byte { return unsafe.StringData(s) }
	a, b := &kept[0].Record, &kept[1].Record
	for what, pair := range map[string][2]string{
		"matcher of two records":              {a.Matcher, b.Matcher},
		"repository of two records":           {a.Locations[0].Repository, b.Locations[0].Repository},
		"hash of findings of two records":     {a.Summary.Findings.Alike[0], b.Summary.Findings.Alike[0]},
		"id of the inventory and its summary": {a.InventoryID, a.Summary.Inventory.Of},
		"digest and that of the manifest":     {string(a.Digest), string(a.Manifest.Digest)},
	} {
		if at(pair[0]) != at(pair[1]) {
			t.Errorf("%s: two texts in memory", what)
		}
	}
	if at(a.InventoryID) == at(b.InventoryID) {
		t.Error("the ids of two inventories are shared, which differ in all records")
	}
}
