package analyzer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

// three is an image of three layers, each with a child of its own; n makes it another
// one.
func three(t testing.TB, n string) []layer {
	return []layer{largeLayer(t, file("base", "x")), largeLayer(t, file("deps", n)), largeLayer(t, file("app", n))}
}

func TestSecondAnalysisPullsNothing(t *testing.T) {
	src := &source{}
	d := src.add(three(t, "1"), nil)
	other := src.add(three(t, "2"), nil)
	a := open(t, fakeChild(t, "good"), src, nil)
	first := analyze(t, a, d)
	if n := len(src.pulled()); n != 3 {
		t.Fatalf("the first analysis pulled %d layers, want 3", n)
	}
	asked := false
	second, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, BeforePull: func(context.Context) error { asked = true; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(src.pulled()); n != 3 || asked {
		t.Errorf("the second analysis pulled %d layers and asked for it: %v", n-3, asked)
	}
	second.AnalyzedAt = first.AnalyzedAt
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second inventory differs (-first +second):\n%s", diff)
	}
	// Another image with the same base pulls what is new only.
	analyze(t, a, other)
	if n := len(src.pulled()); n != 5 {
		t.Errorf("an image with the same base pulled %d layers, want 2", n-3)
	}
}

func TestBeforePull(t *testing.T) {
	src := &source{}
	d := src.add(three(t, "1"), nil)
	a := open(t, fakeChild(t, "good"), src, nil)
	full := errors.New("no quota")
	if _, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, BeforePull: func(context.Context) error { return full }}); !errors.Is(err, full) {
		t.Errorf("got error %v, want that of BeforePull", err)
	}
	if n := len(src.pulled()); n != 0 {
		t.Errorf("%d layers were pulled without permission", n)
	}
	calls := 0
	if _, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, BeforePull: func(context.Context) error {
		calls++
		if n := len(src.pulled()); n != 0 {
			t.Errorf("BeforePull was called after %d layers", n)
		}
		return nil
	}}); err != nil || calls != 1 {
		t.Errorf("got error %v and %d calls of BeforePull, want 1", err, calls)
	}
}

func TestYield(t *testing.T) {
	src := &source{}
	d := src.add(three(t, "1"), nil)
	a := open(t, fakeChild(t, "good"), src, nil)
	for pulled := 1; pulled <= 2; pulled++ {
		_, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, Yield: func() bool { return true }})
		if !errors.Is(err, gate.ErrYielded) {
			t.Fatalf("got error %v, want ErrYielded", err)
		}
		if n := len(src.pulled()); n != pulled {
			t.Fatalf("%d layers were pulled, want %d: each turn does one", n, pulled)
		}
	}
	if _, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, Yield: func() bool { return true }}); err != nil {
		t.Errorf("the last turn: %v", err)
	}
}

func TestProgress(t *testing.T) {
	src := &source{}
	layers := three(t, "1")
	d := src.add(layers, nil)
	base := src.add(layers[:1], nil)
	a := open(t, fakeChild(t, "good"), src, nil)
	analyze(t, a, base)
	var phases []gate.Phase
	var last gate.Progress
	_, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, Progress: func(p gate.Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
		if p.LayersDone < last.LayersDone || p.Bytes < last.Bytes {
			t.Errorf("progress went back: %+v after %+v", p, last)
		}
		last = p
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]gate.Phase{gate.PhaseManifest, gate.PhaseLayers, gate.PhaseMerge}, phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	n := int64(len(layers[1].blob) + len(layers[2].blob))
	want := gate.Progress{Phase: gate.PhaseMerge, LayersDone: 3, LayersTotal: 3, LayersKnown: 1, Bytes: n, BytesTotal: n}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("last progress (-want +got):\n%s", diff)
	}
}

func TestSameLayerTwice(t *testing.T) {
	for _, kept := range []gate.ByteSize{0, 1 << 20} {
		t.Run(fmt.Sprintf("cache_%s", kept), func(t *testing.T) {
			src := &source{}
			l := tarLayer(t, file("a", "b"))
			d := src.add([]layer{l, l, l}, nil)
			a := open(t, fakeChild(t, "good"), src, func(o *analyzer.Options) { o.Config.Cache.MaxBytes = kept })
			analyze(t, a, d)
			if n := len(src.pulled()); n != 1 {
				t.Errorf("the layer was pulled %d times", n)
			}
		})
	}
}

