package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// lookEvery is how often a target's goroutine looks for changes, and what the API
	// changed; waking it earlier saves nothing that people notice.
	lookEvery = 2 * time.Second
	// cursorEvery is how old a stored cursor may be while what is read is nothing for the
	// target: what is read again after a crash is nothing for it again.
	cursorEvery = time.Minute
	// retryEvery is how soon the work of all targets is taken up again after a failure.
	retryEvery = 5 * time.Second
)

// Engine notifies all targets, in one process of all on a store. It is safe for
// concurrent use.
type Engine struct {
	Store  agree.TimedSettings
	Source Source
	// Conditions reads what is not well with the installation; nil for nothing.
	Conditions func(ctx context.Context) ([]Condition, error)
	Targets    *Targets
	Metrics    *Metrics
	Log        *slog.Logger
	Now        func() time.Time
	// Every is how often targets look, 0 for the default; for tests.
	Every time.Duration
}

// Run notifies whenever it is this process's turn, until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	turn := agree.NewTurn(e.Store, "notifications")
	for ctx.Err() == nil {
		_, err := turn.Do(ctx, "send", 0, e.Send)
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("notifications are paused, they continue automatically", "error", err)
		}
		e.Metrics.stands(0, 0)
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// Send notifies all targets until ctx ends, and returns why. Only one process may.
func (e *Engine) Send(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{Engine: e, pages: &pages{source: e.Source}, conditions: &conditions{read: e.Conditions, now: e.Now}, targets: map[string]*runner{}}
	defer r.wait.Wait()
	defer cancel()
	for {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			e.Log.Warn("the targets of notifications could not be read, the former stay in use", "error", err)
		}
		if err := sleep(ctx, e.every()); err != nil {
			return err
		}
	}
}

func (e *Engine) every() time.Duration {
	if e.Every > 0 {
		return e.Every
	}
	return lookEvery
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// running is the work of all targets in the process whose turn it is.
type running struct {
	*Engine
	pages      *pages
	conditions *conditions
	wait       sync.WaitGroup
	targets    map[string]*runner
}

// runner is the goroutine of one target.
type runner struct {
	fingerprint string
	stop        context.CancelFunc
	done        chan struct{}
	mu          sync.Mutex
	waiting     int
	oldest      time.Time
	// What was read after the stored cursor, stored, and had nothing for the target need
	// not be read again before the cursor is written: reading continues from ahead.
	stored, ahead int64
}

// follow starts and stops the goroutines of targets as they come and go.
func (r *running) follow(ctx context.Context) error {
	list, err := r.Targets.All(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, d := range list {
		wanted[d.Name] = true
		print := d.fingerprint()
		if was, ok := r.targets[d.Name]; ok {
			if was.fingerprint == print {
				continue
			}
			was.end()
			delete(r.targets, d.Name)
		}
		t, err := r.Targets.open(ctx, d)
		if err != nil {
			// It is listed with its problem; the next look tries again when it changes.
			r.Log.Warn("a notification target cannot be used", "target", d.Name, "error", err)
			if errors.Is(err, gate.ErrTimeout) { // its template was tried while the machine was busy
				continue
			}
			closed := make(chan struct{})
			close(closed)
			r.targets[d.Name] = &runner{fingerprint: print, stop: func() {}, done: closed}
			continue
		}
		r.start(ctx, t, print)
	}
	waiting, oldest := 0, time.Time{}
	for name, run := range r.targets {
		if !wanted[name] {
			run.end()
			delete(r.targets, name)
			continue
		}
		run.mu.Lock()
		waiting += run.waiting
		if !run.oldest.IsZero() && (oldest.IsZero() || run.oldest.Before(oldest)) {
			oldest = run.oldest
		}
		run.mu.Unlock()
	}
	age := time.Duration(0)
	if !oldest.IsZero() {
		age = r.Now().Sub(oldest)
	}
	r.Metrics.stands(waiting, age)
	return nil
}

func (r *running) start(ctx context.Context, t *target, print string) {
	ctx, stop := context.WithCancel(ctx)
	run := &runner{fingerprint: print, stop: stop, done: make(chan struct{})}
	r.targets[t.Name] = run
	r.wait.Go(func() {
		defer close(run.done)
		defer t.sender.Close()
		for ctx.Err() == nil {
			again, err := r.step(ctx, t, run)
			if err != nil && ctx.Err() == nil {
				r.Log.Warn("a notification target is paused, it is tried again", "target", t.Name, "error", err)
				again = false
			}
			if !again && sleep(ctx, r.every()) != nil {
				return
			}
		}
	})
}

func (run *runner) end() {
	run.stop()
	<-run.done
}

func (run *runner) stands(st state) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.waiting, run.oldest = len(st.Queue), time.Time{}
	if len(st.Queue) > 0 {
		run.oldest = st.Queue[0].QueuedAt
	}
}

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
	r.note(ctx, entryOf(t, &q.Message, q.Attempts, r.Now(), answer, took, GivenUp, f), &q.Message)
}

// note writes the log of deliveries, which decides nothing.
func (r *running) note(ctx context.Context, d gate.NotificationDelivery, m *Message) {
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
		r.note(saving, entryOf(t, &q.Message, settled.Attempts, r.Now(), answer, took, Waiting, f), &q.Message)
	default:
		r.Metrics.tried(t.Type, "delivered", took)
		r.Log.Info("a notification was delivered", "target", t.Name, "notification", q.Message.ID, "attempts", settled.Attempts, "status", answer.Status, "duration", took)
		r.note(saving, entryOf(t, &q.Message, settled.Attempts, r.Now(), answer, took, Delivered, nil), &q.Message)
	}
	return errors.Join(err)
}
