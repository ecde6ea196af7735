package gate_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// TestHoldLease: who loses the lease, or cannot extend it for its whole length,
// stops; a renewal that fails once is no loss.
func TestHoldLease(t *testing.T) {
	const lease = time.Minute
	lost := gate.ErrStoreUnavailable
	for name, c := range map[string]struct {
		renewals []error // the last one for ever
		ends     time.Duration
		fenced   bool
	}{
		"extended":          {[]error{nil}, 10 * time.Minute, false},
		"fails_twice":       {[]error{lost, lost, nil}, 10 * time.Minute, false},
		"taken":             {[]error{nil, gate.ErrConflict}, 40 * time.Second, true},
		"taken_by_an_epoch": {[]error{gate.ErrFenced}, 20 * time.Second, true},
		"store_is_gone":     {[]error{nil, lost}, 80 * time.Second, true},
		"never_extended":    {[]error{lost}, 60 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, renewals := time.Now(), 0
				renew := func(context.Context) error {
					renewals++
					return c.renewals[min(renewals, len(c.renewals))-1]
				}
				stopped := errors.New("stopped")
				err := agree.HoldLease(t.Context(), lease, renew, func(ctx context.Context) error {
					select {
					case <-ctx.Done():
						return stopped
					case <-time.After(10 * time.Minute):
						return nil
					}
				})
				if took := time.Since(began); took != c.ends || errors.Is(err, gate.ErrFenced) != c.fenced || errors.Is(err, stopped) != c.fenced {
					t.Errorf("ended after %s with %v, want %s, fenced %t", took, err, c.ends, c.fenced)
				}
				was := renewals
				time.Sleep(lease)
				if renewals != was {
					t.Error("it is extended after the end of the work")
				}
			})
		})
	}
}
