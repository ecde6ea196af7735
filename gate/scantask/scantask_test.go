package scantask

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a store with images, workers that analyse, and processes that run tasks. It
// implements Lists, Queue and Matcher. In a bubble the time is midnight UTC on 1 January
// 2000.
type site struct {
	*testing.T
	settings *agree.OwnStore
	table    *gate.Registries
	tasks    *Tasks

	mu         sync.Mutex
	images     map[gate.Digest]*gate.ScanCandidate
	order      []gate.Digest
	records    map[gate.Digest]gate.Record
	jobs       map[string]*gate.Job
	live       map[gate.Digest]string // newest job
	unfinished []*gate.Job
	workers    map[string]int // of each registry
	takes      time.Duration  // an analysis

	matched  map[gate.Digest]int
	analyzed map[gate.Digest]int
	begun    []time.Time // matches and analyses
	failing  error       // of Again
	most     int         // images matched at a time, or jobs that have not ended
}

func newSite(t *testing.T, n int) *site {
	s := &site{
		T: t, settings: agree.NewOwnStore(time.Now), images: map[gate.Digest]*gate.ScanCandidate{}, records: map[gate.Digest]gate.Record{},
		jobs: map[string]*gate.Job{}, live: map[gate.Digest]string{}, workers: map[string]int{"hub": 4, "cloud": 4}, takes: 10 * time.Second,
		matched: map[gate.Digest]int{}, analyzed: map[gate.Digest]int{},
	}
	var err error
	if s.table, err = gate.NewRegistries([]gate.Registry{{Name: "hub", Type: "harbor", Host: "hub.example.com"}, {Name: "cloud", Type: "acr", Host: "cloud.example.com"}}); err != nil {
		t.Fatal(err)
	}
	s.tasks = New(s.settings, quiet)
	for i := range n {
		s.add(fmt.Sprintf("sha256:%064x", i), "hub", fmt.Sprintf("team/app-%d", i%10))
	}
	return s
}

var quiet = slog.New(slog.DiscardHandler)

// add stores an image that was analysed before.
func (s *site) add(d, registry, repository string) gate.Digest {
	digest, at := gate.Digest(d), gate.Location{Registry: registry, Repository: repository}
	s.images[digest] = &gate.ScanCandidate{Digest: digest, Scanned: true, SeenAt: time.Now().Add(-time.Hour), Places: []gate.Place{{Location: at}}}
	s.order = append(s.order, digest)
	slices.Sort(s.order)
	s.records[digest] = gate.Record{
		Digest: digest, InventoryID: "x", AnalyzerSet: "set", AnalyzedAt: time.Now().Add(-time.Hour), Manifest: gate.Manifest{Kind: gate.KindImage},
		Locations: []gate.LocationState{{Location: at}},
	}
	return digest
}

func (s *site) CatchUp(context.Context) error { return nil }

func (s *site) Candidates(_ context.Context, ask gate.ScanAsk, after gate.Digest, limit int) (list []gate.ScanCandidate, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.order {
		c := *s.images[d]
		at := slices.ContainsFunc(c.Places, func(p gate.Place) bool { return p.Registry == ask.Registry })
		if d > after && (ask.Registry == "" || at) && len(list) < limit {
			if !ask.Places {
				c.Places = nil
			}
			list = append(list, c)
		}
	}
	return list, nil
}

func (s *site) Read(_ context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := gate.ReadResult{Digests: map[gate.Digest]gate.Entry{}}
	for _, d := range req.Digests {
		e := gate.Entry{Record: s.records[d]}
		if j := s.jobs[s.live[d]]; j != nil && req.AllJobs {
			job := *j
			e.Job = &job
		}
		res.Digests[d] = e
	}
	return res, nil
}

