package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// value is an inventory or findings on its way to the file.
type value struct {
	id   string
	data []byte
}

// encode makes the canonical JSON of v, its id and its compressed form. It
// runs in the caller, not in the writer.
func (s *Store) encode(v any) (value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return value{}, fmt.Errorf("encoding: %w: %w", gate.ErrInvalid, err)
	}
	if len(text) > store.MaxValue {
		return value{}, fmt.Errorf("%d bytes of JSON are over the limit of %d: %w", len(text), store.MaxValue, gate.ErrTooLarge)
	}
	return value{id: idOf(text), data: s.encoder.EncodeAll(text, nil)}, nil
}

func idOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// load reads a large value into v. One that cannot be read, or is not what its
// id promises, is logged and reads as gate.ErrNotFound.
func (s *Store) load(ctx context.Context, thing, query string, d gate.Digest, v any) error {
	what := fmt.Sprintf("reading the %s of %s", thing, gate.Printable(string(d), 100))
	var id string
	var data []byte
	err := s.queries.row(ctx, query, string(d)).Scan(&id, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	}
	if err != nil {
		return storeError(what, err)
	}
	text, err := s.decoder.DecodeAll(data, nil)
	if err == nil && idOf(text) != id {
		err = errors.New("content does not match its id")
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		s.damaged(thing, d, err)
		return fmt.Errorf("%s: it is damaged: %w", what, gate.ErrNotFound)
	}
	return nil
}

// PutInventory stores a new inventory of the claim with the epoch.
func (s *Store) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) error {
	v, err := s.encode(inv)
	if err != nil {
		return fmt.Errorf("storing the inventory of %s: %w", gate.Printable(string(inv.Digest), 100), err)
	}
	_, err = update(ctx, s, "storing the inventory of", inv.Digest, func(t *tx, r *record) (none, bool, error) {
		if err := r.fence(epoch); err != nil {
			return none{}, false, err
		}
		r.body.InventoryID, r.body.AnalyzerSet, r.body.AnalyzedAt = v.id, inv.AnalyzerSet, inv.AnalyzedAt
		r.body.Tried = ""
		return none{}, true, t.exec(`INSERT INTO inventories (digest, id, data) VALUES (?1, ?2, ?3)
			ON CONFLICT (digest) DO UPDATE SET id = ?2, data = ?3`, string(r.digest), v.id, v.data)
	})
	return err
}

// PutFindings stores findings of the stored inventory.
func (s *Store) PutFindings(ctx context.Context, f *gate.Findings) error {
	v, err := s.encode(f)
	if err != nil {
		return fmt.Errorf("storing the findings of %s: %w", gate.Printable(string(f.Digest), 100), err)
	}
	_, err = update(ctx, s, "storing the findings of", f.Digest, func(t *tx, r *record) (none, bool, error) {
		b := &r.body
		switch {
		case b.InventoryID == "" || b.InventoryID != f.InventoryID:
			return none{}, false, fmt.Errorf("they are of inventory %q, stored is %q: %w",
				gate.Printable(f.InventoryID, 80), b.InventoryID, gate.ErrConflict)
		case b.FindingsOf == f.InventoryID && f.Generation < b.Generation:
			return none{}, false, fmt.Errorf("they are of generation %d, stored is %d: %w", f.Generation, b.Generation, gate.ErrConflict)
		case b.FindingsID == v.id:
			return none{}, false, nil
		}
		b.FindingsID, b.FindingsOf, b.Generation, b.Matcher = v.id, f.InventoryID, f.Generation, f.Matcher
		b.MatchedAt, b.Counts = f.MatchedAt, f.Count()
		return none{}, true, t.exec(`INSERT INTO findings (digest, id, data) VALUES (?1, ?2, ?3)
			ON CONFLICT (digest) DO UPDATE SET id = ?2, data = ?3`, string(r.digest), v.id, v.data)
	})
	return err
}

// Inventory returns the stored inventory; gate.ErrConflict when its format is
// of a newer version, so that the image is analysed again.
func (s *Store) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	inv := new(gate.Inventory)
	if err := s.load(ctx, "inventory", queryInventory, d, inv); err != nil {
		return nil, err
	}
	switch {
	case inv.Digest != d:
		s.damaged("inventory", d, fmt.Errorf("it is that of %q", gate.Printable(string(inv.Digest), 100)))
		return nil, fmt.Errorf("reading the inventory of %s: it is of another digest: %w", d, gate.ErrNotFound)
	case inv.Format > gate.InventoryFormat:
		return nil, fmt.Errorf("reading the inventory of %s: format %d is newer than %d: %w", d, inv.Format, gate.InventoryFormat, gate.ErrConflict)
	}
	return inv, nil
}

// Findings returns the stored findings.
func (s *Store) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	f := new(gate.Findings)
	if err := s.load(ctx, "findings", queryFindings, d, f); err != nil {
		return nil, err
	}
	if f.Digest != d {
		s.damaged("findings", d, fmt.Errorf("they are those of %q", gate.Printable(string(f.Digest), 100)))
		return nil, fmt.Errorf("reading the findings of %s: they are of another digest: %w", d, gate.ErrNotFound)
	}
	return f, nil
}
