package admission

import (
	"context"
	"time"
)

// span is the time of one review. Its context gets its end only when something
// waits: a timer costs five allocations, and most reviews end without one. One
// goroutine uses it.
type span struct {
	ctx    context.Context
	until  time.Time
	cancel context.CancelFunc
}

// waiting is the context of what may wait.
func (t *span) waiting() context.Context {
	if t.cancel == nil {
		t.ctx, t.cancel = context.WithDeadline(t.ctx, t.until)
	}
	return t.ctx
}

// over reports whether the time has ended.
func (t *span) over() bool { return t.ctx.Err() != nil || !time.Now().Before(t.until) }

func (t *span) end() {
	if t.cancel != nil {
		t.cancel()
	}
}
