package redis

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// Marks are the marks of digests, in one round trip (one for each node of a cluster).
// Nothing but the signatures is looked at. A digest of which something is not believed has
// no mark, so that it is read and what is wrong with it is told.
func (s *Store) Marks(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Mark, error) {
	marks := make(map[gate.Digest]gate.Mark, len(digests))
	if len(digests) == 0 {
		return marks, nil
	}
	records := make([]*redis.Cmd, len(digests))
	began := s.seals.mark()
	err := each(ctx, s.client, func(p redis.Pipeliner) {
		for i, d := range digests {
			records[i] = s.askRecord(ctx, p, d, "")
		}
	}, scriptLoad)
	if err != nil {
		return nil, s.failedIn(ctx, fmt.Sprintf("reading the marks of %d digests", len(digests)), err)
	}
	for i, d := range digests {
		answer, _ := records[i].Slice() // its error has ended the read before
		if mark, ok := s.markOf(d, answer, began); ok {
			marks[d] = mark
		}
	}
	return marks, nil
}

// markOf is the mark of what askRecord was answered; ok is false when not all is believed.
func (s *Store) markOf(d gate.Digest, answer []any, began int64) (mark gate.Mark, ok bool) {
	stored := text(answer, 0)
	if _, err := s.seals.believe(s.keys.record(d), stored, began); err != nil {
		return 0, false
	}
	mark = s.marker.Add(0, nil, []byte(stored))
	for i := 1; i+1 < len(answer); i += 2 {
		field, stored := text(answer, i), text(answer, i+1)
		if _, err := s.seals.believe(s.placeOf(d, field), stored, began); err != nil {
			return 0, false
		}
		mark = s.marker.Add(mark, nil, []byte(field), []byte(stored))
	}
	return mark, true
}
