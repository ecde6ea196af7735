package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

const tagColumns = `key, digest, read_at, dirty, dirty_at, gone, host`

func scanTag(row scanner) (m gate.TagMapping, key string, err error) {
	var read, dirty int64
	if err := row.Scan(&key, &m.Digest, &read, &m.Dirty, &dirty, &m.Gone, &m.Host); err != nil {
		return gate.TagMapping{}, "", err
	}
	m.ReadAt, m.DirtyAt = timeOf(read), timeOf(dirty)
	m.TagKey = store.TagOf(key)
	return m, key, nil
}

func (t *tx) tag(k gate.TagKey) (m gate.TagMapping, found bool, err error) {
	m, _, err = scanTag(t.row(`SELECT `+tagColumns+` FROM tags WHERE key = ?`, store.TagName(k)))
	if errors.Is(err, sql.ErrNoRows) {
		return gate.TagMapping{TagKey: k}, false, nil
	}
	return m, err == nil, err
}

func (t *tx) saveTag(m gate.TagMapping) error {
	t.wrote.tags = append(t.wrote.tags, m.TagKey)
	return t.exec(`INSERT INTO tags (key, digest, read_at, dirty, dirty_at, gone, host) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
		ON CONFLICT (key) DO UPDATE SET digest = ?2, read_at = ?3, dirty = ?4, dirty_at = ?5, gone = ?6, host = ?7`,
		store.TagName(m.TagKey), string(m.Digest), nanos(m.ReadAt), m.Dirty, nanos(m.DirtyAt), m.Gone, m.Host)
}

// PutTag stores what a read of a tag found, unless a later read was stored. A
// readAt after the store's clock counts as now.
func (s *Store) PutTag(ctx context.Context, key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error) {
	what := fmt.Sprintf("storing tag %s", gate.Quoted(key.String(), 300))
	if err := store.CheckTag(key); err != nil {
		return gate.TagMapping{}, fmt.Errorf("%s: %w", what, err)
	}
	if digest != "" && !digest.Valid() {
		return gate.TagMapping{}, fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	return write(ctx, s, what, func(t *tx) (gate.TagMapping, error) { return t.putTag(key, digest, readAt, host) })
}

func (t *tx) putTag(key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error) {
	old, found, err := t.tag(key)
	if err != nil {
		return gate.TagMapping{}, err
	}
	m, write, changed := store.MergeTag(old, found, digest, readAt, timeOf(t.now), host)
	if !write {
		return m, nil
	}
	if err := t.saveTag(m); err != nil || !changed { // only confirmed
		return m, err
	}
	return m, t.change(gate.ChangeTag, key.String())
}

// MarkDirty says that a tag may have moved.
func (s *Store) MarkDirty(ctx context.Context, key gate.TagKey) error {
	what := fmt.Sprintf("marking tag %s dirty", gate.Quoted(key.String(), 300))
	if err := store.CheckTag(key); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err := write(ctx, s, what, func(t *tx) (none, error) {
		m, _, err := t.tag(key)
		if err != nil {
			return none{}, err
		}
		m, changed := store.MarkTag(m, timeOf(t.now))
		if err := t.saveTag(m); err != nil || !changed {
			return none{}, err
		}
		return none{}, t.change(gate.ChangeTag, key.String())
	})
	return err
}
