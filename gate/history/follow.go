package history

import (
	"context"
	"fmt"
	"math"

	"github.com/digestgate/digestgate/gate"
)

// Source is the part of the store that is followed; see store.Feed and store.Records.
type Source interface {
	// Changes are up to limit changes after a number, oldest first, and the number to
	// continue from. gate.ErrConflict: the feed no longer has them; gate.ErrStoreUnavailable:
	// try again.
	Changes(ctx context.Context, after int64, limit int) (changes []gate.Change, next int64, err error)
	// History returns entries of a digest, the newest first. gate.ErrStoreUnavailable: try
	// again.
	History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error)
}

// After returns the entries that the next changes of the feed name, at most limit changes
// after a position, and the position to continue from. An entry comes when it is durable, in
// the order of the feed; asking again from a position gives the same entries again. Two of a
// digest come in the order of their numbers.
//
// There are no entries for verdicts whose outcome is the one before, which the feed does
// not name, and for what was forgotten meanwhile. When next is after, there is nothing new; a
// page without entries says nothing. Errors: gate.ErrConflict when the feed does not reach
// back to the position (begin from its newest change, what was between is only in the
// histories of the digests), and those of the source.
func After(ctx context.Context, s Source, after int64, limit int) (entries []gate.HistoryEntry, next int64, err error) {
	changes, next, err := s.Changes(ctx, after, limit)
	if err != nil {
		return nil, after, fmt.Errorf("following the history: %w", err)
	}
	type name struct {
		digest gate.Digest
		number int64
	}
	newest, wanted := map[gate.Digest]int64{}, map[name]bool{}
	for _, c := range changes {
		// The feed is not signed: what names no digest must not stop those behind it.
		if d := gate.Digest(c.Key); c.Kind == gate.ChangeRecord && c.History > 0 && c.History < math.MaxInt64 && d.Valid() {
			newest[d] = max(newest[d], c.History)
			wanted[name{d, c.History}] = true
		}
	}
	found := map[name]gate.HistoryEntry{}
	for d, number := range newest {
		list, err := s.History(ctx, d, gate.HistoryQuery{Before: number + 1})
		if err != nil {
			return nil, after, fmt.Errorf("following the history: %w", err)
		}
		for _, e := range list {
			if n := (name{d, e.Number}); wanted[n] {
				found[n] = e
			}
		}
	}
	for _, c := range changes {
		n := name{gate.Digest(c.Key), c.History}
		if e, ok := found[n]; ok && c.Kind == gate.ChangeRecord {
			entries = append(entries, e)
			delete(found, n) // a change that is told twice
		}
	}
	return entries, next, nil
}
