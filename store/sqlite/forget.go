package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Forget removes what is stored of a digest, in one commit.
func (s *Store) Forget(ctx context.Context, d gate.Digest, version int64) error {
	_, err := update(ctx, s, "forgetting", d, func(t *tx, r *record) (none, bool, error) {
		changed, err := r.body.Forget(r.version, version)
		if err != nil || !changed {
			return none{}, false, err
		}
		r.forgotten = true
		return none{}, true, t.wipe(d)
	})
	return err
}

// wipe removes what stands beside the record of a digest.
func (t *tx) wipe(d gate.Digest) error {
	hash, _ := d.Hash()
	return errors.Join(
		t.exec(`DELETE FROM locations WHERE digest = ?`, string(d)),
		t.exec(`DELETE FROM inventories WHERE digest = ?`, string(d)),
		t.exec(`DELETE FROM findings WHERE digest = ?`, string(d)),
		t.exec(`DELETE FROM history WHERE digest = ?`, hash[:]),
	)
}

// Drop removes a job that has ended.
func (s *Store) Drop(ctx context.Context, id string) error {
	what := "removing job " + gate.Quoted(id, 100)
	_, err := write(ctx, s, what, func(t *tx) (none, error) {
		var states []int
		err := t.each(func(row scanner) error {
			var state int
			err := row.Scan(&state)
			states = append(states, state)
			return err
		}, `SELECT state FROM jobs WHERE seq = ? AND id = ?`, seqOf(id), id)
		if err != nil || len(states) == 0 {
			return none{}, err
		}
		if states[0] < stateDone {
			return none{}, fmt.Errorf("%s: it has not ended: %w", what, gate.ErrConflict)
		}
		if err := t.exec(`DELETE FROM jobs WHERE seq = ? AND id = ?`, seqOf(id), id); err != nil {
			return none{}, err
		}
		return none{}, t.change(gate.ChangeJob, id)
	})
	return err
}

// DropTag removes a mapping that was read.
func (s *Store) DropTag(ctx context.Context, m gate.TagMapping) error {
	what := fmt.Sprintf("removing tag %s", gate.Quoted(m.String(), 300))
	if err := store.CheckTag(m.TagKey); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err := write(ctx, s, what, func(t *tx) (none, error) {
		stands, found, err := t.tag(m.TagKey)
		if err != nil || !found {
			return none{}, err
		}
		if err := store.SameTag(stands, m); err != nil {
			return none{}, fmt.Errorf("%s: %w", what, err)
		}
		t.wrote.tags = append(t.wrote.tags, m.TagKey)
		if err := t.exec(`DELETE FROM tags WHERE key = ?`, store.TagName(m.TagKey)); err != nil {
			return none{}, err
		}
		return none{}, t.change(gate.ChangeTag, m.String())
	})
	return err
}
