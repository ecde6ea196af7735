package app

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// signalled is why the context of the program ended.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return s.String() }

// UntilSignal is a context that ends at SIGINT or SIGTERM, with signalled as
// its cause. The second signal ends the program at once, whatever the first
// waits for.
func UntilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			cancel(signalled{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// toldToStop reports whether an orchestrator ended a context: it sends SIGTERM,
// and has others to serve meanwhile. A person at a terminal sends SIGINT and
// waits for the end.
func toldToStop(ctx context.Context) bool {
	var s signalled
	return errors.As(context.Cause(ctx), &s) && s.Signal == syscall.SIGTERM
}
