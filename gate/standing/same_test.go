package standing_test

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// TestSameFindingsAreNotWritten: a match that gives the stored findings again writes
// nothing and tells the feed nothing, and the findings are those of the generation from
// then on, also in the lift of the next one. A process that knows nothing of it matches
// by itself.
func TestSameFindingsAreNotWritten(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		ctx := t.Context()
		w := newTown(t, s)
		state := func(d gate.Digest) (gate.Record, int64) {
			entry, err := gate.ReadEntry(ctx, w.store, d)
			w.no(err)
			_, seq, err := s.Changes(ctx, 0, 100_000)
			w.no(err)
			return entry.Record, seq
		}
		same, other := id("same"), id("other")
		w.activate("A")
		w.analysed(w.maker, same, "openssl", "bash")
		w.analysed(w.maker, other, "zlib", "bash")
		first, _ := state(same)
		var before int64

		w.activate("B")
		w.lift(same, other)
		_, before = state(same) // the lift is a setting
		matches := w.current.matches
		w.matched(w.maker, same)
		rec, seq := state(same)
		if rec.Version != first.Version || seq != before || w.current.matches != matches+1 {
			t.Errorf("the same findings: version %d after %d, feed %d after %d, %d matches", rec.Version, first.Version, seq, before, w.current.matches-matches)
		}
		matches = w.current.matches
		w.matched(w.maker, same)
		w.check(same, "matched")
		if got := w.current.matches - matches; got != 1 { // the follower, by itself
			t.Errorf("matched again %d times, want once by the process that did not see it", got)
		}
		w.matched(w.maker, other)
		if rec, seq := state(other); rec.Generation != w.active.Number || seq <= before {
			t.Errorf("other findings: generation %d, feed %d after %d", rec.Generation, seq, before)
		}
		w.check(other, "matched")

		w.activate("D")
		w.lift(same, other)
		matches = w.current.matches
		w.check(same, "the next generation")
		if w.current.matches != matches {
			t.Error("the next lift does not know that the findings stood in the generation before")
		}

		// A record that is put back is another one.
		old := w.take(same)
		w.analysed(w.maker, same, "curl")
		w.store.old[same] = old
		w.activate("B")
		w.lift(same, other)
		w.check(same, "put back")
		delete(w.store.old, same)
		w.check(same, "put right")
	})
}

// TestSameFindingsAreWrittenWithoutADifference: where nothing says what is different, a
// match after a restart would be lost, and what came out is written.
func TestSameFindingsAreWrittenWithoutADifference(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		w := newTown(t, s)
		d := id("same")
		w.activate("A")
		w.analysed(w.maker, d, "openssl", "bash")
		w.activate("B")
		w.matched(w.maker, d)
		entry, err := gate.ReadEntry(t.Context(), w.store, d)
		w.no(err)
		if entry.Record.Generation != w.active.Number {
			t.Errorf("the record says generation %d, in force is %d", entry.Record.Generation, w.active.Number)
		}
	})
}
