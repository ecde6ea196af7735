package history_test

import (
	"context"
	"math"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/history"
)

// poisoned is a source whose feed somebody else has written to.
type poisoned struct{ changes []gate.Change }

func (p poisoned) Changes(context.Context, int64, int) ([]gate.Change, int64, error) {
	return p.changes, int64(len(p.changes)), nil
}

func (poisoned) History(_ context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error) {
	if !d.Valid() {
		return nil, gate.ErrDigestInvalid
	}
	var list []gate.HistoryEntry
	for n := min(q.Before-1, 200); n > 0; n-- {
		list = append(list, gate.HistoryEntry{Number: n, StandingChange: gate.StandingChange{Digest: d}})
	}
	return list, nil
}

// TestPoisonedFeed: a change that names no digest, or an entry of something else than a
// record, does not stop those behind it.
func TestPoisonedFeed(t *testing.T) {
	const d = gate.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	p := poisoned{[]gate.Change{
		{Seq: 1, Kind: gate.ChangeRecord, Key: "sha256:nonsense", History: 1},
		{Seq: 2, Kind: gate.ChangeTag, Key: "a tag", History: 1},
		{Seq: 3, Kind: gate.ChangeRecord, Key: string(d), History: math.MaxInt64},
		{Seq: 4, Kind: gate.ChangeRecord, Key: string(d), History: 7},
	}}
	entries, next, err := history.After(t.Context(), p, 0, 10)
	if err != nil || next != 4 || len(entries) != 1 || entries[0].Number != 7 {
		t.Errorf("got %d entries, next %d, %v", len(entries), next, err)
	}
}
