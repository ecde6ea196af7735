package sqlite_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

// TestDamage changes stored values behind the store's back: each reads as
// absent, is told to the operator, and is mended by the next write.
func TestDamage(t *testing.T) {
	cases := []struct {
		name, query string
		args        []any
		thing       string // as the log names it
	}{
		{"record_is_not_json", `UPDATE records SET body = 'x'`, nil, "record"},
		{"record_is_cut", `UPDATE records SET body = substr(body, 1, 40)`, nil, "record"},
		{"record_has_another_outcome", `UPDATE records SET body = replace(body, 'set-1', 'set-2')`, nil, "record"},
		{"record_of_another_digest", `UPDATE records SET digest = ?`, []any{string(digestOf("a"))}, "record"},
		{"inventory_is_not_zstd", `UPDATE inventories SET data = x'00010203'`, nil, "inventory"},
		{"inventory_is_cut", `UPDATE inventories SET data = substr(data, 1, length(data) - 5)`, nil, "inventory"},
		{"inventory_is_empty", `UPDATE inventories SET data = x''`, nil, "inventory"},
		{"inventory_has_another_id", `UPDATE inventories SET id = 'sha256:0'`, nil, "inventory"},
		{"inventory_of_another_digest", `UPDATE inventories SET digest = ?`, []any{string(digestOf("a"))}, "inventory"},
		{"findings_are_not_zstd", `UPDATE findings SET data = x'28b52ffd'`, nil, "findings"},
		{"findings_of_another_digest", `UPDATE findings SET digest = ?`, []any{string(digestOf("a"))}, "findings"},
		{"verdict_is_not_json", `UPDATE locations SET verdict = '{'`, nil, "verdict"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			d := digestOf("d")
			s := open(t, path, sqlite.Options{})
			fill(t, s, d, 7)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			statement(t, path, c.query, c.args...)
			if len(c.args) > 0 {
				d = digestOf("a") // to which the value was copied
			}

			var log bytes.Buffer
			s = open(t, path, sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			res, err := s.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}})
			if err != nil {
				t.Fatal(err)
			}
			r := res.Digests[d].Record
			_, invErr := s.Inventory(t.Context(), d)
			_, findErr := s.Findings(t.Context(), d)
			absent := map[string]bool{
				"record": !r.Known(), "inventory": errors.Is(invErr, gate.ErrNotFound), "findings": errors.Is(findErr, gate.ErrNotFound),
				"verdict": len(r.Locations) == 1 && r.Locations[0].Verdict.Outcome == "",
			}
			if !absent[c.thing] {
				t.Errorf("the %s is still there: %+v", c.thing, r)
			}
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "thing="+c.thing) {
				t.Errorf("the operator was not told of the %s: %s", c.thing, log.String())
			}
			if _, err := s.Scan(t.Context(), func(store.Item) error { return nil }); err != nil {
				t.Errorf("Scan: %v", err)
			}
			fill(t, s, d, 8)
			if res, err = s.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}}); err != nil {
				t.Fatal(err)
			}
			if r := res.Digests[d].Record; r.Epoch != 8 || r.FindingsID == "" || r.Locations[0].Verdict.Outcome != gate.OutcomeDeny {
				t.Errorf("the next write has not mended it: %+v", r)
			}
			if _, err := s.Inventory(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("epoch_survives_a_record_that_cannot_be_read", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		s := open(t, path, sqlite.Options{})
		fill(t, s, digestOf("d"), 7)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		statement(t, path, `UPDATE records SET body = 'x'`)
		s = open(t, path, sqlite.Options{})
		if err := s.Fence(t.Context(), digestOf("d"), 6); !errors.Is(err, gate.ErrFenced) {
			t.Fatalf("got %v, want ErrFenced", err)
		}
	})
}

// fill stores one of everything about a digest.
func fill(t *testing.T, s *sqlite.Store, d gate.Digest, epoch int64) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.PutManifest(t.Context(), gate.Manifest{Digest: d, Kind: gate.KindImage}))
	_, err := s.AddLocation(t.Context(), d, loc)
	must(err)
	must(storetest.PutInventory(t.Context(), s, epoch, &gate.Inventory{Format: 1, Digest: d, AnalyzerSet: "set-1"}))
	res, err := s.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}})
	must(err)
	must(storetest.PutFindings(t.Context(), s, &gate.Findings{Digest: d, InventoryID: res.Digests[d].Record.InventoryID}))
	must(storetest.PutVerdicts(t.Context(), s, d, []gate.Verdict{{Location: loc, Decision: gate.Decision{Outcome: gate.OutcomeDeny}}}))
}
