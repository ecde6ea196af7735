package scantask

import (
	"context"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// sync writes down how far the task is, if that has changed, and learns what a person
// wants of it. working says that images were worked on since the last call.
// gate.ErrFenced: another process runs the task.
func (w *walk) sync(ctx context.Context, working bool) error {
	now, err := w.r.tasks.store.Now(ctx)
	if err != nil {
		return err
	}
	if now = now.UTC(); working && w.now.Before(now) {
		w.t.Working += now.Sub(w.now)
	}
	w.now = now
	if w.dirty {
		return w.save(ctx, func(*task, time.Time) {})
	}
	k, err := w.r.tasks.load(ctx)
	if err != nil {
		return err
	}
	t := k.find(w.t.ID)
	if t == nil || t.Holder != w.holder {
		return gate.ErrFenced
	}
	w.t.State = t.State
	return nil
}

// save writes down how far the task is, and what also changes. What a person wanted of the
// task meanwhile stays.
func (w *walk) save(ctx context.Context, also func(t *task, now time.Time)) error {
	err := w.r.tasks.update(ctx, func(k *kept, now time.Time) error {
		t := k.find(w.t.ID)
		if t == nil || t.Holder != w.holder {
			return gate.ErrFenced
		}
		t.Counted, t.Total, t.Working = w.t.Counted, max(w.t.Total, w.t.Seen()), w.t.Working
		t.Done, t.Analyzed, t.Failed, t.Skipped = w.t.Done, w.t.Analyzed, w.t.Failed, w.t.Skipped
		t.Error, t.Tries, t.NextAt = w.t.Error, w.t.Tries, w.t.NextAt
		t.Lanes, t.Flight, t.Settled = slices.Clone(w.t.Lanes), slices.Clone(w.t.Flight), w.t.Settled
		t.UpdatedAt, t.Until = now, now.Add(lease)
		also(t, now)
		w.t.State, w.t.Total = t.State, t.Total
		return nil
	})
	if err == nil {
		w.dirty = false
	}
	return err
}

// end ends the task, unless a person has stopped it at the last moment.
func (w *walk) end(ctx context.Context, state gate.ScanState, why string) error {
	w.t.Error = why
	return w.save(ctx, func(t *task, now time.Time) {
		if t.State == gate.ScanRunning {
			t.State, t.FinishedAt, t.RetryAt = state, now, time.Time{}
			if state == gate.ScanDone {
				t.Total = t.Seen()
			}
		}
	})
}

// release lets go of the task, so that the next process, or this one, can take it up.
func (w *walk) release(ctx context.Context, failed error, stopping bool) error {
	state := w.t.State
	err := w.save(ctx, func(t *task, now time.Time) {
		t.Holder, t.Until = "", time.Time{}
		switch {
		case t.State != gate.ScanRunning: // as a person wants it, or it has ended
		case failed != nil && !stopping:
			t.State, t.Tries = gate.ScanWaiting, t.Tries+1
			t.RetryAt, t.Error = now.Add(rest(t.Tries)), gate.Printable(failed.Error(), 500)
		case state == gate.ScanWaiting:
			t.State = gate.ScanWaiting
		default:
			t.State = gate.ScanQueued
		}
		if !t.State.Live() {
			t.Lanes = nil
		}
	})
	if err == nil && !w.t.State.Live() {
		w.r.o.Metrics.ended(w.t.State)
	}
	return err
}
