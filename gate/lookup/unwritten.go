package lookup

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// What admission writes besides its decision (where an image was seen, what a
// tag names) helps the next review. None of it is needed for this one, so that a
// store that can be read but not written turns nothing that can be decided into a
// refusal.

// writePause is how long nothing of that kind is written after the store did not
// take it: writes that hang must not add up to the deadline of a review.
const writePause = 2 * time.Second

// writeHealth remembers whether the store takes what admission writes on the way.
// Safe for concurrent use.
type writeHealth struct {
	mu    sync.Mutex
	until time.Time // nothing is tried before
	cause error     // nil: the last write was taken
	slow  int       // writes that are under way for longer than soonAfter
	// late are the ends of writes that an answer has waited for in vain.
	late []<-chan struct{}
}

// refused is why nothing should be tried now, nil when it should.
func (w *writeHealth) refused(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil || !now.Before(w.until) {
		return nil
	}
	return w.cause
}

// slowNow reports whether a write is under way for longer than usual.
func (w *writeHealth) slowNow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = slices.DeleteFunc(w.late, func(end <-chan struct{}) bool {
		select {
		case <-end:
			return true
		default:
			return false
		}
	})
	return w.slow+len(w.late) > 0
}

// inVain notes that an answer has not waited for the end of a write any longer.
func (w *writeHealth) inVain(end <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.late, end) {
		w.late = append(w.late, end)
	}
}

// begin notes a write that is under way; end tells that it is over.
func (w *writeHealth) begin() (end func()) {
	slow, over := false, false
	timer := time.AfterFunc(soonAfter, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !over {
			slow = true
			w.slow++
		}
	})
	return func() {
		timer.Stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		if over = true; slow {
			w.slow--
		}
	}
}

// note learns from a write that was tried. It logs the first failure and the
// first success after it.
func (w *writeHealth) note(log *slog.Logger, err error, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil && gate.NotTaken(err):
		if w.cause == nil {
			log.Error("the store takes no writes of admission, decisions are made from what is read", "reason", gate.StoreWords(err), "error", err)
		}
		w.cause, w.until = err, now.Add(writePause)
	case err == nil && w.cause != nil:
		log.Info("the store takes writes of admission again")
		w.cause = nil
	}
}

// writeAside writes something that the answer does not depend on, in bounded time,
// unless the store has just refused the like.
func (l *Lookup) writeAside(ctx context.Context, write func(context.Context) error) error {
	if err := l.writes.refused(l.parts.Now()); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	defer l.writes.begin()()
	err := write(bounded)
	if ctx.Err() == nil { // otherwise the caller has gone, which says nothing of the store
		l.writes.note(l.parts.Log, err, l.parts.Now())
	}
	return err
}

// keptReadingBytes bounds what is kept of tags that could not be recorded. With the
// longest names that a reference can have, an entry takes 1.6 kB, so there is room for
// 5,000.
const keptReadingBytes = 8 << 20

// keptReading is what a tag named by a read of ours that the store has not taken.
type keptReading struct {
	gate.TagMapping
	words string // why, for everybody; "" while it is being written
}

func newKeptReadings() *otter.Cache[gate.TagKey, keptReading] {
	return copies.Weighed(keptReadingBytes, func(_ gate.TagKey, r keptReading) int64 {
		return copies.WeighTag(r.TagMapping) + copies.BytesOf(r.words)
	})
}

// newest is what is known of a tag: the stored mapping, or a later reading of
// ours that could not be stored. Nothing of ours stands against a dirty mapping.
func (l *Lookup) newest(key gate.TagKey, host string, stored gate.TagMapping) keptReading {
	kept, ok := l.kept.GetIfPresent(key)
	if !ok || kept.Host != host || stored.Dirty || !kept.ReadAt.After(stored.ReadAt) || kept.Dirty && kept.Digest == stored.Digest ||
		!stored.DirtyAt.IsZero() && !stored.DirtyAt.Before(kept.ReadAt) {
		return keptReading{TagMapping: stored}
	}
	return kept
}

// bar notes that a registry has said at readAt what a tag names, "" for nothing,
// and that it is not known otherwise. An older mapping to another digest is not
// what a node would get, so that it serves no more, whatever the registry or the
// store does afterwards. It must be called before a better reading is kept.
func (l *Lookup) bar(key gate.TagKey, host string, d gate.Digest, readAt time.Time) {
	l.keep(keptReading{TagMapping: gate.TagMapping{TagKey: key, Digest: d, Host: host, ReadAt: readAt, Dirty: true}})
}

// keep keeps a reading unless there is a later one of the same host.
func (l *Lookup) keep(r keptReading) {
	r.TagKey = copies.Owned(r.TagKey)
	l.kept.Compute(r.TagKey, func(old keptReading, found bool) (keptReading, otter.ComputeOp) {
		if found && old.Host == r.Host && old.ReadAt.After(r.ReadAt) {
			return old, otter.CancelOp
		}
		return r, otter.WriteOp
	})
}

// recorded forgets a reading that the store has taken.
func (l *Lookup) recorded(key gate.TagKey, readAt time.Time) {
	l.kept.ComputeIfPresent(key, func(old keptReading) (keptReading, otter.ComputeOp) {
		if old.ReadAt.Equal(readAt) {
			return old, otter.InvalidateOp
		}
		return old, otter.CancelOp
	})
}
