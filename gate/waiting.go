package gate

import "context"

// A Waiter runs wait, which waits for a registry (its configured name) or for a
// scan of an image there, where it takes nothing from callers that need the store
// only. ErrBusy: there is no room for one more that waits, and wait has not run.
// ErrTimeout: ctx ended before the caller could continue.
type Waiter func(ctx context.Context, registry string, wait func()) error

type waiterKey struct{}

// WithWaiter gives a Waiter to a lookup (gate/lookup) that is called with the
// context. The goroutine that called the lookup calls it.
func WithWaiter(ctx context.Context, w Waiter) context.Context {
	return context.WithValue(ctx, waiterKey{}, w)
}

// Aside runs wait by the context's Waiter, or just runs it without one.
func Aside(ctx context.Context, registry string, wait func()) error {
	if w, ok := ctx.Value(waiterKey{}).(Waiter); ok {
		return w(ctx, registry, wait)
	}
	wait()
	return nil
}
