// Package storebench measures what users of a store wait for, the same for every
// implementation. docs/performance.md has the figures.
package storebench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

const (
	// callers is how many goroutines call at once where nothing else is said.
	callers = 64
	// workers is how many of them claim.
	workers = 8
	// stored is how many digests there are when reads are measured, and blocked
	// how many jobs wait in front of the one that is claimed. A benchmark that runs
	// once, so that it does not rot, makes do with few.
	stored, blocked, few = 10_000, 100_000, 50
)

var place = gate.Location{Registry: "harbor", Repository: "library/app"}

// Run runs the benchmarks; open makes a fresh, empty store that ends with the
// benchmark.
func Run(b *testing.B, open func(b *testing.B) store.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.B, store.Store)
	}{
		{"EnqueueDistinct", enqueueDistinct}, {"EnqueueDuplicate", enqueueDuplicate},
		{"ClaimFinish", claimFinish}, {"WholeJob", wholeJob}, {"ClaimBehindBlocked", claimBehindBlocked}, {"Read", read}, {"Page", page},
	} {
		b.Run(c.name, func(b *testing.B) { c.run(b, open(b)) })
	}
}

// many is n, or few when each benchmark runs once.
func many(n int) int {
	if f := flag.Lookup("test.benchtime"); f != nil && f.Value.String() == "1x" {
		return few
	}
	return n
}

func digest(i int) gate.Digest {
	sum := sha256.Sum256(fmt.Append(nil, i))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func analysis(i int) gate.JobRequest {
	return gate.JobRequest{Kind: gate.JobAnalyze, Location: place, Digest: digest(i), Trigger: gate.TriggerPush}
}

// spread runs b.N calls by n callers and reports how many came in a second, and
// how long the middle one and the slowest of a hundred took.
func spread(b *testing.B, n int, call func(i int) error) {
	b.Helper()
	times := make([][]time.Duration, n)
	b.ResetTimer()
	err := share(n, b.N, func(caller, i int) error {
		start := time.Now()
		err := call(i)
		times[caller] = append(times[caller], time.Since(start))
		return err
	})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	ms := func(percent int) float64 { return float64(all[len(all)*percent/100].Microseconds()) / 1000 }
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	b.ReportMetric(ms(50), "p50-ms")
	b.ReportMetric(ms(99), "p99-ms")
}

// share does total calls by n callers, until the first error of each.
func share(n, total int, call func(caller, i int) error) error {
	var next atomic.Int64
	errs := make([]error, n)
	var wg sync.WaitGroup
	for c := range n {
		wg.Go(func() {
			for errs[c] == nil {
				i := int(next.Add(1)) - 1
				if i >= total {
					return
				}
				errs[c] = call(c, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// enqueueDistinct is a push of a digest that nobody knew, made durable.
func enqueueDistinct(b *testing.B, s store.Store) {
	spread(b, callers, func(i int) error {
		_, _, err := s.Enqueue(context.Background(), analysis(i))
		return err
	})
}

func enqueueDuplicate(b *testing.B, s store.Store) {
	spread(b, callers, func(int) error {
		_, _, err := s.Enqueue(context.Background(), analysis(0))
		return err
	})
}

// claimFinish is one job from the queue to done by one of eight workers: claim,
// Serve, Finish.
func claimFinish(b *testing.B, s store.Store) {
	err := share(callers, b.N, func(_, i int) error {
		_, _, err := s.Enqueue(context.Background(), analysis(i))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	claim := gate.ClaimRequest{
		Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "p", Limit: 1 << 40},
		Registries: map[string]gate.Limits{place.Registry: {Concurrency: 1000}},
	}
	spread(b, workers, func(int) error {
		job, err := s.Claim(context.Background(), claim)
		if err != nil {
			return err
		}
		if err := s.Serve(context.Background(), job.Lease()); err != nil {
			return err
		}
		_, err = s.Finish(context.Background(), job.Lease(), gate.Result{})
		return err
	})
}

// wholeJob is one item through enqueue, claim and finish.
func wholeJob(b *testing.B, s store.Store) {
	claim := gate.ClaimRequest{Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "p"}}
	spread(b, callers, func(i int) error {
		if _, _, err := s.Enqueue(context.Background(), analysis(i)); err != nil {
			return err
		}
		job, err := s.Claim(context.Background(), claim)
		if err != nil {
			return err
		}
		_, err = s.Finish(context.Background(), job.Lease(), gate.Result{})
		return err
	})
}

// claimBehindBlocked claims while jobs of a registry at its limit wait in front:
// passing them over must cost nothing.
func claimBehindBlocked(b *testing.B, s store.Store) {
	ctx := context.Background()
	err := share(callers, many(blocked), func(_, i int) error {
		_, _, err := s.Enqueue(ctx, analysis(i))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	claim := gate.ClaimRequest{Worker: "w", Lease: time.Hour, Period: gate.Period{Key: "p"},
		Registries: map[string]gate.Limits{place.Registry: {Concurrency: 1}}}
	if _, err := s.Claim(ctx, claim); err != nil {
		b.Fatal(err)
	}
	other := gate.Location{Registry: "other", Repository: "r"}
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		req := analysis(-1 - i)
		req.Location = other
		if _, _, err := s.Enqueue(ctx, req); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if job, err := s.Claim(ctx, claim); err != nil || job.Location != other {
			b.Fatalf("got %v, %v", job.Location, err)
		}
	}
}

// read is what a warm admission of one Pod with three images costs the store: 3
// digests and 3 tags of those that are stored.
func read(b *testing.B, s store.Store) {
	n := many(stored)
	if err := Fill(s, n, Small); err != nil {
		b.Fatal(err)
	}
	one := func(i int) error {
		var req gate.ReadRequest
		for k := range 3 {
			at := (i*7919 + k*3331) % n
			req.Digests, req.Tags = append(req.Digests, digest(at)), append(req.Tags, tag(at))
		}
		res, err := s.Admission().Read(context.Background(), req)
		if err == nil && (len(res.Tags) != 3 || !res.Digests[digest(i*7919%n)].Record.Known()) {
			err = errors.New("something is missing")
		}
		return err
	}
	for _, n := range []int{1, callers} {
		b.Run(fmt.Sprint(n, "_callers"), func(b *testing.B) {
			b.ReportAllocs()
			spread(b, n, one)
		})
	}
}

// page is what a sweep asks of 500 digests: their records, or whether these are the same.
// ns/digest is of one of them.
func page(b *testing.B, s store.Store) {
	n := min(many(stored), 500)
	if err := Fill(s, n, Small); err != nil {
		b.Fatal(err)
	}
	digests := make([]gate.Digest, n)
	for i := range digests {
		digests[i] = digest(i)
	}
	for name, call := range map[string]func(context.Context) (int, error){
		"read": func(ctx context.Context) (int, error) {
			res, err := s.Read(ctx, gate.ReadRequest{Digests: digests})
			return len(res.Digests), err
		},
		"marks": func(ctx context.Context) (int, error) {
			marks, err := s.Marks(ctx, digests)
			return len(marks), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got, err := call(b.Context()); err != nil || got != n {
					b.Fatalf("%d of %d, %v", got, n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/digest")
		})
	}
}

func tag(i int) gate.TagKey { return gate.TagKey{Location: place, Tag: fmt.Sprint("v", i)} }
