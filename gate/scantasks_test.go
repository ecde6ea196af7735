package gate_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/standing"
)

// scanning runs scan tasks on the real store and catalog, while one test works on jobs.
type scanning struct {
	*site
	tasks   *scantask.Tasks
	catalog *catalog.Catalog
	running []gate.Digest
}

func newScanning(t *testing.T, s *site) *scanning {
	t.Helper()
	s.clock.Advance(time.Hour) // after the time of all inventories
	log := slog.New(slog.DiscardHandler)
	c, err := catalog.Open(s.ctx, t.TempDir(), s.store, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	x := &scanning{site: s, tasks: scantask.New(s.store, log), catalog: c}
	r := scantask.NewRunner(x.tasks, scantask.Options{
		Lists: c, Queue: s.store, Matcher: standing.NewSweeper(s.standing, standing.SweepOptions{Digests: c, Scheduler: s.sweeping, Quota: s.Quota}), Registries: s.Registries,
		Asked: func(context.Context) ([]gate.Digest, error) { return x.running, nil },
		Set:   func(context.Context) (string, error) { return s.analyzer.Set(), nil }, Refresh: func(context.Context) {}, Log: log,
	})
	ctx, stop := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return x
}

// scan runs a task to its end.
func (x *scanning) scan(id string, r gate.ScanRequest) gate.ScanTask {
	x.t.Helper()
	if _, err := x.tasks.Start(x.ctx, id, r); err != nil {
		x.t.Fatal(err)
	}
	for {
		x.work()
		x.clock.Advance(time.Second)
		task, err := x.tasks.Get(x.ctx, id)
		if err != nil {
			x.t.Fatal(err)
		}
		if !task.State.Live() {
			return task
		}
	}
}

// TestScanTasks: content is analysed again and charged once, match pulls nothing and finds
// what new data finds, and what runs is found by its index.
func TestScanTasks(t *testing.T) {
	s := newSite(t, month(3))
	s.matcher.activate(1)
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	index, children := s.pushIndex("team/multi", "v2")
	s.event("team/multi", "v2", index)
	s.work()
	analyses, used := s.analyzer.count(), s.used().Used
	if analyses != 3 || used != 3 {
		t.Fatalf("%d analyses, %d charged, want three images", analyses, used)
	}
	x := newScanning(t, s)

	if got := x.scan("again", gate.ScanRequest{Kind: gate.ScanContent, Force: true}); got.State != gate.ScanDone || got.Total != 3 || got.Analyzed != 3 {
		t.Errorf("content: got %+v", got)
	}
	if s.analyzer.count() != analyses+3 || s.used().Used != used {
		t.Errorf("content: %d analyses, %d charged", s.analyzer.count()-analyses, s.used().Used)
	}
	analyses = s.analyzer.count()
	if got := x.scan("known", gate.ScanRequest{Kind: gate.ScanContent}); got.Done != 3 || got.Analyzed != 0 || s.analyzer.count() != analyses {
		t.Errorf("content without force, of known images: got %+v", got)
	}
	s.analyzer.set = "set-2"
	if got := x.scan("others", gate.ScanRequest{Kind: gate.ScanContent, Scope: gate.ScanScope{Tags: []string{"v1"}}}); got.Done != 1 || got.Analyzed != 1 || s.entry(d).Record.AnalyzerSet != "set-2" || s.used().Used != used {
		t.Errorf("content without force, by other analysers: got %+v", got)
	}
	analyses = s.analyzer.count()

	s.matcher.activate(2)
	s.matcher.bad = map[gate.Digest]gate.Severity{d: gate.SeverityCritical}
	if got := x.scan("match", gate.ScanRequest{Kind: gate.ScanMatch}); got.Done != 3 || s.analyzer.count() != analyses {
		t.Errorf("match: got %+v with %d analyses", got, s.analyzer.count()-analyses)
	}
	if s.verdict(d) != gate.OutcomeDeny {
		t.Errorf("after match the verdict is %s", s.verdict(d))
	}
	x.running = []gate.Digest{index}
	if got := x.scan("running", gate.ScanRequest{Kind: gate.ScanMatch, Scope: gate.ScanScope{Running: true}}); got.Done != len(children) {
		t.Errorf("running: got %+v, want %d images", got, len(children))
	}
	if got := x.scan("tag", gate.ScanRequest{Kind: gate.ScanMatch, Scope: gate.ScanScope{Tags: []string{"v2"}}}); got.Done != len(children) {
		t.Errorf("by the tag of the index: got %+v, want %d images", got, len(children))
	}
	if got := x.scan("denied", gate.ScanRequest{Kind: gate.ScanMatch, Scope: gate.ScanScope{Verdict: gate.OutcomeDeny}}); got.Done != 1 {
		t.Errorf("with a verdict: got %+v, want one image", got)
	}
}
