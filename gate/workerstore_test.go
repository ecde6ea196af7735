package gate_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

// testLease is of a bubble's clock, which waits for a machine that stalls.
const testLease = 2 * time.Second

// realQueue is a store, in a bubble, that says when a heartbeat was written.
type realQueue struct {
	*sqlite.Store
	beats chan gate.Beat
}

func (q realQueue) Heartbeat(ctx context.Context, lease gate.Lease, extend time.Duration, p gate.Progress) (gate.Beat, error) {
	beat, err := q.Store.Heartbeat(ctx, lease, extend, p)
	if err == nil {
		select {
		case q.beats <- beat:
		default:
		}
	}
	return beat, err
}

func newRealQueue(t *testing.T) realQueue {
	t.Helper()
	others := goleak.IgnoreCurrent() // of other tests
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = store.Close()
		goleak.VerifyNone(t, others)
	})
	return realQueue{store, make(chan gate.Beat)}
}

func (q realQueue) ask(t *testing.T, name string, trigger gate.Trigger) gate.Job {
	t.Helper()
	d := gate.Digest("sha256:" + strings.Repeat(name, 64))
	j, _, err := q.Enqueue(t.Context(), gate.JobRequest{Kind: gate.JobAnalyze, Location: gate.Location{Registry: "hub", Repository: "app"}, Digest: d, Trigger: trigger})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// reaches waits until a job is in a state.
func (q realQueue) reaches(t *testing.T, id string, want gate.JobState) gate.Job {
	t.Helper()
	for {
		changed := q.Changed()
		j, err := q.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if j.State == want {
			return j
		}
		select {
		case <-changed:
		case <-time.After(time.Hour):
			t.Fatalf("job is %s, want %s: %+v", j.State, want, j)
		}
	}
}

// TestPanicFailsTheJobOnly: an attempt each time, and the worker goes on.
func TestPanicFailsTheJobOnly(t *testing.T) { synctest.Test(t, panicFailsTheJobOnly) }

func panicFailsTheJobOnly(t *testing.T) {
	q := newRealQueue(t)
	bad, good := q.ask(t, "a", gate.TriggerAdmission), q.ask(t, "b", gate.TriggerPush)
	stop := running(t, q, workerOptions(t, 1, func(_ context.Context, run *gate.Run) error {
		if run.Job.ID == bad.ID {
			panic("a bug")
		}
		return nil
	}), 0)
	q.reaches(t, good.ID, gate.JobDone)
	j := q.reaches(t, bad.ID, gate.JobFailed)
	if j.Attempts != 3 || j.Reason != "scan_failed" || !strings.Contains(j.Error, "panic: a bug") {
		t.Errorf("got %d attempts, reason %q, error %q", j.Attempts, j.Reason, j.Error)
	}
	stop()
}

// TestHeartbeatKeepsTheLease: a job that takes many leases stays with its
// worker.
func TestHeartbeatKeepsTheLease(t *testing.T) { synctest.Test(t, heartbeatKeepsTheLease) }

func heartbeatKeepsTheLease(t *testing.T) {
	q := newRealQueue(t)
	j := q.ask(t, "a", gate.TriggerPush)
	began, release, lost := make(chan struct{}), make(chan struct{}), make(chan error, 3)
	o := workerOptions(t, 1, func(ctx context.Context, _ *gate.Run) error {
		close(began)
		select {
		case <-release:
		case <-ctx.Done():
			lost <- context.Cause(ctx)
		}
		return nil
	})
	o.Lease = testLease
	stop := running(t, q, o, time.Minute)
	defer stop()
	<-began
	// The first worker has the job; this one waits for its lease to end.
	o2 := workerOptions(t, 1, func(context.Context, *gate.Run) error {
		lost <- errors.New("another worker has taken the job")
		return nil
	})
	o2.Name, o2.Poll = "other", testLease/20
	stopOther := running(t, q, o2, time.Minute)
	defer stopOther()
	for range 12 { // of which ten make a lease
		select {
		case <-q.beats:
		case err := <-lost:
			t.Fatalf("the lease is lost: %v", err)
		}
	}
	close(release)
	if got := q.reaches(t, j.ID, gate.JobDone); got.Epoch != 1 || got.Attempts != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestCancelReachesTheHandler: within a heartbeat, and it stays cancelled.
func TestCancelReachesTheHandler(t *testing.T) { synctest.Test(t, cancelReachesTheHandler) }

func cancelReachesTheHandler(t *testing.T) {
	q := newRealQueue(t)
	j := q.ask(t, "a", gate.TriggerPush)
	began, cause := make(chan struct{}), make(chan error, 1)
	o := workerOptions(t, 1, func(ctx context.Context, _ *gate.Run) error {
		close(began)
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return errors.New("broken off")
	})
	o.Lease = testLease
	stop := running(t, q, o, time.Minute)
	<-began
	if _, err := q.Cancel(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if err := <-cause; !errors.Is(err, gate.ErrCancelled) {
		t.Errorf("cause: got %v, want ErrCancelled", err)
	}
	stop()
	if got := q.reaches(t, j.ID, gate.JobCancelled); got.Attempts != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestStopGivesTheJobBack: it waits unburnt for the next worker.
func TestStopGivesTheJobBack(t *testing.T) { synctest.Test(t, stopGivesTheJobBack) }

func stopGivesTheJobBack(t *testing.T) {
	q := newRealQueue(t)
	j := q.ask(t, "a", gate.TriggerPush)
	began := make(chan struct{})
	stop := running(t, q, workerOptions(t, 1, func(ctx context.Context, _ *gate.Run) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}), 0)
	<-began
	stop()
	got, err := q.Job(t.Context(), j.ID)
	if err != nil || got.State != gate.JobQueued || got.Attempts != 0 || got.NotBefore.After(time.Now()) {
		t.Errorf("got %+v, %v, want it queued at once without an attempt", got, err)
	}
}

// TestRetryAfterIsKept: the registry's word reaches the queue.
func TestRetryAfterIsKept(t *testing.T) { synctest.Test(t, retryAfterIsKept) }

func retryAfterIsKept(t *testing.T) {
	q := newRealQueue(t)
	j := q.ask(t, "a", gate.TriggerPush)
	ended := make(chan struct{})
	var once sync.Once
	stop := running(t, q, workerOptions(t, 1, func(context.Context, *gate.Run) error {
		once.Do(func() { close(ended) })
		return &gate.RetryAfterError{After: 10 * time.Minute, Err: gate.ErrRegistryUnavailable}
	}), 0)
	<-ended
	got := q.reaches(t, j.ID, gate.JobQueued)
	if wait := time.Until(got.NotBefore); wait < 9*time.Minute || wait > 10*time.Minute || got.Attempts != 0 {
		t.Errorf("waits %s with %d attempts, want 10 minutes with none", wait, got.Attempts)
	}
	stop()
}

// TestRescanYields: with one slot, more urgent work gets it between layers.
func TestRescanYields(t *testing.T) { synctest.Test(t, rescanYields) }

func rescanYields(t *testing.T) {
	q := newRealQueue(t)
	rescan := q.ask(t, "a", gate.TriggerRescan)
	began := make(chan struct{})
	var first atomic.Bool
	var mu sync.Mutex
	var order []gate.Trigger
	o := workerOptions(t, 1, func(ctx context.Context, run *gate.Run) error {
		mu.Lock()
		order = append(order, run.Job.Trigger)
		mu.Unlock()
		if first.CompareAndSwap(false, true) {
			close(began)
			for !run.Yield() { // between layers
				select {
				case <-q.beats:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return gate.ErrYielded
		}
		return nil
	})
	o.Lease = testLease
	stop := running(t, q, o, time.Minute)
	<-began
	urgent := q.ask(t, "b", gate.TriggerAdmission)
	q.reaches(t, urgent.ID, gate.JobDone)
	if got := q.reaches(t, rescan.ID, gate.JobDone); got.Attempts != 0 {
		t.Errorf("yielding burnt %d attempts", got.Attempts)
	}
	stop()
	if len(order) != 3 || order[1] != gate.TriggerAdmission {
		t.Errorf("order: got %v, want the urgent one in between", order)
	}
}
