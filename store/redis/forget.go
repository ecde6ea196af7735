package redis

import (
	"context"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Forget removes what is stored of a digest, in one script. Its record stays, signed with
// a later version and stamp, so that a process that has seen it believes no earlier one that
// is put back.
func (s *Store) Forget(ctx context.Context, d gate.Digest, version int64) error {
	return s.update(ctx, "forgetting", d, nil, func(r *record, _ map[string]gate.LocationState) (*change, error) {
		changed, err := r.Forget(r.Version, version)
		if err != nil || !changed {
			return nil, err
		}
		return &change{forget: true}, nil
	})
}

// wipe writes a record that is empty and removes what belongs to it, and tells the feed. It
// reports false when another write was faster.
func (s *Store) wipe(ctx context.Context, r *record, fresh string, stamp int64) (bool, error) {
	d := r.Digest
	place := s.keys.record(d)
	names := []string{place, s.keys.locations(d), s.keys.inventory(d), s.keys.findings(d), s.keys.history(d)}
	told := args{"changes": [][]any{{changeCode(gate.ChangeRecord), string(d), int64(0)}}, "fresh": r.text == ""}
	written, err := s.write(ctx, scriptForget, names, []any{r.text, fresh}, false, told)
	if written {
		s.seals.wrote(place, stamp)
	}
	return written, err
}

// Drop removes a job that has ended.
func (s *Store) Drop(ctx context.Context, id string) error {
	what := fmt.Sprintf("removing job %s", gate.Quoted(id, 60))
	answer, err := s.run(ctx, scriptDrop, args{"id": id})
	var word string
	if err == nil {
		word, _, err = reply(answer)
	}
	switch {
	case err != nil:
		return s.failedIn(ctx, what, err)
	case word == "live":
		return fmt.Errorf("%s: it has not ended: %w", what, gate.ErrConflict)
	case word == "ok":
		s.changedHere()
	}
	return nil
}

// DropTag removes a mapping that was read.
func (s *Store) DropTag(ctx context.Context, m gate.TagMapping) error {
	what := fmt.Sprintf("removing tag %s", gate.Quoted(m.String(), 300))
	if err := store.CheckTag(m.TagKey); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	key := s.keys.tag(m.TagKey)
	return s.compete(ctx, what, key, func() (bool, error) {
		mark := s.seals.mark()
		stored, _, err := s.timed(ctx, key)
		if err != nil {
			return false, s.failedIn(ctx, what, err)
		}
		stands, _, found := s.mapping(m.TagKey, stored, mark)
		if !found {
			return true, nil // nothing that anybody believes
		}
		if err := store.SameTag(stands, m); err != nil {
			return false, fmt.Errorf("%s: %w", what, err)
		}
		written, err := s.write(ctx, scriptRemove, []string{key}, []any{stored}, false,
			args{"changes": [][2]any{{changeCode(gate.ChangeTag), m.String()}}})
		if err != nil {
			return false, s.failedIn(ctx, what, err)
		}
		if written {
			s.changedHere()
		}
		return written, nil
	})
}