// Enqueue follows the rules of store.Scheduler for analyses.
func (s *site) Enqueue(_ context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest := s.jobs[s.live[req.Digest]]; newest != nil {
		switch {
		case newest.State.Live():
			newest.Priority = min(newest.Priority, req.Trigger.Priority())
			return *newest, gate.EnqueuedJoined, nil
		case newest.State == gate.JobCancelled && req.Trigger != gate.TriggerAPI:
			return *newest, gate.EnqueuedLeft, nil
		}
	}
	job := gate.Job{ID: fmt.Sprint("job-", len(s.jobs)), Kind: req.Kind, Digest: req.Digest, Location: req.Location, State: gate.JobQueued, Trigger: req.Trigger, Priority: req.Trigger.Priority(), Force: req.Force, CreatedAt: time.Now()}
	s.jobs[job.ID], s.live[req.Digest] = &job, job.ID
	s.unfinished = append(s.unfinished, &job)
	return job, gate.EnqueuedNew, nil
}

func (s *site) Jobs(_ context.Context, ids []string) (map[string]gate.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]gate.Job{}
	for _, id := range ids {
		if j := s.jobs[id]; j != nil {
			out[id] = *j
		}
	}
	return out, nil
}

func (s *site) Cancel(_ context.Context, id string) (gate.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[id]; j != nil && j.State.Live() {
		j.State = gate.JobCancelled
		return *j, nil
	}
	return gate.Job{}, gate.ErrConflict
}

func (s *site) Again(_ context.Context, digests []gate.Digest, workers int) (done, failed, skipped int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil {
		return 0, 0, 0, s.failing
	}
	s.most = max(s.most, min(workers, len(digests)))
	for _, d := range digests {
		if s.records[d].InventoryID == "" {
			skipped++
			continue
		}
		s.matched[d]++
		s.begun = append(s.begun, time.Now())
		done++
	}
	return done, failed, skipped, nil
}

// work analyses what is queued until ctx ends: s.workers of each registry at a time, each
// for s.takes.
func (s *site) work(ctx context.Context) {
	step := time.NewTicker(s.takes / 10)
	defer step.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-step.C:
			s.workStep()
		}
	}
}

func (s *site) workStep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := map[string]int{}
	s.unfinished = slices.DeleteFunc(s.unfinished, func(j *gate.Job) bool {
		if j.State == gate.JobRunning && time.Since(j.StartedAt) >= s.takes {
			j.State = gate.JobDone
			j.FinishedAt = time.Now()
			rec := s.records[j.Digest]
			rec.AnalyzerSet = "set"
			if rec.InventoryID == "" { // a repeated analysis stores what is there already
				rec.InventoryID, rec.AnalyzedAt = "x", time.Now()
			}
			s.records[j.Digest] = rec
			s.images[j.Digest].Scanned = true
		}
		if j.State == gate.JobRunning {
			running[j.Location.Registry]++
		}
		return !j.State.Live()
	})
	s.most = max(s.most, len(s.unfinished))
	for _, j := range s.unfinished {
		if r := j.Location.Registry; j.State == gate.JobQueued && running[r] < s.workers[r] {
			running[r]++
			j.State, j.StartedAt = gate.JobRunning, time.Now()
			s.analyzed[j.Digest]++
			s.begun = append(s.begun, time.Now())
		}
	}
}

// process runs tasks until stop. kill ends it without letting go of anything.
func (s *site) process() (stop, kill func()) {
	settings := &cut{TimedSettings: s.settings}
	r := NewRunner(New(settings, quiet), Options{
		Lists: s, Queue: s, Matcher: s, Registries: s.table, Log: quiet, Refresh: func(context.Context) {},
		Asked: func(context.Context) ([]gate.Digest, error) { return s.order[:1], nil },
		Set:   func(context.Context) (string, error) { return "set", nil },
	})
	ctx, cancel := context.WithCancel(s.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	return stop, func() { settings.off(); stop() }
}

// cut is a store that a process loses.
type cut struct {
	agree.TimedSettings
	mu   sync.Mutex
	gone bool
}

func (c *cut) off() { c.mu.Lock(); c.gone = true; c.mu.Unlock() }

func (c *cut) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return 0, gate.ErrStoreUnavailable
	}
	return c.TimedSettings.PutSetting(ctx, name, value, version)
}

func (s *site) working() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.work(ctx) }()
	return func() { cancel(); <-done }
}

func (s *site) start(id string, r gate.ScanRequest) gate.ScanTask {
	s.Helper()
	t, err := s.tasks.Start(s.Context(), id, r)
	if err != nil {
		s.Fatal(err)
	}
	return t
}

