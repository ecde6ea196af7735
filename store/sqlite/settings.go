package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Setting returns a value and its version.
func (s *Store) Setting(ctx context.Context, name string) (value []byte, version int64, err error) {
	what := fmt.Sprintf("reading setting %s", gate.Quoted(name, 100))
	err = s.queries.row(ctx, querySetting, name).Scan(&value, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	}
	if err != nil {
		return nil, 0, storeError(what, err)
	}
	return value, version, nil
}

// PutSetting writes a value over the given version of it.
func (s *Store) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	what := fmt.Sprintf("writing setting %s", gate.Quoted(name, 100))
	if err := store.CheckSetting(name, value); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	return write(ctx, s, what, func(t *tx) (int64, error) {
		var stored int64
		err := t.row(`SELECT version FROM settings WHERE name = ?`, name).Scan(&stored)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, err
		}
		if stored != version {
			return 0, fmt.Errorf("%s: it has version %d, not %d: %w", what, stored, version, gate.ErrConflict)
		}
		if err := t.exec(`INSERT INTO settings (name, value, version) VALUES (?1, ?2, ?3)
			ON CONFLICT (name) DO UPDATE SET value = ?2, version = ?3`, name, value, version+1); err != nil {
			return 0, err
		}
		return version + 1, t.change(gate.ChangeSetting, name)
	})
}
