package redis_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/work"
	"github.com/digestgate/digestgate/store/redis"
)

// countingQueue counts claims.
type countingQueue struct {
	*redis.Store
	claims atomic.Int64
}

func (q *countingQueue) Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error) {
	q.claims.Add(1)
	return q.Store.Claim(ctx, req)
}

// TestIdleWorkersCostLittle: each change wakes every worker of every process,
// but a burst wakes it a few times only, and all end when they are told to.
func TestIdleWorkersCostLittle(t *testing.T) {
	c := config(t, servers.Plain(t).URL())
	const processes, changes = 6, 2000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	regs, err := gate.NewRegistries(nil)
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(gate.DefaultQuota())
	if err != nil {
		t.Fatal(err)
	}
	queues := make([]*countingQueue, processes)
	var running sync.WaitGroup
	for i := range queues {
		queues[i] = &countingQueue{Store: open(t, c, redis.Options{})}
		w := work.NewWorker(queues[i], work.Options{
			Name: string(rune('a' + i)), Kinds: []gate.JobKind{gate.JobAnalyze}, Concurrency: 4, MaxAttempts: 3, Poll: time.Hour,
			Registries: regs, Quota: quota, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		})
		running.Go(func() { w.Run(ctx, 0) })
	}
	pushes := open(t, c, redis.Options{})
	began := time.Now()
	for i := range changes {
		key := gate.TagKey{Location: gate.Location{Registry: "hub", Repository: "app"}, Tag: digest("tag", i).Short()}
		if err := pushes.MarkDirty(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(began)
	// Two wakes in 20 ms, one more after it, and the first look.
	limit := 2*int64(took/(20*time.Millisecond)) + 20
	for i, q := range queues {
		if n := q.claims.Load(); n > limit || n < 2 {
			t.Errorf("process %d claimed %d times for %d changes in %s, want 2 to %d", i, n, changes, took, limit)
		}
	}
	t.Logf("%d changes in %s: the first process claimed %d times", changes, took.Round(time.Millisecond), queues[0].claims.Load())
	cancel()
	running.Wait()
}
