package policy

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// pool bounds how many evaluations run at once and how long a caller waits for one. OPA
// looks at its context between steps only, so an evaluation may continue after its
// caller was answered; it keeps its slot until it ends, and a policy that never ends
// costs a slot and not the process.
type pool struct {
	slots  chan struct{}
	budget time.Duration
	lost   atomic.Int64 // slots held by evaluations over their budget
}

func newPool(slots int, budget time.Duration) *pool {
	return &pool{slots: make(chan struct{}, slots), budget: budget}
}

// lostSlots is the number of slots whose evaluation is over its budget, and
// the number of all.
func (p *pool) lostSlots() (lost, all int) { return int(p.lost.Load()), cap(p.slots) }

// The phases of one run, to count a lost slot exactly once.
const (
	running = iota
	ended
	overdue
)

// do runs work within the budget. Errors: gate.ErrBusy (no slot became free
// within the budget), gate.ErrPolicyFailed (over the budget, or a panic), and
// what work returned.
func (p *pool) do(ctx context.Context, work func(context.Context) ([]gate.Reason, error)) ([]gate.Reason, error) {
	timer := time.NewTimer(p.budget)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
	case <-timer.C:
		lost, all := p.lostSlots()
		return nil, fmt.Errorf("waiting for one of %d evaluation slots (%d held by evaluations over their budget): %w", all, lost, gate.ErrBusy)
	}
	timer.Reset(p.budget)

	ctx, cancel := context.WithTimeout(ctx, p.budget)
	type result struct {
		reasons []gate.Reason
		err     error
	}
	done := make(chan result, 1)
	var phase atomic.Int32
	go func() {
		defer cancel()
		reasons, err := guarded(ctx, work)
		if err != nil && ctx.Err() != nil {
			err = p.tooSlow() // in place of "cancelled"
		}
		if phase.Swap(ended) == overdue {
			p.lost.Add(-1)
		}
		<-p.slots
		done <- result{reasons, err}
	}()
	select {
	case r := <-done:
		return r.reasons, r.err
	case <-timer.C:
	}
	if phase.CompareAndSwap(running, overdue) {
		p.lost.Add(1)
		return nil, p.tooSlow()
	}
	r := <-done // it ended at the same moment
	return r.reasons, r.err
}

func (p *pool) tooSlow() error {
	return fmt.Errorf("the rules took longer than %s: %w", p.budget, gate.ErrPolicyFailed)
}

// guarded turns a panic inside the library into an error: this goroutine is
// ours, and nobody above it would catch it.
func guarded(ctx context.Context, work func(context.Context) ([]gate.Reason, error)) (reasons []gate.Reason, err error) {
	defer func() {
		if r := recover(); r != nil {
			reasons, err = nil, &panicError{value: r, stack: debug.Stack()}
		}
	}()
	return work(ctx)
}

// panicError keeps the stack for the log and out of messages.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return "the evaluation panicked" }

// Unwrap gives access to the sentinel.
func (e *panicError) Unwrap() error { return gate.ErrPolicyFailed }
