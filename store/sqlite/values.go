package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

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
	if err := s.codec.Decode(store.Value{ID: id, Data: data}, v); errors.Is(err, gate.ErrConflict) {
		return fmt.Errorf("%s: %w", what, err)
	} else if err != nil {
		s.damaged(thing, d, err)
		return fmt.Errorf("%s: it is damaged: %w", what, gate.ErrNotFound)
	}
	return nil
}

// PutInventory stores a new inventory of the claim with the epoch.
func (s *Store) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error) {
	v, err := s.codec.Encode(inv)
	if err != nil {
		return gate.Written{}, fmt.Errorf("storing the inventory of %s: %w", gate.Printable(string(inv.Digest), 100), err)
	}
	return update(ctx, s, "storing the inventory of", inv.Digest, func(t *tx, r *record) (gate.Written, bool, error) {
		if _, err := r.body.PutInventory(epoch, v, inv); err != nil {
			return gate.Written{}, false, err
		}
		return gate.Written{ID: v.ID, Version: r.version + 1}, true, t.exec(`INSERT INTO inventories (digest, id, data) VALUES (?1, ?2, ?3)
			ON CONFLICT (digest) DO UPDATE SET id = ?2, data = ?3`, string(r.digest), v.ID, v.Data)
	})
}

// PutFindings stores findings of the stored inventory.
func (s *Store) PutFindings(ctx context.Context, f *gate.Findings, replaces string) (gate.Written, error) {
	v, err := s.codec.Encode(f)
	if err != nil {
		return gate.Written{}, fmt.Errorf("storing the findings of %s: %w", gate.Printable(string(f.Digest), 100), err)
	}
	entry, err := encodeHistory(f.Change)
	if err != nil {
		return gate.Written{}, fmt.Errorf("storing the findings of %s: %w", gate.Printable(string(f.Digest), 100), err)
	}
	return update(ctx, s, "storing the findings of", f.Digest, func(t *tx, r *record) (gate.Written, bool, error) {
		if changed, err := r.body.PutFindings(v, f, replaces); err != nil || !changed {
			return gate.Written{ID: v.ID, Version: r.version, Same: true}, false, err
		}
		if err := t.addHistory(r, entry); err != nil {
			return gate.Written{}, false, err
		}
		return gate.Written{ID: v.ID, Version: r.version + 1}, true, t.exec(`INSERT INTO findings (digest, id, data) VALUES (?1, ?2, ?3)
			ON CONFLICT (digest) DO UPDATE SET id = ?2, data = ?3`, string(r.digest), v.ID, v.Data)
	})
}

// Inventory returns the stored inventory; gate.ErrConflict when its format is
// of a newer version, so that the image is analysed again.
func (s *Store) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	inv := new(gate.Inventory)
	if err := s.load(ctx, "inventory", queryInventory, d, inv); err != nil {
		return nil, err
	}
	if err := store.CheckInventory(d, inv); err != nil {
		return nil, s.refused("inventory", d, err)
	}
	return inv, nil
}

// Findings returns the stored findings.
func (s *Store) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	f := new(gate.Findings)
	if err := s.load(ctx, "findings", queryFindings, d, f); err != nil {
		return nil, err
	}
	if err := store.CheckFindings(d, f); err != nil {
		return nil, s.refused("findings", d, err)
	}
	return f, nil
}

// refused is the error for a value that must not be used; one that is not what
// it should be is damage.
func (s *Store) refused(thing string, d gate.Digest, err error) error {
	if errors.Is(err, gate.ErrNotFound) {
		s.damaged(thing, d, err)
	}
	return fmt.Errorf("reading the %s of %s: %w", thing, d, err)
}
