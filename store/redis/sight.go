package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Sight records what was found of a digest, in three round trips: one reads what is
// there, one writes the record with the location, and one the tags and the request. On a
// cluster each tag takes two, and the request one.
func (s *Store) Sight(ctx context.Context, found gate.Sighting) (out gate.Sighted, err error) {
	what := fmt.Sprintf("recording %s at %s", gate.Printable(string(found.Digest), 100), gate.Quoted(found.Location.String(), 200))
	if err := store.CheckSighting(found); err != nil {
		return out, fmt.Errorf("%s: %w", what, err)
	}
	var read []timedTag
	err = s.compete(ctx, what, s.keys.record(found.Digest), func() (done bool, err error) {
		if done, read, err = s.sightRecord(ctx, found, &out); err != nil {
			err = s.failedIn(ctx, what, err)
		}
		return done, err
	})
	if err != nil {
		return out, err
	}
	if s.cluster {
		return out, s.sightEach(ctx, found, &out)
	}
	return out, s.sightRest(ctx, what, found, read, &out)
}

// timedTag is a tag as it was read, with the time and the number of the MAC keys then.
type timedTag struct {
	stored string
	now    time.Time
	mark   int64
}

// sightRecord writes the record and the location, if the record is still the one that it
// has read, and returns the tags that it has read with it.
func (s *Store) sightRecord(ctx context.Context, found gate.Sighting, out *gate.Sighted) (done bool, read []timedTag, err error) {
	fields := []string{field(found.Location)}
	var record *redis.Cmd
	tags := make([]*redis.Cmd, len(found.Tags))
	mark := s.seals.mark()
	err = each(ctx, s.client, func(p redis.Pipeliner) {
		names, argv := s.timedRecord(found.Digest, fields)
		record = scriptTime.EvalSha(ctx, p, names, argv...)
		for i := range tags {
			if key := s.keys.tag(found.Key(i)); !s.cluster {
				tags[i] = scriptTime.EvalSha(ctx, p, []string{key, key})
			}
		}
	}, scriptTime)
	if err != nil {
		return false, nil, err
	}
	answer, err := record.Slice()
	if err != nil {
		return false, nil, err
	}
	r, known, err := s.fetched(found.Digest, 0, fields, answer, mark)
	if err != nil {
		return false, nil, err
	}
	for _, cmd := range tags {
		if cmd == nil {
			continue
		}
		answer, err := cmd.Slice()
		if err != nil {
			return false, nil, err
		}
		now, err := s.clockOf(text(answer, 0))
		if err != nil {
			return false, nil, err
		}
		read = append(read, timedTag{text(answer, 1), now, mark})
	}
	changed := false
	out.Forgotten = r.Forgotten
	if found.Manifest != nil {
		if changed, err = r.PutManifest(*found.Manifest); err != nil {
			return false, nil, err
		}
	}
	c := seenAt(known, found.Location, r.now)
	if c == nil && changed {
		c = &change{}
	}
	if c == nil {
		return true, read, nil
	}
	if done, err = s.put(ctx, r, c); done {
		s.changedHere()
	}
	return done, read, err
}

// sightRest writes the tags and the request, after the record.
func (s *Store) sightRest(ctx context.Context, what string, found gate.Sighting, read []timedTag, out *gate.Sighted) error {
	swaps, changes, err := s.swapsOf(found, read)
	if err != nil {
		return s.failed(what, err)
	}
	var told, packed []byte
	if len(changes) > 0 {
		if told, err = s.pack(args{"changes": changes}); err != nil {
			return s.failed(what, err)
		}
	}
	if found.Request != nil {
		if packed, err = s.pack(enqueueArgs(*found.Request)); err != nil {
			return s.failed(what, err)
		}
	}
	var request *redis.Cmd
	// Where the server did not know a script, what was done is not done twice. The feed is
	// told again, because it was told of what is only written now.
	queue := func(p redis.Pipeliner) {
		for _, w := range swaps {
			if w.write && (w.cmd == nil || w.cmd.Err() != nil) {
				w.cmd = scriptSwap.EvalSha(ctx, p, []string{w.key}, w.old, w.fresh)
			}
		}
		if told != nil {
			scriptTell.EvalSha(ctx, p, []string{s.keys.clock()}, told)
		}
		if packed != nil && (request == nil || request.Err() != nil) {
			request = scriptEnqueue.EvalSha(ctx, p, []string{s.keys.clock()}, packed)
		}
	}
	if err := each(ctx, s.client, queue, scriptSwap, scriptTell, scriptEnqueue); err != nil {
		return s.failedIn(ctx, what, err)
	}
	if told != nil {
		s.changedHere()
	}
	for i, w := range swaps {
		if w.cmd != nil {
			if n, err := w.cmd.Int(); err != nil {
				return s.failedIn(ctx, what, err)
			} else if n == 1 {
				s.seals.wrote(w.key, w.stamp)
			} else if w.mapping, err = s.PutTag(ctx, found.Key(i), found.Digest, found.Tags[i].ReadAt, found.Tags[i].Host); err != nil {
				return err // another write of the tag was faster
			}
		}
		out.Tags = append(out.Tags, w.mapping)
	}
	if request == nil {
		return nil
	}
	answer, err := request.Result()
	out.Job, out.Outcome, err = s.enqueued(ctx, what, answer, err)
	return err
}

// swap is a write of a tag over what was read of it.
type swap struct {
	key, old, fresh string
	stamp           int64
	mapping         gate.TagMapping // that stands afterwards
	write           bool
	cmd             *redis.Cmd
}

// swapsOf are the writes of a sighting's tags, and what the feed is told of them.
func (s *Store) swapsOf(found gate.Sighting, read []timedTag) (swaps []*swap, changes [][2]any, err error) {
	for i, t := range read {
		k, reading := found.Key(i), found.Tags[i]
		w := &swap{key: s.keys.tag(k), old: t.stored}
		old, stamp, known := s.mapping(k, t.stored, t.mark)
		var changed bool
		w.mapping, w.write, changed = store.MergeTag(old, known, found.Digest, reading.ReadAt, t.now, reading.Host)
		if w.write {
			w.stamp = s.seals.next(w.key, stamp, t.now)
			if w.fresh, err = s.sealBody(w.key, sealed{Stamp: w.stamp}, w.mapping); err != nil {
				return nil, nil, err
			}
		}
		if w.write && changed {
			changes = append(changes, [2]any{changeCode(gate.ChangeTag), k.String()})
		}
		swaps = append(swaps, w)
	}
	return swaps, changes, nil
}

// sightEach is sightRest on a cluster, whose nodes are asked one after the other.
func (s *Store) sightEach(ctx context.Context, found gate.Sighting, out *gate.Sighted) error {
	for i, t := range found.Tags {
		m, err := s.PutTag(ctx, found.Key(i), found.Digest, t.ReadAt, t.Host)
		if err != nil {
			return err
		}
		out.Tags = append(out.Tags, m)
	}
	if found.Request == nil {
		return nil
	}
	var err error
	out.Job, out.Outcome, err = s.Enqueue(ctx, *found.Request)
	return err
}
