package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

// TestReviewsMakeNoQuery: what was read once, and a digest and a tag of which a write has
// told since, is read once more; everything else needs no query, and after Close nothing
// is answered.
func TestReviewsMakeNoQuery(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := gate.Location{Registry: "hub", Repository: "team/app"}
	req := gate.ReadRequest{Digests: []gate.Digest{digestOf("a"), digestOf("b")}, Tags: []gate.TagKey{{Location: at, Tag: "v1"}}}
	for _, d := range req.Digests {
		inv := &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set-1"}
		if err := errors.Join(s.PutManifest(t.Context(), gate.Manifest{Digest: d, Kind: gate.KindImage}), storetest.PutInventory(t.Context(), s, 1, inv)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.PutTag(t.Context(), req.Tags[0], req.Digests[0], time.Now(), ""); err != nil {
		t.Fatal(err)
	}
	reader := s.Admission()
	if _, err := reader.Read(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseReads(); err != nil {
		t.Fatal(err)
	}
	res, err := reader.Read(t.Context(), req)
	if err != nil || res.Digests[req.Digests[1]].State() != gate.StateScanned || res.Tags[req.Tags[0]].Digest != req.Digests[0] {
		t.Errorf("without queries: got %+v, %v", res, err)
	}
	if err := s.MarkDirty(t.Context(), req.Tags[0]); err != nil {
		t.Fatal(err)
	}
	if res, err := reader.Read(t.Context(), req); !errors.Is(err, gate.ErrStoreUnavailable) {
		t.Errorf("a tag that was marked, without queries: got %+v, %v", res, err)
	}
	req.Tags = nil
	if _, err := reader.Read(t.Context(), req); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if res, err := reader.Read(t.Context(), req); !errors.Is(err, gate.ErrStoreUnavailable) {
		t.Errorf("after Close: got %+v, %v", res, err)
	}
}

// TestForeignWritesAreSeen: the lock keeps every digestgate from a file that is open, and
// no other program. What one of them writes counts at the latest after the next write.
func TestForeignWritesAreSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := gate.TagKey{Location: gate.Location{Registry: "hub", Repository: "team/app"}, Tag: "v1"}
	if _, err := s.PutTag(t.Context(), key, digestOf("a"), time.Now(), ""); err != nil {
		t.Fatal(err)
	}
	dirty := func() bool {
		res, err := s.Admission().Read(t.Context(), gate.ReadRequest{Tags: []gate.TagKey{key}})
		if err != nil {
			t.Fatal(err)
		}
		return res.Tags[key].Dirty
	}
	if dirty() {
		t.Fatal("it is dirty")
	}
	statement(t, path, `UPDATE tags SET dirty = 1`)
	if err := s.PutManifest(t.Context(), gate.Manifest{Digest: digestOf("b"), Kind: gate.KindImage}); err != nil {
		t.Fatal(err)
	}
	if !dirty() {
		t.Error("what another program wrote is not seen")
	}
}
