package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// pool bounds how many evaluations run at once, and how much processor time each may
// take. Time alone says nothing: on a busy machine the rules wait for a processor, and
// that is no fault of theirs. OPA looks at its context between steps only, so an
// evaluation may continue after its caller was answered; it keeps its slot until it ends,
// and a policy that never ends costs a slot and not the process.
type pool struct {
	slots  chan struct{}
	budget time.Duration // of processor time
	lost   atomic.Int64  // slots held by evaluations over their budget
	// clock is called by the thread that evaluates; what it returns says to any other how
	// much processor time that has taken.
	clock func() (spent func() time.Duration)
}

// patience is after how many budgets of time an evaluation that has not had one of
// processor time is given up, and a wait for a slot: 10 s, longer than reviews wait.
const patience = 20

func newPool(slots int, budget time.Duration) *pool {
	return &pool{slots: make(chan struct{}, slots), budget: budget, clock: threadClock}
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

// evaluation is one run of work on a thread of its own.
type evaluation struct {
	phase   atomic.Int32
	reasons []gate.Reason
	err     error
	done    chan struct{}             // closed at the end
	spent   chan func() time.Duration // has one, when the thread is known
}

// do runs work within the budget. Errors: gate.ErrBusy (no slot became free, or the
// machine has no time for it), gate.ErrTimeout (ctx ended), gate.ErrPolicyFailed (over
// the budget, or a panic), and what work returned.
func (p *pool) do(ctx context.Context, work func(context.Context) ([]gate.Reason, error)) ([]gate.Reason, error) {
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	e := &evaluation{done: make(chan struct{}), spent: make(chan func() time.Duration, 1)}
	go func() {
		runtime.LockOSThread() // whose time is measured
		defer runtime.UnlockOSThread()
		defer cancel(nil)
		e.spent <- p.clock()
		e.reasons, e.err = guarded(ctx, work)
		if over := context.Cause(ctx); e.err != nil && over != nil { // in place of "cancelled"
			if e.err = over; !errors.As(over, new(*givenUp)) { // the caller's time has ended
				e.err = fmt.Errorf("evaluating: %w", errors.Join(gate.ErrTimeout, over))
			}
		}
		if e.phase.Swap(ended) == overdue {
			p.lost.Add(-1)
		}
		<-p.slots
		close(e.done)
	}()
	over := p.watch(e)
	if over == nil {
		return e.reasons, e.err
	}
	cancel(over)
	if e.phase.CompareAndSwap(running, overdue) {
		p.lost.Add(1)
		return nil, over
	}
	<-e.done // it ended at the same moment
	return e.reasons, e.err
}

// take waits for a slot. Errors: gate.ErrBusy, gate.ErrTimeout.
func (p *pool) take(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(p.budget)
	defer timer.Stop()
	for n := 1; ; n++ {
		select {
		case p.slots <- struct{}{}:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for one of %d evaluation slots: %w", cap(p.slots), errors.Join(gate.ErrTimeout, context.Cause(ctx)))
		case <-timer.C:
		}
		lost, all := p.lostSlots()
		if lost >= all || n >= patience {
			return fmt.Errorf("waiting for one of %d evaluation slots (%d held by evaluations over their budget): %w", all, lost, gate.ErrBusy)
		}
		timer.Reset(p.budget)
	}
}

// watch waits for the end of an evaluation, nil, or says why it is given up.
func (p *pool) watch(e *evaluation) error {
	began := time.Now()
	timer := time.NewTimer(p.budget)
	defer timer.Stop()
	var clock func() time.Duration
	for {
		select {
		case <-e.done:
			return nil
		case <-timer.C:
		}
		if clock == nil {
			select {
			case clock = <-e.spent:
			default: // the thread has not begun
			}
		}
		spent := time.Duration(0)
		if clock != nil {
			spent = clock()
		}
		if spent >= p.budget {
			return p.tooSlow()
		}
		if took := time.Since(began); took >= patience*p.budget {
			return &givenUp{fmt.Errorf("the rules had %s of processor time in %s: %w", spent.Round(time.Millisecond), took.Round(time.Millisecond), gate.ErrBusy)}
		}
		timer.Reset(max(p.budget-spent, p.budget/16))
	}
}

// givenUp is why an evaluation was ended.
type givenUp struct{ error }

// Unwrap gives access to the sentinel.
func (e *givenUp) Unwrap() error { return e.error }

func (p *pool) tooSlow() error {
	return &givenUp{fmt.Errorf("the rules took longer than %s of processor time: %w", p.budget, gate.ErrPolicyFailed)}
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