func (s *site) get(id string) gate.ScanTask {
	s.Helper()
	t, err := s.tasks.Get(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return t
}

// once checks that n images were worked on, none twice.
func (s *site) once(what map[gate.Digest]int, n int) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(what) != n {
		s.Errorf("%d images were worked on, want %d", len(what), n)
	}
	for d, times := range what {
		if times != 1 {
			s.Errorf("%s was worked on %d times", d.Short(), times)
		}
	}
}

// TestMatch: every image once, nothing is pulled, with progress.
func TestMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1000)
		s.records[s.order[7]] = gate.Record{Digest: s.order[7]}
		stop, _ := s.process()
		stop2, _ := s.process()
		s.start("all", gate.ScanRequest{Kind: gate.ScanMatch})
		time.Sleep(5 * time.Minute)
		stop()
		stop2()
		s.once(s.matched, 999)
		got := s.get("all")
		if got.State != gate.ScanDone || got.Total != 1000 || got.Done != 999 || got.Skipped != 1 || got.Failed != 0 || len(s.jobs) != 0 || got.FinishedAt.IsZero() {
			t.Errorf("got %+v with %d jobs", got, len(s.jobs))
		}
	})
}

// TestContent: every image is analysed once, as many at a time as the task says, and
// nothing of it is a first scan.
func TestContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 60)
		defer s.working()()
		stop, _ := s.process()
		defer stop()
		s.start("all", gate.ScanRequest{Kind: gate.ScanContent, Force: true, Concurrency: 3})
		time.Sleep(time.Minute)
		if got := s.get("all"); got.State != gate.ScanRunning || got.Total != 60 || got.Done == 0 || got.ExpectedEnd(time.Now()).Before(time.Now().Add(time.Minute)) {
			t.Errorf("in the middle: got %+v, expected to end at %s", got, got.ExpectedEnd(time.Now()))
		}
		time.Sleep(10 * time.Minute)
		s.once(s.analyzed, 60)
		if got := s.get("all"); got.State != gate.ScanDone || got.Done != 60 || got.Analyzed != 60 {
			t.Errorf("got %+v", got)
		}
		if s.most > 3 {
			t.Errorf("%d analyses at a time, want 3", s.most)
		}
		for _, j := range s.jobs {
			if j.Priority != gate.PriorityRescan || !j.Force {
				t.Fatalf("job: got %+v", j)
			}
		}
	})
}

// TestContentWithoutForce: what was never analysed, or by other analysers, is analysed,
// and the others are matched.
func TestContentWithoutForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 30)
		for i, d := range s.order {
			rec := s.records[d]
			switch i % 3 {
			case 1:
				rec.AnalyzerSet = "other"
			case 2:
				rec.InventoryID, s.images[d].Scanned = "", false
			}
			s.records[d] = rec
		}
		defer s.working()()
		stop, _ := s.process()
		defer stop()
		s.start("all", gate.ScanRequest{Kind: gate.ScanContent})
		time.Sleep(5 * time.Minute)
		s.once(s.matched, 10)
		s.once(s.analyzed, 20)
		if got := s.get("all"); got.State != gate.ScanDone || got.Done != 30 || got.Analyzed != 20 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestRate: in no hour more than the rate begins, whatever restarts.
func TestRate(t *testing.T) {
	for _, kind := range gate.ScanKinds() {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 1000)
				defer s.working()()
				s.start("all", gate.ScanRequest{Kind: kind, Force: kind == gate.ScanContent, Rate: 600})
				for range 4 { // 1,000 images at 600 an hour take 100 minutes
					stop, _ := s.process()
					time.Sleep(25 * time.Minute)
					stop()
				}
				stop, _ := s.process()
				defer stop()
				time.Sleep(3 * time.Minute)
				if got := s.get("all"); got.State != gate.ScanDone || got.Done != 1000 {
					t.Errorf("got %+v", got)
				}
				s.once(s.matched, map[gate.ScanKind]int{gate.ScanMatch: 1000}[kind])
				s.once(s.analyzed, map[gate.ScanKind]int{gate.ScanContent: 1000}[kind])
				for i := range s.begun {
					if n := i + 601; n < len(s.begun) && s.begun[n].Sub(s.begun[i]) < 59*time.Minute {
						t.Fatalf("601 images begin within %s", s.begun[n].Sub(s.begun[i]))
					}
				}
			})
		})
	}
}

