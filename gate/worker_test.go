package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestWorkerResults: what a handler returns decides what the store is told.
func TestWorkerResults(t *testing.T) {
	wait := &gate.RetryAfterError{After: 90 * time.Second, Err: gate.ErrRegistryUnavailable}
	for name, c := range map[string]struct {
		handler gate.Handler
		is      error
		final   bool
		after   time.Duration
	}{
		"done":         {handler: func(context.Context, *gate.Run) error { return nil }},
		"failed":       {handler: fails(gate.ErrScanFailed), is: gate.ErrScanFailed},
		"panic":        {handler: func(context.Context, *gate.Run) error { panic("boom\x1b") }, is: gate.ErrScanFailed},
		"unassessable": {handler: fails(gate.ErrUnassessable), is: gate.ErrUnassessable, final: true},
		"not_found":    {handler: fails(gate.ErrNotFound), is: gate.ErrNotFound, final: true},
		"not_trusted":  {handler: fails(gate.ErrRegistryNotTrusted), is: gate.ErrRegistryNotTrusted, final: true},
		"too_large":    {handler: fails(gate.ErrTooLarge), is: gate.ErrTooLarge, final: true},
		"unavailable":  {handler: fails(gate.ErrRegistryUnavailable), is: gate.ErrRegistryUnavailable},
		"retry_after":  {handler: fails(fmt.Errorf("pulling: %w", wait)), is: gate.ErrRegistryUnavailable, after: 90 * time.Second},
		"refused":      {handler: fails(gate.ErrRegistryRefused), is: gate.ErrRegistryRefused, after: gate.RefusedWait},
		"no_handler":   {is: gate.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newScript(job("a", gate.PriorityPush))
				o := workerOptions(t, 1, c.handler)
				if c.handler == nil {
					o.Handlers = nil
				}
				stop := running(t, q, o, 0)
				synctest.Wait()
				r := q.result(t, "a")
				if name == "refused" && r.After >= gate.RefusedWait/2 && r.After <= gate.RefusedWait {
					r.After = c.after
				}
				if !errors.Is(r.Err, c.is) || (r.Err == nil) != (c.is == nil) || r.Final != c.final || r.After != c.after || r.MaxAttempts != 3 {
					t.Errorf("got %+v, want %v, final %t, after %s", r, c.is, c.final, c.after)
				}
				if name == "panic" && r.Err.Error() != `handling a analyze job: panic: boom\x1b: scan failed` {
					t.Errorf("panic: got %q", r.Err)
				}
				stop()
			})
		})
	}
}

func fails(err error) gate.Handler {
	return func(context.Context, *gate.Run) error { return fmt.Errorf("handling: %w", err) }
}

// TestWorkerAsks: a claim carries everything that it is decided by.
func TestWorkerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScript()
		o := workerOptions(t, 3, nil)
		o.Kinds = []gate.JobKind{gate.JobAnalyze}
		stop := running(t, q, o, 0)
		time.Sleep(21 * time.Second)
		stop()
		// At once and every two seconds; all slots together look once.
		if got := len(q.claims); got != 11 {
			t.Errorf("an idle worker has asked %d times in 21 s, want 11", got)
		}
		c := q.claims[0]
		if c.Worker != "w" || len(c.Kinds) != 1 || c.Lease != 30*time.Second || c.MaxAttempts != 3 || c.NoRescan ||
			c.Registries["hub"].Concurrency != 4 || c.Period != (gate.Period{Key: "none", Limit: 7}) {
			t.Errorf("claim: got %+v", c)
		}
	})
}

// TestWorkerDoesNotSpin: not on a store that fails, and not when it wakes
// everybody all the time besides.
func TestWorkerDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScript()
		q.claimErr = gate.ErrStoreUnavailable
		close(q.changed)
		stop := running(t, q, workerOptions(t, 4, nil), 0)
		time.Sleep(21 * time.Second)
		stop()
		if got := len(q.claims); got != 11 {
			t.Errorf("%d claims in 21 s on a store that fails, want 11", got)
		}
	})
}

// TestWorkerIsWoken: a change is looked at without waiting for the poll.
func TestWorkerIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScript()
		o := workerOptions(t, 2, func(context.Context, *gate.Run) error { return nil })
		o.Poll = time.Hour
		stop := running(t, q, o, 0)
		synctest.Wait()
		q.mu.Lock()
		q.waiting = append(q.waiting, job("a", gate.PriorityPush))
		woken := q.changed
		q.changed = make(chan struct{})
		q.mu.Unlock()
		close(woken)
		synctest.Wait()
		q.result(t, "a")
		stop()
	})
}

