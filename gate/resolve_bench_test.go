package gate_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/work"
)

// BenchmarkResolves measures the whole way of a resolve: the delivery's job is claimed,
// its manifest and its tag are read from a registry on loopback, recorded, the analysis
// is requested, and the catalog follows, on SQLite with eight workers as cmd has them. It
// reports resolves a second; the queue is filled before the clock starts.
func BenchmarkResolves(b *testing.B) {
	s := newSite(b, month(0))
	for i := range b.N {
		tag := fmt.Sprint("v", i)
		s.event(fmt.Sprint("team/app-", i%20), tag, s.push(fmt.Sprint("team/app-", i%20), tag, uint64(i)))
	}
	c, err := catalog.Open(s.ctx, b.TempDir(), s.store, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := c.CatchUp(s.ctx); err != nil {
		b.Fatal(err)
	}
	var done atomic.Int64
	all := make(chan struct{})
	resolve := s.Handlers()[gate.JobResolve]
	w := work.NewWorker(s.store, work.Options{
		Name: "w", Kinds: []gate.JobKind{gate.JobResolve}, Concurrency: 8, MaxAttempts: 3, Registries: s.Registries, Quota: s.Quota,
		Handlers: map[gate.JobKind]gate.Handler{gate.JobResolve: func(ctx context.Context, run *gate.Run) error {
			err := resolve(ctx, run)
			if err != nil {
				b.Error(err)
			}
			if done.Add(1) == int64(b.N) {
				close(all)
			}
			return err
		}},
		Log: slog.New(slog.DiscardHandler), Now: s.clock.Now,
	})
	ctx, stop := context.WithCancel(s.ctx)
	finished := make(chan struct{}, 2)
	b.ResetTimer()
	began := time.Now()
	go func() { c.Follow(ctx); finished <- struct{}{} }()
	go func() { w.Run(ctx, time.Minute); finished <- struct{}{} }()
	<-all
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "resolves/s")
	stop()
	<-finished
	<-finished
}
