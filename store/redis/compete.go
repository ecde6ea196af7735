package redis

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// maxRaces bounds how often a write starts again because another process was
// faster. Of n writers one always gets through, and the others wait a little
// longer each time.
const maxRaces, maxPause = 200, 20 * time.Millisecond

// compete repeats a compare and set until it gets through: try reports whether
// it has. The writers of this process take turns at a key, so that a thousand
// deliveries of one tag race with those of other processes only.
func (s *Store) compete(ctx context.Context, what, key string, try func() (done bool, err error)) error {
	turn := s.turns[maphash.String(s.seals.seed, key)%uint64(len(s.turns))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return s.failedIn(ctx, what, ctx.Err())
	}
	for race := range maxRaces {
		if done, err := try(); done || err != nil {
			return err
		}
		select {
		case <-time.After(rand.N(min(time.Millisecond<<min(race, 5), maxPause))):
		case <-ctx.Done():
			return s.failedIn(ctx, what, ctx.Err())
		}
	}
	return fmt.Errorf("%s: other processes were faster %d times: %w", what, maxRaces, gate.ErrStoreUnavailable)
}

// turns are where the writers of this process wait for each other, by the hash
// of the key.
type turns [256]chan struct{}

func newTurns() (t turns) {
	for i := range t {
		t[i] = make(chan struct{}, 1)
	}
	return t
}