// TestWorkerStops: running jobs get the grace, then they are cancelled and go
// back; nothing new is begun.
func TestWorkerStops(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration // how long the job would run on
		slow  time.Duration // how long it takes to let go
		want  error
		ends  time.Duration
	}{
		"within_the_grace":  {takes: 5 * time.Second, ends: 5 * time.Second},
		"after_the_grace":   {takes: time.Hour, want: gate.ErrBusy, ends: 10 * time.Second},
		"letting_go_slowly": {takes: time.Hour, slow: time.Minute, want: gate.ErrBusy, ends: 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newScript(job("a", gate.PriorityPush), job("b", gate.PriorityPush))
				stop := running(t, q, workerOptions(t, 1, func(ctx context.Context, _ *gate.Run) error {
					select {
					case <-time.After(c.takes):
						return nil
					case <-ctx.Done():
						time.Sleep(c.slow)
						return ctx.Err()
					}
				}), 10*time.Second)
				synctest.Wait()
				began := time.Now()
				stop()
				r := q.result(t, "a")
				if !errors.Is(r.Err, c.want) || (r.Err == nil) != (c.want == nil) || r.Final {
					t.Errorf("got %+v, want %v", r, c.want)
				}
				if got := q.ended["a"].Sub(began); got != c.ends {
					t.Errorf("ended after %s, want %s", got, c.ends)
				}
				// The lease is held until the handler has let go.
				if got, want := len(q.beats), int(c.ends/(3*time.Second)); got < want {
					t.Errorf("%d heartbeats while stopping, want %d", got, want)
				}
				if _, ok := q.results["b"]; ok || len(q.waiting) != 1 {
					t.Error("a job was begun while stopping")
				}
			})
		})
	}
}

// TestWorkerLosesItsLease: the handler is cancelled and told why.
func TestWorkerLosesItsLease(t *testing.T) {
	down := errors.Join(gate.ErrStoreUnavailable, errors.New("no route"))
	for name, c := range map[string]struct {
		beat  func(n int) error
		want  error
		after time.Duration
	}{
		"fenced":    {func(int) error { return gate.ErrFenced }, gate.ErrFenced, 3 * time.Second},
		"cancelled": {func(int) error { return fmt.Errorf("x: %w", gate.ErrCancelled) }, gate.ErrCancelled, 3 * time.Second},
		// Nobody may hold it twice: after a whole lease without an answer.
		"store_is_down": {func(int) error { return down }, gate.ErrFenced, 33 * time.Second},
		"store_answers_at_times": {func(n int) error {
			if n%5 != 0 {
				return down
			}
			return nil
		}, nil, 100 * time.Second},
		"store_comes_back": {func(n int) error {
			if n < 10 {
				return down
			}
			return nil
		}, nil, 100 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newScript(job("a", gate.PriorityPush))
				n := 0
				q.beat = func(gate.Lease) (gate.Beat, error) { n++; return gate.Beat{}, c.beat(n) }
				began := time.Now()
				stop := running(t, q, workerOptions(t, 1, func(ctx context.Context, _ *gate.Run) error {
					select {
					case <-ctx.Done():
						if !errors.Is(context.Cause(ctx), c.want) {
							t.Errorf("cause: got %v, want %v", context.Cause(ctx), c.want)
						}
						return errors.New("broken off")
					case <-time.After(100 * time.Second):
						return nil
					}
				}), 0)
				time.Sleep(101 * time.Second)
				stop()
				r := q.result(t, "a")
				if !errors.Is(r.Err, c.want) || (r.Err == nil) != (c.want == nil) {
					t.Errorf("result: got %v, want %v", r.Err, c.want)
				}
				if got := q.ended["a"].Sub(began); got != c.after {
					t.Errorf("ended after %s, want %s", got, c.after)
				}
			})
		})
	}
}

// TestWorkerProgress: what a handler reports is written soon, not each time,
// and the last of it is kept.
func TestWorkerProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScript(job("a", gate.PriorityPush))
		stop := running(t, q, workerOptions(t, 1, func(_ context.Context, run *gate.Run) error {
			for i := range 1000 {
				run.Report(gate.Progress{Phase: gate.PhaseLayers, LayersDone: i})
				time.Sleep(time.Millisecond)
			}
			run.Enter(gate.PhaseMerge)
			return nil
		}), 0)
		time.Sleep(2 * time.Second)
		stop()
		if got := len(q.beats); got < 2 || got > 4 {
			t.Errorf("1,000 reports in a second were written %d times, want 2 to 4", got)
		}
		if last := q.result(t, "a").Progress; last.Phase != gate.PhaseMerge || last.LayersDone != 999 {
			t.Errorf("the last progress: got %+v", last)
		}
	})
}

