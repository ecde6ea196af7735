package gate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// BenchmarkWalks measures the works that are done for each image, without claims, on
// SQLite and a registry on loopback; analysis and matching are scripted. Times are of
// one job, and of one digest of a sweep.
func BenchmarkWalks(b *testing.B) {
	s := newSite(b, month(0))
	seed := uint64(1)
	b.Run("resolve_new", func(b *testing.B) {
		jobs(b, s, gate.JobResolve, func() {
			seed++
			tag := fmt.Sprint("n", seed)
			s.event("team/app", tag, s.push("team/app", tag, seed))
		})
	})
	b.Run("resolve_known", func(b *testing.B) {
		d := s.push("team/known", "v1", 1)
		s.event("team/known", "v1", d)
		s.work()
		jobs(b, s, gate.JobResolve, func() {
			seed++
			tag := fmt.Sprint("k", seed)
			s.event("team/known", tag, s.push("team/known", tag, 1))
		})
	})
	b.Run("analysis", func(b *testing.B) {
		jobs(b, s, gate.JobAnalyze, func() {
			seed++
			tag := fmt.Sprint("a", seed)
			s.event("team/app", tag, s.push("team/app", tag, seed))
		})
	})
	b.Run("sweep", func(b *testing.B) {
		d := s.push("team/swept", "v1", 1)
		s.event("team/swept", "v1", d)
		s.work()
		sweeper := s.sweeper(listed{d})
		var took time.Duration
		for i := range b.N {
			s.matcher.activate(s.matcher.generation.Number + 1)
			s.matcher.bad[d] = gate.Severities()[i%2]
			began := time.Now()
			if _, err := sweeper.Rematch(s.ctx); err != nil {
				b.Fatal(err)
			}
			took += time.Since(began)
		}
		b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/op")
	})
}

// jobs measures the handling of the jobs of a kind that prepare leads to.
func jobs(b *testing.B, s *site, kind gate.JobKind, prepare func()) {
	b.Helper()
	var took time.Duration
	var n int
	for range b.N {
		prepare()
		s.clock.Advance(time.Millisecond)
		for {
			job, err := s.store.Claim(s.ctx, s.claim())
			if err != nil {
				break
			}
			began := time.Now()
			err = s.Handlers()[job.Kind](s.ctx, gate.NewRun(job))
			if job.Kind == kind {
				took += time.Since(began)
				n++
			}
			if _, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: err, MaxAttempts: 3}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(n), "ns/op")
}