// TestWindow: at its end nothing is begun any more and what is queued leaves the queue; in
// the next window the task continues where it was.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 60)
		s.workers["hub"], s.takes = 2, 5*time.Minute
		at := func(day, hour, minute int) {
			time.Sleep(time.Until(time.Date(2000, 1, day, hour, minute, 0, 0, time.UTC)))
		}
		at(1, 19, 50)
		s.start("nightly", gate.ScanRequest{Kind: gate.ScanContent, Force: true, Concurrency: 8, Window: "00:00-02:00", TimeZone: "Etc/GMT-4", Schedule: "nightly"}) // 20:00-22:00 UTC
		seen := []int{}
		for day := range 2 {
			working := s.working()
			stop, _ := s.process()
			time.Sleep(10 * time.Second)
			if got := s.get("nightly"); got.State != gate.ScanWaiting || got.StartedAt.IsZero() != (day == 0) {
				t.Errorf("before the window: got %+v", got)
			}
			at(1+day, 22, 1)
			got := s.get("nightly")
			seen = append(seen, got.Done)
			for _, j := range s.unfinished {
				if j.State == gate.JobQueued {
					t.Errorf("after the window %s is queued", j.ID)
				}
			}
			if day == 0 && (got.State != gate.ScanWaiting || !got.ExpectedEnd(time.Now()).After(time.Now().Add(21*time.Hour))) {
				t.Errorf("after the window: got %+v, expected to end at %s", got, got.ExpectedEnd(time.Now()))
			}
			time.Sleep(10 * time.Minute) // what was under way ends
			stop()
			working()
			at(2+day, 19, 50)
		}
		for i, at := range s.begun {
			if at.UTC().Hour() < 20 || at.UTC().Hour() >= 22 {
				t.Errorf("analysis %d began at %s", i, at)
			}
		}
		s.once(s.analyzed, 60)
		if got := s.get("nightly"); got.State != gate.ScanDone || got.Done != 60 || seen[0] < 40 || seen[0] > 50 {
			t.Errorf("two windows: got %+v after %v", got, seen)
		}
	})
}

// TestPauseAndCancel: both stop at once; what is analysed ends, what is queued does not
// begin, and a later task is not kept from these images.
func TestPauseAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 40)
		s.workers["hub"], s.takes = 1, time.Minute
		defer s.working()()
		stop, _ := s.process()
		defer stop()
		s.start("all", gate.ScanRequest{Kind: gate.ScanContent, Force: true, Concurrency: 5})
		time.Sleep(5*time.Minute + 30*time.Second)
		if got, err := s.tasks.Pause(t.Context(), "all"); err != nil || got.State != gate.ScanPaused {
			t.Fatalf("Pause: %+v, %v", got, err)
		}
		time.Sleep(time.Hour)
		n := len(s.begun)
		if got := s.get("all"); got.State != gate.ScanPaused || n > 7 || !got.ExpectedEnd(time.Now()).IsZero() {
			t.Errorf("paused: %d have begun, got %+v", n, got)
		}
		if _, err := s.tasks.Pause(t.Context(), "all"); !errors.Is(err, gate.ErrConflict) || err.Error() != `scan task "all" is paused and cannot be paused` {
			t.Errorf("Pause twice: %v", err)
		}
		if _, err := s.tasks.Resume(t.Context(), "all"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if len(s.begun) <= n {
			t.Error("it does not continue")
		}
		if _, err := s.tasks.Cancel(t.Context(), "all"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		n = len(s.begun)
		time.Sleep(time.Hour)
		if got := s.get("all"); got.State != gate.ScanCancelled || len(s.begun) != n || got.Done >= 40 {
			t.Errorf("cancelled: %d have begun, then %d, got %+v", n, len(s.begun), got)
		}
		for _, do := range []func(context.Context, string) (gate.ScanTask, error){s.tasks.Cancel, s.tasks.Resume, s.tasks.Pause} {
			if _, err := do(t.Context(), "all"); !errors.Is(err, gate.ErrConflict) {
				t.Errorf("after the end: %v", err)
			}
			if _, err := do(t.Context(), "other"); !errors.Is(err, gate.ErrNotFound) || !strings.Contains(err.Error(), `"digestgate scans list" lists them`) {
				t.Errorf("of no task: %v", err)
			}
		}
		s.once(s.analyzed, len(s.analyzed))
		s.start("next", gate.ScanRequest{Kind: gate.ScanContent, Force: true, Schedule: "nightly"})
		time.Sleep(time.Hour)
		if got := s.get("next"); got.State != gate.ScanDone || got.Done != 40 {
			t.Errorf("a later task: got %+v", got)
		}
	})
}