// TestShortJobHasNoHeartbeat: what is over before progress is written, is claimed and
// ended, and the end has its progress.
func TestShortJobHasNoHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScript(job("a", gate.PriorityPush))
		stop := running(t, q, workerOptions(t, 1, func(_ context.Context, run *gate.Run) error {
			run.Enter(gate.PhaseManifest)
			time.Sleep(100 * time.Millisecond)
			return nil
		}), 0)
		time.Sleep(time.Second)
		stop()
		if len(q.beats) > 0 {
			t.Errorf("heartbeats: %+v", q.beats)
		}
		if p := q.result(t, "a").Progress; p.Phase != gate.PhaseManifest {
			t.Errorf("the last progress: got %+v", p)
		}
	})
}

// TestWorkerYields: only a rescan that holds the only slot is asked to.
func TestWorkerYields(t *testing.T) {
	for name, c := range map[string]struct {
		concurrency int
		priority    gate.Priority
		urgent      bool
		want        bool
	}{
		"rescan_alone":      {1, gate.PriorityRescan, true, true},
		"nothing_urgent":    {1, gate.PriorityRescan, false, false},
		"push":              {1, gate.PriorityPush, true, false},
		"there_is_a_second": {2, gate.PriorityRescan, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newScript(job("a", c.priority))
				q.beat = func(gate.Lease) (gate.Beat, error) { return gate.Beat{Urgent: c.urgent}, nil }
				got := make(chan bool, 1)
				stop := running(t, q, workerOptions(t, c.concurrency, func(_ context.Context, run *gate.Run) error {
					time.Sleep(4 * time.Second)
					got <- run.Yield()
					return gate.ErrYielded
				}), 0)
				if yields := <-got; yields != c.want {
					t.Errorf("yields: got %t, want %t", yields, c.want)
				}
				stop()
			})
		})
	}
}

// TestYieldingRegistry: the claim for the last slot says which registry holds all
// others, and no claim does while two share them.
func TestYieldingRegistry(t *testing.T) {
	of := func(id, registry string) gate.Job {
		j := job(id, gate.PriorityPush)
		j.Location.Registry = registry
		return j
	}
	for name, c := range map[string]struct {
		concurrency int
		registries  string
		want        []string // of the claims, the last one finds nothing
	}{
		"one_slot":   {1, "", []string{""}},
		"two_slots":  {2, "a", []string{"", "a"}},
		"all_of_one": {3, "aa", []string{"", "", "a"}},
		"of_two":     {3, "ab", []string{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newScript()
				for i, r := range c.registries {
					q.waiting = append(q.waiting, of(fmt.Sprint(i), string(r)))
				}
				o := workerOptions(t, c.concurrency, func(context.Context, *gate.Run) error {
					time.Sleep(time.Second)
					return nil
				})
				o.Poll = time.Hour
				stop := running(t, q, o, time.Minute)
				time.Sleep(100 * time.Millisecond)
				q.mu.Lock()
				claims := slices.Clone(q.claims)
				q.mu.Unlock()
				var got []string
				for _, req := range claims {
					got = append(got, req.Yielding)
					if req.Single != (c.concurrency == 1) {
						t.Errorf("Single is %v of a worker of %d slots", req.Single, c.concurrency)
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
				time.Sleep(2 * time.Second)
				stop()
			})
		})
	}
}

// TestRescansLeaveASlot: they hold at most concurrency-1 slots, all with one,
// and the next one begins the moment one ends.
func TestRescansLeaveASlot(t *testing.T) {
	for _, concurrency := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const jobs, takes = 12, 10 * time.Second
				q := newScript()
				for i := range jobs {
					q.waiting = append(q.waiting, job(fmt.Sprint(i), gate.PriorityRescan))
				}
				limit := max(concurrency-1, 1)
				var mu sync.Mutex
				now, most := 0, 0
				o := workerOptions(t, concurrency, func(_ context.Context, run *gate.Run) error {
					mu.Lock()
					if run.Job.Priority == gate.PriorityRescan {
						now++
						most = max(most, now)
					}
					mu.Unlock()
					time.Sleep(takes)
					mu.Lock()
					defer mu.Unlock()
					if run.Job.Priority == gate.PriorityRescan {
						now--
					}
					return nil
				})
				o.Poll = time.Hour
				began := time.Now()
				stop := running(t, q, o, 0)
				time.Sleep(time.Duration(jobs/limit)*takes + time.Second)
				took := time.Since(began)
				stop()
				if len(q.results) != jobs || most != limit {
					t.Errorf("%d of %d rescans are done after %s, at most %d at a time; want %d at a time", len(q.results), jobs, took, most, limit)
				}
			})
		})
	}
}
