package main

import (
	"context"
	"io"
	"time"
)

// quiet attacks nothing and sends only its reviews. Run beside the attack of another
// process, it measures without the delay that an attacker causes to its own reviews.
func quiet(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("quiet", "https://127.0.0.1:8443/admission/validate")
	if _, err := f.parse(args); err != nil {
		return err
	}
	return f.run(ctx, out, func(ctx context.Context) (string, error) {
		select {
		case <-ctx.Done():
		case <-time.After(*f.length):
		}
		return "quiet: nothing but reviews", nil
	})
}
