package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// mapping reads a stored tag; found is false when there is none to believe. One
// that is put back where nobody has seen a later one cannot pass for fresh all
// the same: when it was read is signed with it.
func (s *Store) mapping(k gate.TagKey, stored string, mark int64) (m gate.TagMapping, stamp int64, found bool) {
	m.TagKey = k
	if stored == "" {
		return m, 0, false
	}
	v, err := s.seals.believe(s.keys.tag(k), stored, mark)
	var read gate.TagMapping
	if err == nil {
		err = json.Unmarshal(v.Body, &read)
	}
	if err == nil && read.TagKey != k {
		err = fmt.Errorf("it is that of %s", gate.Quoted(read.TagKey.String(), 200))
	}
	if err != nil {
		s.suspectType(s.keys.tag(k), stored)
		s.reject("tag", k.String(), err)
		return m, v.Stamp, false
	}
	return read, v.Stamp, true
}

// merge changes a tag by compare and set: rule gets the mapping and says what
// stands afterwards, whether to write it, and whether to tell the feed.
func (s *Store) merge(ctx context.Context, what string, k gate.TagKey,
	rule func(old gate.TagMapping, found bool, now time.Time) (m gate.TagMapping, write, changed bool)) (gate.TagMapping, error) {
	key := s.keys.tag(k)
	var m gate.TagMapping
	err := s.compete(ctx, what, key, func() (bool, error) {
		mark := s.seals.mark()
		stored, now, err := s.timed(ctx, key)
		if err != nil {
			return false, s.failedIn(ctx, what, err)
		}
		old, stamp, found := s.mapping(k, stored, mark)
		var write, changed bool
		if m, write, changed = rule(old, found, now); !write {
			return true, nil
		}
		written, err := s.swap(ctx, key, stored, sealed{Stamp: s.seals.next(key, stamp, now)}, m, changed, gate.ChangeTag, k.String())
		if err != nil {
			return false, s.failedIn(ctx, what, err)
		}
		return written, nil
	})
	if err != nil {
		return gate.TagMapping{}, err
	}
	return m, nil
}

// timed reads a value together with the time.
func (s *Store) timed(ctx context.Context, key string) (stored string, now time.Time, err error) {
	answer, err := scriptTime.Run(ctx, s.client, []string{key, key}).Slice()
	if err != nil {
		return "", time.Time{}, err
	}
	now, err = s.clockOf(text(answer, 0))
	return text(answer, 1), now, err
}

// swap writes a signed value over the one that was read, and tells the feed of
// it if it changed anything.
func (s *Store) swap(ctx context.Context, key, old string, v sealed, body any, changed bool, kind gate.ChangeKind, name string) (written bool, err error) {
	fresh, err := s.sealBody(key, v, body)
	if err != nil {
		return false, err
	}
	argv := []any{old, fresh}
	if changed {
		written, err = s.write(ctx, scriptSwap, []string{key}, argv, false, args{"changes": [][2]any{{changeCode(kind), name}}})
	} else {
		var n int
		n, err = scriptSwap.Run(ctx, s.client, []string{key}, argv...).Int()
		written = n == 1
	}
	if written {
		s.seals.wrote(key, v.Stamp)
	}
	if written && changed {
		s.changedHere()
	}
	return written, err
}

// sealBody signs a value that is stored as JSON.
func (s *Store) sealBody(key string, v sealed, body any) (fresh string, err error) {
	if v.Body, err = json.Marshal(body); err != nil {
		return "", err
	}
	return s.seals.seal(key, v)
}

// PutTag stores what a read of a tag found, unless a later read was stored.
func (s *Store) PutTag(ctx context.Context, key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error) {
	what := fmt.Sprintf("storing tag %s", gate.Quoted(key.String(), 300))
	if err := store.CheckTag(key); err != nil {
		return gate.TagMapping{}, fmt.Errorf("%s: %w", what, err)
	}
	if digest != "" && !digest.Valid() {
		return gate.TagMapping{}, fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	return s.merge(ctx, what, key, func(old gate.TagMapping, found bool, now time.Time) (gate.TagMapping, bool, bool) {
		return store.MergeTag(old, found, digest, readAt, now, host)
	})
}

// MarkDirty says that a tag may have moved.
func (s *Store) MarkDirty(ctx context.Context, key gate.TagKey) error {
	what := fmt.Sprintf("marking tag %s dirty", gate.Quoted(key.String(), 300))
	if err := store.CheckTag(key); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err := s.merge(ctx, what, key, func(old gate.TagMapping, _ bool, now time.Time) (gate.TagMapping, bool, bool) {
		m, changed := store.MarkTag(old, now)
		return m, true, changed
	})
	return err
}
