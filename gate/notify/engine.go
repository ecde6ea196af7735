package notify

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

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

	mu       sync.Mutex
	problems []string
}

// Problems are sentences for the targets that cannot be used as they are set, by name;
// none in a process whose turn it is not.
func (e *Engine) Problems() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.problems)
}

func (e *Engine) note(problems []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problems = problems
}

// Run notifies whenever it is this process's turn, until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	turn := agree.NewTurn(e.Store, "notifications")
	for ctx.Err() == nil {
		_, err := turn.Do(ctx, "send", 0, e.Send)
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("notifications are paused, they continue automatically", "error", err)
		}
		e.Metrics.stands(0, 0, 0)
		e.note(nil)
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
