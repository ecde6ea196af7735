package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// together runs n copies of do at once and collects their errors.
func (e *env) together(n int, do func(i int) error) {
	e.Helper()
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { <-start; errs[i] = do(i) })
	}
	close(start)
	wg.Wait()
	e.no(errors.Join(errs...))
}

var concurrencyCases = []testCase{
	{"fifty_claimers_one_job", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		var won atomic.Int32
		e.together(50, func(i int) error {
			req := claimRequest()
			req.Worker = fmt.Sprint("w", i)
			_, err := e.s.Claim(e.ctx, req)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, gate.ErrNoJob) {
				return err
			}
			return nil
		})
		if n := won.Load(); n != 1 {
			e.Fatalf("%d executions", n)
		}
		e.wantUsed("2026-11", 1)
	}},
	{"fifty_asks_one_job", func(e *env) {
		var made atomic.Int32
		e.together(50, func(i int) error {
			_, outcome, err := e.s.Enqueue(e.ctx, resolve("a", fmt.Sprint("v", i), gate.TriggerPush))
			if outcome == gate.EnqueuedNew {
				made.Add(1)
			}
			return err
		})
		if n := made.Load(); n != 1 {
			e.Fatalf("%d jobs", n)
		}
		if job := e.claim(); len(job.Tags) != 50 {
			e.Fatalf("%d tags of 50", len(job.Tags))
		}
		e.claimNone()
	}},
	{"workers_drain_the_queue_once", func(e *env) {
		const jobs, workers, limit = 200, 8, 3
		e.together(10, func(i int) error {
			for j := range jobs / 10 {
				if _, _, err := e.s.Enqueue(e.ctx, analyze(fmt.Sprint(i, "/", j), gate.TriggerPush)); err != nil {
					return err
				}
			}
			return nil
		})
		var ran sync.Map
		var count, running, most atomic.Int32
		e.together(workers, func(i int) error {
			req := claimRequest()
			req.Worker, req.Registries = fmt.Sprint("w", i), map[string]gate.Limits{"harbor": {Concurrency: limit}}
			for count.Load() < jobs {
				job, err := e.s.Claim(e.ctx, req)
				if errors.Is(err, gate.ErrNoJob) {
					continue
				}
				if err != nil {
					return err
				}
				now := running.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				if _, twice := ran.LoadOrStore(job.Key, true); twice {
					return fmt.Errorf("job %s ran twice", job.Key)
				}
				if err := e.s.Serve(e.ctx, job.Lease()); err != nil {
					return err
				}
				running.Add(-1)
				if _, err := e.s.Finish(e.ctx, job.Lease(), gate.Result{}); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
		if m := most.Load(); m > limit {
			e.Fatalf("%d ran at once, the limit is %d", m, limit)
		}
		e.wantUsed("2026-11", jobs)
		e.claimNone()
	}},
	{"quota_is_exact_under_contention", func(e *env) {
		const jobs, limit = 60, 25
		for i := range jobs {
			e.enqueue(analyze(name("a", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		var got atomic.Int32
		e.together(30, func(int) error {
			for {
				job, err := e.s.Claim(e.ctx, limited("2026-11", limit))
				if errors.Is(err, gate.ErrNoJob) {
					return nil
				}
				if err != nil {
					return err
				}
				got.Add(1)
				if err := e.s.Serve(e.ctx, job.Lease()); err != nil {
					return err
				}
			}
		})
		if got.Load() != limit {
			e.Fatalf("%d claims", got.Load())
		}
		e.wantUsed("2026-11", limit)
	}},
	{"settings_are_set_once", func(e *env) {
		var won, spent atomic.Int32
		e.together(30, func(i int) error {
			_, err := e.s.PutSetting(e.ctx, "tick", fmt.Append(nil, i), 0)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, gate.ErrConflict) {
				return err
			}
			ok, err := e.s.Spend(e.ctx, "b", 7, 1000*time.Hour)
			if ok {
				spent.Add(1)
			}
			return err
		})
		if won.Load() != 1 || spent.Load() != 7 {
			e.Fatalf("%d won, %d spent", won.Load(), spent.Load())
		}
	}},
	{"one_record_many_writers", func(e *env) {
		e.together(40, func(i int) error {
			loc := gate.Location{Registry: "r", Repository: name("repo", i%20)}
			_, err := e.s.AddLocation(e.ctx, digest("a"), loc)
			return errors.Join(err, e.s.PutManifest(e.ctx, manifest("a")))
		})
		r := e.record("a")
		if len(r.Locations) != 20 || r.Version != 21 {
			e.Fatalf("got %d locations at version %d", len(r.Locations), r.Version)
		}
	}},
	{"a_follower_misses_nothing", func(e *env) {
		const writers, each = 4, 50
		var wg sync.WaitGroup
		errs := make(chan error, writers)
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if err := e.s.PutManifest(e.ctx, manifest(fmt.Sprint(w, "/", i))); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		seen := map[string]bool{}
		seq, last := int64(0), int64(0)
		for len(seen) < writers*each {
			changed := e.s.Changed()
			all, next, err := e.s.Changes(e.ctx, seq, 17)
			e.no(err)
			for _, c := range all {
				if c.Seq <= last {
					e.Fatalf("sequence %d after %d", c.Seq, last)
				}
				last = c.Seq
				seen[c.Key] = true
			}
			seq = next
			if len(all) > 0 {
				continue
			}
			select {
			case <-changed:
			case err := <-errs:
				e.Fatal(err)
			case <-time.After(time.Minute):
				e.Fatalf("no change; %d of %d seen", len(seen), writers*each)
			}
		}
		wg.Wait()
	}},
}

var lifecycleCases = []testCase{
	{"check", func(e *env) {
		e.no(e.s.Check(e.ctx))
		e.no(e.s.Check(e.ctx))
	}},
	{"ended_context_reads_as_timeout", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		ctx, cancel := context.WithCancelCause(e.ctx)
		cancel(gate.ErrFenced) // the cause is the caller's business
		for what, err := range everyMethod(ctx, e.s) {
			if !errors.Is(err, gate.ErrTimeout) {
				e.Errorf("%s: got %v, want ErrTimeout", what, err)
			}
		}
		e.claim() // nobody has it
	}},
	{"closed_store_is_unavailable", func(e *env) {
		e.no(e.s.Close())
		e.no(e.s.Close())
		for what, err := range everyMethod(e.ctx, e.s) {
			if !errors.Is(err, gate.ErrStoreUnavailable) {
				e.Errorf("%s: got %v, want ErrStoreUnavailable", what, err)
			}
		}
	}},
	{"closing_under_load_answers_everybody", func(e *env) {
		var wg sync.WaitGroup
		began := make(chan struct{}, 20)
		for i := range 20 {
			wg.Go(func() {
				for j := 0; ; j++ {
					_, _, err := e.s.Enqueue(e.ctx, analyze(fmt.Sprint(i, "/", j), gate.TriggerPush))
					if j == 0 {
						began <- struct{}{}
					}
					if err != nil {
						if !errors.Is(err, gate.ErrStoreUnavailable) {
							e.Errorf("got %v, want ErrStoreUnavailable", err)
						}
						return
					}
				}
			})
		}
		for range 20 {
			<-began
		}
		e.no(e.s.Close())
		wg.Wait()
	}},
}

// everyMethod calls each method that can fail with good arguments.
func everyMethod(ctx context.Context, s store.Store) map[string]error {
	errs := map[string]error{}
	lease := gate.Lease{JobID: "1-x", Epoch: 1}
	_, _, errs["Enqueue"] = s.Enqueue(ctx, analyze("a", gate.TriggerPush))
	_, errs["Claim"] = s.Claim(ctx, claimRequest())
	_, errs["Heartbeat"] = s.Heartbeat(ctx, lease, time.Second, gate.Progress{})
	_, errs["Finish"] = s.Finish(ctx, lease, gate.Result{})
	_, errs["Cancel"] = s.Cancel(ctx, "1-x")
	_, errs["Job"] = s.Job(ctx, "1-x")
	_, errs["Jobs"] = s.Jobs(ctx, []string{"1-x"})
	errs["Serve"] = s.Serve(ctx, lease)
	errs["Avoid"] = s.Avoid(ctx, "p", 1)
	_, errs["Quota"] = s.Quota(ctx, "p")
	_, errs["Charged"] = s.Charged(ctx, digest("a"))
	_, errs["ChargesOf"] = s.ChargesOf(ctx, []gate.Digest{digest("a")})
	_, errs["Restore"] = s.Restore(ctx, digest("a"), "p", time.Unix(1, 0))
	_, errs["Spend"] = s.Spend(ctx, "b", 1, time.Hour)
	errs["Fence"] = s.Fence(ctx, digest("a"), 1)
	errs["PutManifest"] = s.PutManifest(ctx, manifest("a"))
	_, errs["AddLocation"] = s.AddLocation(ctx, digest("a"), app)
	_, errs["Sight"] = s.Sight(ctx, gate.Sighting{Digest: digest("a"), Location: app})
	errs["MarkGone"] = s.MarkGone(ctx, digest("a"), app)
	errs["Forget"] = s.Forget(ctx, digest("a"), 1)
	errs["Drop"] = s.Drop(ctx, "1-x")
	errs["DropTag"] = s.DropTag(ctx, gate.TagMapping{TagKey: gate.TagKey{Location: app, Tag: "v1"}})
	_, errs["PutInventory"] = s.PutInventory(ctx, 1, inventory("a", "s"))
	errs["PutUnassessable"] = s.PutUnassessable(ctx, digest("a"), 1, "r")
	_, errs["PutFindings"] = s.PutFindings(ctx, findings("a", "i", 1), "")
	_, errs["PutVerdicts"] = s.PutVerdicts(ctx, digest("a"), gate.Basis{}, nil)
	_, errs["Inventory"] = s.Inventory(ctx, digest("a"))
	_, errs["Findings"] = s.Findings(ctx, digest("a"))
	_, errs["PutTag"] = s.PutTag(ctx, key("v1"), digest("a"), time.Unix(1, 0), "")
	errs["MarkDirty"] = s.MarkDirty(ctx, key("v1"))
	_, _, errs["Setting"] = s.Setting(ctx, "n")
	_, errs["PutSetting"] = s.PutSetting(ctx, "n", nil, 0)
	_, _, errs["Changes"] = s.Changes(ctx, 0, 1)
	_, errs["Newest"] = s.Newest(ctx)
	_, errs["Scan"] = s.Scan(ctx, func(store.Item) error { return nil })
	_, errs["Read"] = s.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{digest("a")}, Tags: []gate.TagKey{key("v1")}})
	errs["Check"] = s.Check(ctx)
	_, now := s.Now(ctx)
	if ctx.Err() != nil {
		errs["Now"] = now
	}
	return errs
}