// TestKilled: a process dies in the middle, another one continues, and nothing is done
// twice.
func TestKilled(t *testing.T) {
	for _, kind := range gate.ScanKinds() {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 300)
				defer s.working()()
				s.start("all", gate.ScanRequest{Kind: kind, Force: kind == gate.ScanContent, Rate: 3600})
				for range 3 {
					_, kill := s.process()
					other, _ := s.process()
					time.Sleep(time.Minute)
					kill()
					time.Sleep(2 * lease)
					other()
				}
				stop, _ := s.process()
				time.Sleep(10 * time.Minute)
				stop()
				got := s.get("all")
				if got.State != gate.ScanDone || got.Seen() != 300 || got.Done != 300 {
					t.Errorf("got %+v", got)
				}
				if kind == gate.ScanContent {
					s.once(s.analyzed, 300)
				} else if repeated := len(s.begun) - 300; repeated > 3 { // what was matched and not written down
					t.Errorf("%d matches are repeated", repeated)
				}
			})
		})
	}
}

// TestSlowRegistryKeepsNoOther: one that analyses nothing keeps its own images only.
func TestSlowRegistryKeepsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 50)
		for i := range 50 {
			s.add(fmt.Sprintf("sha256:f%063x", i), "cloud", "x")
		}
		s.workers["cloud"] = 0
		defer s.working()()
		stop, _ := s.process()
		defer stop()
		s.start("all", gate.ScanRequest{Kind: gate.ScanContent, Force: true})
		time.Sleep(10 * time.Minute)
		if got := s.get("all"); got.State != gate.ScanRunning || got.Done != 50 || got.Total != 100 {
			t.Errorf("got %+v", got)
		}
		s.mu.Lock()
		s.workers["cloud"] = 4
		s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if got := s.get("all"); got.State != gate.ScanDone || got.Done != 100 {
			t.Errorf("when it is back: got %+v", got)
		}
	})
}

// TestScope: the task sees the images of its scope and no others.
func TestScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 100)
		cloud := s.add("sha256:f0", "cloud", "team/app-3")
		stop, _ := s.process()
		defer stop()
		for id, c := range map[string]struct {
			scope gate.ScanScope
			want  int
		}{
			"type":        {gate.ScanScope{RegistryTypes: []string{"acr"}}, 1},
			"repository":  {gate.ScanScope{Repositories: []string{"**/app-3"}}, 11},
			"both":        {gate.ScanScope{Repositories: []string{"**/app-3"}, Registries: []string{"hub"}}, 10},
			"none":        {gate.ScanScope{Repositories: []string{"elsewhere"}}, 0},
			"running":     {gate.ScanScope{Running: true}, 1},
			"recommended": {gate.ScanScope{Recommended: true, Registries: []string{"cloud"}}, 1},
			"old":         {gate.ScanScope{PushedWithin: time.Minute}, 0},
		} {
			s.start(id, gate.ScanRequest{Kind: gate.ScanMatch, Scope: c.scope})
			time.Sleep(time.Minute)
			if got := s.get(id); got.State != gate.ScanDone || got.Total != c.want || got.Done != c.want {
				t.Errorf("%s: got %+v, want %d images", id, got, c.want)
			}
		}
		if s.matched[cloud] != 3 {
			t.Errorf("the image elsewhere was matched %d times", s.matched[cloud])
		}
	})
}

