package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

// callers is how many goroutines call at once; reference figures have 64.
const callers = 64

// spread runs n calls by 64 callers and reports how long the slowest of a
// hundred took.
func spread(b *testing.B, n int, call func(i int) error) {
	b.Helper()
	var next atomic.Int64
	times := make([][]time.Duration, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for c := range callers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				if err := call(i); err != nil {
					errs[c] = err
					return
				}
				times[c] = append(times[c], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

func analyzeJob(name string) gate.JobRequest {
	return gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: digestOf(name), Trigger: gate.TriggerPush}
}

func BenchmarkEnqueueDistinct(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	spread(b, b.N, func(i int) error {
		_, _, err := s.Enqueue(context.Background(), analyzeJob(fmt.Sprint(i)))
		return err
	})
}

func BenchmarkEnqueueDuplicate(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	spread(b, b.N, func(int) error {
		_, _, err := s.Enqueue(context.Background(), analyzeJob("same"))
		return err
	})
}

// BenchmarkClaimFinish is one job from the queue to done: claim, Serve,
// Finish.
func BenchmarkClaimFinish(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	enqueue(b, s, b.N)
	claim := gate.ClaimRequest{
		Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "p", Limit: 1 << 40},
		Registries: map[string]gate.Limits{loc.Registry: {Concurrency: 1000}},
	}
	spread(b, b.N, func(int) error {
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

// BenchmarkWholeJob is one item through enqueue, claim and finish.
func BenchmarkWholeJob(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	claim := gate.ClaimRequest{Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "p"}}
	spread(b, b.N, func(i int) error {
		if _, _, err := s.Enqueue(context.Background(), analyzeJob(fmt.Sprint(i))); err != nil {
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

// BenchmarkClaimBehindBlocked claims while 100,000 jobs of a registry at its
// limit wait in front: passing them over must cost nothing.
func BenchmarkClaimBehindBlocked(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	enqueue(b, s, 100_000)
	claim := gate.ClaimRequest{Worker: "w", Lease: time.Hour, Period: gate.Period{Key: "p"},
		Registries: map[string]gate.Limits{loc.Registry: {Concurrency: 1}}}
	if _, err := s.Claim(context.Background(), claim); err != nil {
		b.Fatal(err)
	}
	other := gate.Location{Registry: "other", Repository: "r"}
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		req := analyzeJob(fmt.Sprint("other", i))
		req.Location = other
		if _, _, err := s.Enqueue(context.Background(), req); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if job, err := s.Claim(context.Background(), claim); err != nil || job.Location != other {
			b.Fatalf("got %v, %v", job.Location, err)
		}
	}
}

// BenchmarkRead is what a warm admission of one Pod with three images costs
// the store: 3 digests and 3 tags of 10,000.
func BenchmarkRead(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	const stored = 10_000
	tag := func(i int) gate.TagKey { return gate.TagKey{Location: loc, Tag: fmt.Sprint("v", i)} }
	fillMany(b, s, stored, tag)
	request := func(i int) gate.ReadRequest {
		var req gate.ReadRequest
		for k := range 3 {
			n := (i*7919 + k*3331) % stored
			req.Digests, req.Tags = append(req.Digests, digestOf(fmt.Sprint(n))), append(req.Tags, tag(n))
		}
		return req
	}
	read := func(ctx context.Context, i int) error {
		res, err := s.Read(ctx, request(i))
		if err == nil && (len(res.Tags) != 3 || !res.Digests[digestOf(fmt.Sprint(i*7919%stored))].Record.Known()) {
			err = errors.New("something is missing")
		}
		return err
	}
	b.Run("one_caller", func(b *testing.B) {
		b.ReportAllocs()
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for i := 0; b.Loop(); i++ {
			if err := read(ctx, i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64_callers", func(b *testing.B) {
		spread(b, b.N, func(i int) error { return read(context.Background(), i) })
	})
	b.Run("writer_busy", func(b *testing.B) {
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			var err error
			for i := 0; err == nil; i++ {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
					_, _, err = s.Enqueue(context.Background(), analyzeJob(fmt.Sprint("busy", b.N, i)))
				}
			}
			stopped <- err
		}()
		spread(b, b.N, func(i int) error { return read(context.Background(), i) })
		close(stop)
		if err := <-stopped; err != nil {
			b.Fatal(err)
		}
	})
}

func enqueue(b *testing.B, s *sqlite.Store, n int) {
	b.Helper()
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += callers {
				_, _, errs[c] = s.Enqueue(context.Background(), analyzeJob(fmt.Sprint(i)))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}

// fillMany stores n digests as an installation has them: a manifest, two
// locations with verdicts, an inventory, findings, a finished job and a tag.
func fillMany(b *testing.B, s *sqlite.Store, n int, tag func(int) gate.TagKey) {
	b.Helper()
	enqueue(b, s, n)
	one := func(i int) error {
		ctx, d := context.Background(), digestOf(fmt.Sprint(i))
		second := gate.Location{Registry: "quay", Repository: "team/app"}
		decision := gate.Decision{Outcome: gate.OutcomeWarn, PolicyRevision: "sha256:0123", Reasons: []gate.Reason{
			{Action: gate.OutcomeWarn, Rule: "root-user", Msg: "the image runs as root", Findings: []string{}}}}
		_, locErr := s.AddLocation(ctx, d, loc)
		_, err := s.AddLocation(ctx, d, second)
		_, tagErr := s.PutTag(ctx, tag(i), d, time.Now())
		inv := &gate.Inventory{Format: 1, Digest: d, AnalyzerSet: "set"}
		return errors.Join(locErr, err, tagErr,
			s.PutManifest(ctx, gate.Manifest{Digest: d, Kind: gate.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json"}),
			s.PutInventory(ctx, 1, inv),
			s.PutVerdicts(ctx, d, []gate.Verdict{{Location: loc, Decision: decision}, {Location: second, Decision: decision}}))
	}
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += callers {
				errs[c] = one(i)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}
