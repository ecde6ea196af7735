package notify

import (
	"context"
	"errors"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// step reads, gathers, closes and sends for one target; again: there is more to do now.
func (r *running) step(ctx context.Context, t *target, run *runner) (again bool, err error) {
	st, err := loadState(ctx, r.Store, t.Name)
	if err != nil {
		return false, err
	}
	st, again, err = r.read(ctx, t, run, st)
	if err != nil {
		return false, err
	}
	if st, err = r.expire(ctx, t, st); err != nil {
		return false, err
	}
	run.stands(st)
	now := r.Now()
	q, _ := st.due(now, t.vendor.Every)
	if q == nil {
		return again, nil
	}
	return true, r.try(ctx, t, *q, now)
}

// read takes the next page of changes in, and closes what was gathered long enough.
func (r *running) read(ctx context.Context, t *target, run *runner, st state) (_ state, more bool, err error) {
	if !st.Started {
		return r.begin(ctx, t)
	}
	stored, from := st.Cursor, st.Cursor
	if run.stored == stored {
		from = max(from, run.ahead)
	}
	p, err := r.pages.after(ctx, from)
	if err != nil {
		return st, false, err
	}
	var parts []part
	for _, c := range p.changes {
		if part := t.filter(c, p.around); !part.empty() {
			parts = append(parts, part)
		}
	}
	present, known, err := r.conditions.present(ctx)
	if err != nil {
		r.Log.Warn("the conditions for notifications could not be read", "error", err)
	}
	now := r.Now()
	more = p.next != from
	ours := false
	st, err = updateState(ctx, r.Store, t.Name, func(st *state) (changed bool) {
		if ours = st.Started && st.Cursor == stored; !ours { // another process was here, or the target was removed
			return false
		}
		if p.missed {
			st.gather(now, []part{{at: now}})
			st.Open.Missed, changed = true, true
		}
		if len(parts) > 0 {
			st.gather(now, parts)
			changed = true
		}
		if known {
			if parts := st.conditionParts(t.Config, present, now); len(parts) > 0 {
				st.gather(now, parts)
				changed = true
			}
		}
		changed = st.closeDue(t.Config, now, more, r.Targets.Maker.Link) || changed
		if p.next != st.Cursor && (changed || now.Sub(st.CursorAt).Abs() >= cursorEvery) {
			st.Cursor, st.CursorAt, changed = p.next, now, true
		}
		return changed
	})
	if err == nil && ours { // otherwise what was read is in nothing, and is read again
		run.stored, run.ahead = st.Cursor, p.next
	}
	return st, more, err
}

// begin puts a new target at the present.
func (r *running) begin(ctx context.Context, t *target) (state, bool, error) {
	newest, err := r.Source.Newest(ctx)
	if err != nil {
		return state{}, false, err
	}
	now := r.Now()
	st, err := updateState(ctx, r.Store, t.Name, func(st *state) bool {
		if st.Started {
			return false
		}
		st.Started, st.Cursor, st.CursorAt = true, newest, now
		return true
	})
	return st, err == nil, err
}

// expire gives up what waited too long, and says so.
func (r *running) expire(ctx context.Context, t *target, st state) (state, error) {
	now := r.Now()
	if copied := st; len((&copied).expired(t.Config, now)) == 0 {
		return st, nil
	}
	var gone []queued
	st, err := updateState(ctx, r.Store, t.Name, func(st *state) bool {
		gone = st.expire(t.Config, now)
		return len(gone) > 0
	})
	if err != nil {
		return st, err
	}
	for _, q := range gone {
		r.gaveUp(ctx, t, q, Answer{}, 0, &Failure{Reason: "it was not delivered within maxAge; the last attempt: " + q.Reason})
	}
	return st, nil
}

// expired are the messages that wait for too long.
func (st *state) expired(c Config, now time.Time) (list []queued) {
	for _, q := range st.Queue {
		if now.Sub(q.QueuedAt) > c.MaxAge {
			list = append(list, q)
		}
	}
	return list
}

func (r *running) gaveUp(ctx context.Context, t *target, q queued, answer Answer, took time.Duration, f *Failure) {
	r.Metrics.tried(t.Type, "given_up", took)
	r.Log.Error("a notification was given up", "target", t.Name, "notification", q.Message.ID, "attempts", q.Attempts, "reason", f.Reason)
	r.record(ctx, entryOf(t, &q.Message, q.Attempts, r.Now(), answer, took, GivenUp, f), &q.Message)
}

// record writes the log of deliveries, which decides nothing.
func (r *running) record(ctx context.Context, d gate.NotificationDelivery, m *Message) {
	if err := record(context.WithoutCancel(ctx), r.Store, d, m); err != nil {
		r.Log.Warn("the log of deliveries could not be written", "target", d.Target, "error", err)
	}
}

// try sends one message and writes down what became of it.
func (r *running) try(ctx context.Context, t *target, q queued, now time.Time) error {
	answer, took, templateFailed, err := t.deliver(ctx, &q.Message, now)
	if templateFailed != nil {
		r.Log.Warn("the template of a notification target failed, the shipped one was used", "target", t.Name, "error", templateFailed)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // the process stops: it was no fault of the target
	}
	var f *Failure
	if err != nil {
		f = failureOf(err)
	}
	// What was delivered is written down also while the process stops.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var gaveUp bool
	var settled queued
	_, err = updateState(saving, r.Store, t.Name, func(st *state) bool {
		settled, gaveUp = st.settle(q.Message.ID, r.Now(), f)
		return true
	})
	if settled.Attempts == 0 { // it was removed meanwhile
		settled = q
		settled.Attempts++
	}
	switch {
	case gaveUp:
		r.gaveUp(saving, t, settled, answer, took, f)
	case f != nil:
		r.Metrics.tried(t.Type, "failed", took)
		r.Log.Warn("a notification was not delivered, it is tried again", "target", t.Name, "notification", q.Message.ID, "attempts", settled.Attempts, "status", answer.Status, "reason", f.Reason)
		r.record(saving, entryOf(t, &q.Message, settled.Attempts, r.Now(), answer, took, Waiting, f), &q.Message)
	default:
		r.Metrics.tried(t.Type, "delivered", took)
		r.Log.Info("a notification was delivered", "target", t.Name, "notification", q.Message.ID, "attempts", settled.Attempts, "status", answer.Status, "duration", took)
		r.record(saving, entryOf(t, &q.Message, settled.Attempts, r.Now(), answer, took, Delivered, nil), &q.Message)
	}
	return errors.Join(err)
}