// TestTriedAgain: a task that cannot continue says why and is tried again, and a process
// that stops hands it over.
func TestTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 10)
		s.failing = gate.ErrAdvisoriesUnavailable
		stop, _ := s.process()
		s.start("all", gate.ScanRequest{Kind: gate.ScanMatch})
		time.Sleep(5 * time.Second)
		if got := s.get("all"); got.State != gate.ScanWaiting || !strings.Contains(got.Error, "no advisory database") || got.RetryAt.IsZero() || got.Total != 10 {
			t.Errorf("without data: got %+v", got)
		}
		stop()
		s.failing = nil
		stop, _ = s.process()
		defer stop()
		time.Sleep(time.Minute)
		if got := s.get("all"); got.State != gate.ScanDone || got.Error != "" || got.Tries != 0 {
			t.Errorf("with data: got %+v", got)
		}
	})
}

// TestFirstScansStayInTheQueue: a review may wait for one, so that a task that stops leaves
// it; and a person's cancellation of one is respected by schedules.
func TestFirstScansStayInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2)
		for _, d := range s.order {
			s.records[d] = gate.Record{Digest: d, Manifest: gate.Manifest{Kind: gate.KindImage}, Locations: s.records[d].Locations}
		}
		s.workers["hub"] = 0
		stop, _ := s.process()
		defer stop()
		s.start("all", gate.ScanRequest{Kind: gate.ScanContent, Schedule: "nightly"})
		time.Sleep(10 * time.Second)
		if _, err := s.tasks.Cancel(t.Context(), "all"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, j := range s.jobs {
			if j.State != gate.JobQueued || j.Force {
				t.Errorf("job: got %+v, want it queued", j)
			}
			j.State = gate.JobCancelled // by a person
		}
		s.start("scheduled", gate.ScanRequest{Kind: gate.ScanContent, Schedule: "nightly"})
		time.Sleep(10 * time.Second)
		if got := s.get("scheduled"); got.State != gate.ScanDone || got.Skipped != 2 {
			t.Errorf("of a schedule: got %+v", got)
		}
		defer s.working()()
		s.workers["hub"] = 2
		s.start("person", gate.ScanRequest{Kind: gate.ScanContent, Scope: gate.ScanScope{Recommended: true}})
		time.Sleep(time.Minute)
		if got := s.get("person"); got.State != gate.ScanDone || got.Analyzed != 2 {
			t.Errorf("of a person: got %+v", got)
		}
	})
}

// TestOthersJobsStay: a job that others want too is not taken out of the queue.
func TestOthersJobsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 3)
		s.workers["hub"] = 0
		before, _, _ := s.Enqueue(t.Context(), gate.JobRequest{Kind: gate.JobAnalyze, Digest: s.order[0], Location: gate.Location{Registry: "hub"}, Trigger: gate.TriggerRescan})
		stop, _ := s.process()
		defer stop()
		s.start("all", gate.ScanRequest{Kind: gate.ScanContent, Force: true})
		time.Sleep(10 * time.Second)
		raised, outcome, _ := s.Enqueue(t.Context(), gate.JobRequest{Kind: gate.JobAnalyze, Digest: s.order[1], Location: gate.Location{Registry: "hub"}, Trigger: gate.TriggerPush})
		if outcome != gate.EnqueuedJoined {
			t.Fatalf("the task has not queued %s", s.order[1])
		}
		if _, err := s.tasks.Pause(t.Context(), "all"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		jobs, _ := s.Jobs(t.Context(), []string{before.ID, raised.ID, s.live[s.order[2]]})
		if jobs[before.ID].State != gate.JobQueued || jobs[raised.ID].State != gate.JobQueued || jobs[s.live[s.order[2]]].State != gate.JobCancelled {
			t.Errorf("got %+v", jobs)
		}
	})
}

