package redis

import (
	"context"
	"time"
)

// untold are changes that are written and of which the feed could not be told:
// on a cluster the two lie on different nodes, and only one may be away. Without
// them lists would miss the change until the next one of the same digest. They
// are told as soon as the feed's node answers; those of a process that ends
// before are missed. A burst beyond the channel waits for its next change too.
type untold chan []byte

func (u untold) add(packed []byte) {
	select {
	case u <- packed:
	default:
	}
}

// tellAgain is how long to wait before the feed's node is asked again.
const tellAgain = time.Second

// tellLate tells the feed of what it has missed.
func (s *Store) tellLate(ctx context.Context) {
	for {
		var packed []byte
		select {
		case <-ctx.Done():
			return
		case packed = <-s.untold:
		}
		for s.tell(ctx, packed) != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(tellAgain):
			}
		}
		s.changedHere()
	}
}

// tell appends changes to the feed.
func (s *Store) tell(ctx context.Context, packed []byte) error {
	return scriptTell.Run(ctx, s.client, []string{s.keys.clock()}, packed).Err()
}