// TestConcurrentAnalyses: images with the same base that arrive together pull
// it once.
func TestConcurrentAnalyses(t *testing.T) {
	src := &source{}
	a := open(t, fakeChild(t, "good"), src, func(o *analyzer.Options) { o.Config.Concurrency = 3 })
	var wg sync.WaitGroup
	for i := range 6 {
		d := src.add(three(t, fmt.Sprint(i)), nil)
		wg.Go(func() {
			if _, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(src.pulled()); n != 1+6*2 {
		t.Errorf("%d layers were pulled, want 13", n)
	}
}

func TestDamagedCache(t *testing.T) {
	src := &source{}
	d := src.add(three(t, "1"), nil)
	var dataDir string
	a := open(t, fakeChild(t, "good"), src, func(o *analyzer.Options) { dataDir = o.DataDir })
	analyze(t, a, d)
	files, _ := filepath.Glob(filepath.Join(dataDir, "layers", "*", "*"))
	if len(files) != 3 {
		t.Fatalf("the layer cache holds %v", files)
	}
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		switch i {
		case 0:
			b[len(b)-1] ^= 1
		case 1:
			b = b[:len(b)/2]
		case 2:
			b = nil
		}
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	analyze(t, a, d)
	if n := len(src.pulled()); n != 6 {
		t.Errorf("%d layers were pulled again, want 3", n-3)
	}
	analyze(t, a, d)
	if n := len(src.pulled()); n != 6 {
		t.Errorf("the repaired entries were not used")
	}
}

func TestCacheIsBounded(t *testing.T) {
	src := &source{}
	var dataDir string
	child := fakeChild(t, "good")
	limit := func(o *analyzer.Options) {
		if dataDir == "" {
			dataDir = o.DataDir
		}
		o.DataDir, o.Config.Cache.MaxBytes = dataDir, 2000
	}
	a := open(t, child, src, limit)
	size := func() (sum int64) {
		files, _ := filepath.Glob(filepath.Join(dataDir, "layers", "*", "*"))
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		return sum
	}
	for i := range 8 {
		analyze(t, a, src.add(three(t, fmt.Sprint(i)), nil))
		if n := size(); n > 2000 {
			t.Fatalf("the cache has %d bytes", n)
		}
	}
	// The base was used by all and is still there, also for the next process.
	before := len(src.pulled())
	b := open(t, child, src, limit)
	analyze(t, b, src.add(three(t, "9")[:1], nil))
	if n := len(src.pulled()); n != before {
		t.Error("the entry that was used last was removed first")
	}
}

func TestLeftBehind(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "analysis", "run-1", "child-2")
	if err := os.MkdirAll(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	here := func(o *analyzer.Options) { o.DataDir = dir }
	child := fakeChild(t, "good")
	a := open(t, child, &source{}, here)
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed process left is still there: %v", err)
	}
	// A second one in the same directory leaves the first alone.
	src := &source{}
	open(t, child, src, here)
	runs, _ := filepath.Glob(filepath.Join(dir, "analysis", "run-*"))
	if len(runs) != 2 {
		t.Errorf("got %v, want the directories of both", runs)
	}
	_ = a
}

func TestSetNamesConfiguration(t *testing.T) {
	child := fakeChild(t, "good")
	set := func(change func(*analyzer.Options)) string { return open(t, child, &source{}, change).Set() }
	plain := set(nil)
	if !strings.HasPrefix(plain, "fake+") {
		t.Errorf("the set %q does not name the child's", plain)
	}
	for name, change := range map[string]func(*analyzer.Options){
		"skip_paths":     func(o *analyzer.Options) { o.Config.Secrets.SkipPaths = []string{"etc/**"} },
		"max_file_bytes": func(o *analyzer.Options) { o.Config.Secrets.MaxFileBytes = 1 },
		"no_secrets":     func(o *analyzer.Options) { o.Config.Risks = []gate.Risk{gate.RiskVulnerabilities} },
	} {
		if set(change) == plain {
			t.Errorf("%s: results that depend on it have the same set", name)
		}
	}
	if set(func(o *analyzer.Options) { o.Config.Concurrency = 1 }) != plain {
		t.Error("the number of analyses at a time changes the set")
	}
}