// TestKept: what has ended is bounded in number and bytes, the last run of each schedule
// stays, and no more live tasks are taken than are kept.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		long := gate.ScanScope{Tags: strings.Fields(strings.Repeat(strings.Repeat("<", 200)+" ", 10))} // JSON takes six bytes for each
		s.start("run", gate.ScanRequest{Kind: gate.ScanMatch, Schedule: "monthly"})
		if _, err := s.tasks.Cancel(t.Context(), "run"); err != nil {
			t.Fatal(err)
		}
		for i := range 2 * MaxEnded {
			id := fmt.Sprint("scan-", i)
			s.start(id, gate.ScanRequest{Kind: gate.ScanMatch, Scope: long})
			if _, err := s.tasks.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.tasks.List(t.Context())
		if err != nil || len(list) != MaxEnded+1 || list[0].ID != fmt.Sprint("scan-", 2*MaxEnded-1) || list[MaxEnded].ID != "run" {
			t.Errorf("got %d tasks, %v", len(list), err)
		}
		for i := range MaxLive {
			s.start(fmt.Sprint("live-", i), gate.ScanRequest{Kind: gate.ScanMatch, Scope: long})
		}
		if _, err := s.tasks.Start(t.Context(), "more", gate.ScanRequest{Kind: gate.ScanMatch}); !errors.Is(err, gate.ErrConflict) || !strings.Contains(err.Error(), "20 scan tasks have not ended, the most there can be; wait for one, or cancel one") {
			t.Errorf("one more: %v", err)
		}
		for i := range 100 { // a schedule each
			k := kept{Format: format, Tasks: []task{{ScanTask: gate.ScanTask{ID: fmt.Sprint(i), State: gate.ScanDone, ScanRequest: gate.ScanRequest{Schedule: fmt.Sprint(i), Scope: long}}}}}
			err := s.tasks.update(t.Context(), func(all *kept, _ time.Time) error { all.Tasks = append(all.Tasks, k.Tasks...); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		value, _, err := s.settings.Setting(t.Context(), agree.SettingScanTasks)
		if err != nil || len(value) > maxBytes {
			t.Errorf("the value has %d bytes, %v", len(value), err)
		}
	})
}

// TestStartOnce: the same id is the same task, and a schedule has one run at a time.
func TestStartOnce(t *testing.T) {
	s := newSite(t, 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { s.start("nightly-1", gate.ScanRequest{Kind: gate.ScanMatch, Schedule: "nightly"}) })
	}
	wg.Wait()
	if list, err := s.tasks.List(t.Context()); err != nil || len(list) != 1 {
		t.Fatalf("got %+v, %v", list, err)
	}
	before, err := s.tasks.Start(t.Context(), "nightly-2", gate.ScanRequest{Kind: gate.ScanMatch, Schedule: "nightly"})
	if !errors.Is(err, gate.ErrConflict) || before.ID != "nightly-1" {
		t.Errorf("a second run: got %+v, %v", before, err)
	}
	s.start("other", gate.ScanRequest{Kind: gate.ScanMatch, Schedule: "weekly"})
}

// TestLaterVersion: what this version cannot read is not overwritten.
func TestLaterVersion(t *testing.T) {
	s := newSite(t, 0)
	for _, value := range []string{`{"format":2,"tasks":[]}`, `{`} {
		_, version, _ := s.settings.Setting(t.Context(), agree.SettingScanTasks)
		if _, err := s.settings.PutSetting(t.Context(), agree.SettingScanTasks, []byte(value), version); err != nil {
			t.Fatal(err)
		}
		if _, err := s.tasks.Start(t.Context(), "x", gate.ScanRequest{}); !errors.Is(err, gate.ErrStoreUnavailable) || !strings.Contains(err.Error(), "run the version of digestgate that wrote it") {
			t.Errorf("Start: %v", err)
		}
		if got, _, _ := s.settings.Setting(t.Context(), agree.SettingScanTasks); string(got) != value {
			t.Errorf("the value is %s now", got)
		}
	}
}

// TestUnreadableZone: a task that this system cannot run ends and says why.
func TestUnreadableZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		stop, _ := s.process()
		defer stop()
		s.start("x", gate.ScanRequest{Kind: gate.ScanMatch, TimeZone: "Mars/Olympus"})
		time.Sleep(10 * time.Second)
		if got := s.get("x"); got.State != gate.ScanFailed || !strings.Contains(got.Error, "Mars/Olympus") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRest(t *testing.T) {
	var got []time.Duration
	for n := 1; n < 10; n++ {
		got = append(got, rest(n))
	}
	if diff := cmp.Diff([]time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second, 640 * time.Second, longestRest, longestRest}, got); diff != "" {
		t.Error(diff)
	}
}
