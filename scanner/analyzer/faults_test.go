package analyzer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/registry"
)

// TestHostileChild: whatever a child does, the analysis ends with a clear
// failure of the image, never with an inventory, and leaves nothing behind
// (checked when each Analyzer is closed).
func TestHostileChild(t *testing.T) {
	tests := map[string]struct {
		class error
		text  string
	}{
		"crash":        {gate.ErrScanFailed, `exit status 2: panic: runtime error: \x1b[31mindex out of range`},
		"crashearly":   {gate.ErrScanFailed, "exit status 2"},
		"silent":       {gate.ErrScanFailed, "ended without an answer"},
		"segv":         {gate.ErrScanFailed, "SIGSEGV"},
		"garbage":      {gate.ErrScanFailed, "its answer is not understood"},
		"oversize":     {gate.ErrScanFailed, "its answer has more than 8MiB"},
		"unread":       {gate.ErrScanFailed, "it asked \"POST /found/0\", which is not its business"},
		"wrongdiff":    {gate.ErrIntegrity, "layer 1 of 1 unpacks to sha256:"},
		"nothing":      {gate.ErrScanFailed, "is not the result of a layer"},
		"version":      {gate.ErrResource, "speaks protocol 5 and digestgate 4"},
		"otherset":     {gate.ErrResource, "replaced while digestgate runs"},
		"twice":        {gate.ErrScanFailed, `it asked "GET /layer/0" again`},
		"results":      {gate.ErrScanFailed, `it asked "GET /results/0", which is not its business`},
		"config":       {gate.ErrScanFailed, `it asked "GET /config", which is not its business`},
		"memory":       {gate.ErrScanFailed, "needed more memory than scan.childMemory"},
		"temp":         {gate.ErrScanFailed, "needed more temporary space"},
		"toolarge":     {gate.ErrUnassessable, "unpacks to more than 1KiB"},
		"diskfull":     {gate.ErrResource, "no space left"},
		"mergeforeign": {gate.ErrScanFailed, "names a layer that the image does not have"},
		"mergeformat":  {gate.ErrScanFailed, "it has format 2"},
		"mergelayer":   {gate.ErrScanFailed, `it asked "GET /layer/0", which is not its business`},
	}
	for script, tt := range tests {
		t.Run(script, func(t *testing.T) {
			src := &source{}
			d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
			var dataDir string
			a := open(t, fakeChild(t, script), src, func(o *analyzer.Options) {
				o.Config.ChildMemory = 256 << 20
				o.Config.MaxImageBytes = 64 << 20
				dataDir = o.DataDir
			})
			wantError(t, a, d, tt.class, tt.text)
			kept, _ := filepath.Glob(filepath.Join(dataDir, "layers", "*", "*"))
			// A layer that was honest is kept when the merge is not. One whose
			// digest is right and whose child says something else about its
			// content than the configuration is kept too: the next image with
			// it may be the honest one.
			if honest := strings.HasPrefix(script, "merge") || script == "wrongdiff"; (len(kept) > 0) != honest {
				t.Errorf("the layer cache holds %v", kept)
			}
		})
	}
}

func TestChildIsNotBelieved(t *testing.T) {
	src := &source{}
	d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	a := open(t, fakeChild(t, "mergelies"), src, func(o *analyzer.Options) { o.Now = func() time.Time { return now } })
	inv := analyze(t, a, d)
	if inv.Digest != d || inv.AnalyzerSet != a.Set() || !inv.AnalyzedAt.Equal(now) || inv.Isolation.Level != "strict" ||
		inv.Size != src.images[d].Size || inv.Risks[gate.RiskMalware].Coverage != gate.NotLookedAt {
		t.Errorf("the child's word was taken: %+v", inv)
	}
}

func TestChildFloodsStderr(t *testing.T) {
	src := &source{}
	d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
	analyze(t, open(t, fakeChild(t, "flood"), src, nil), d)
}

func TestSourceFaults(t *testing.T) {
	boom := &gate.RetryAfterError{After: time.Minute, Err: gate.ErrRegistryUnavailable}
	tests := map[string]struct {
		spoil func(ctx context.Context, r io.Reader) (io.ReadCloser, error)
		class error
		text  string
	}{
		"refused": {func(context.Context, io.Reader) (io.ReadCloser, error) { return nil, boom }, boom, "it is asked again in 1m0s"},
		"breaks_off": {func(_ context.Context, r io.Reader) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(io.LimitReader(r, 50), failing{boom})), nil
		}, boom, "it is asked again in 1m0s"},
		"other_bytes": {func(_ context.Context, r io.Reader) (io.ReadCloser, error) {
			b, _ := io.ReadAll(r)
			b[len(b)/2] ^= 1
			return io.NopCloser(bytes.NewReader(b)), nil
		}, gate.ErrIntegrity, "has the digest sha256:"},
		"short": {func(_ context.Context, r io.Reader) (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(r, 50)), nil
		}, gate.ErrIntegrity, "has 50 bytes where its descriptor says"},
		"long": {func(_ context.Context, r io.Reader) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(r, strings.NewReader("more"))), nil
		}, gate.ErrIntegrity, "more than the"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			d := src.add([]layer{tarLayer(t, file("a", strings.Repeat("b", 10000)))}, nil)
			src.spoil = func(ctx context.Context, _ gate.Digest, r io.Reader) (io.ReadCloser, error) { return tt.spoil(ctx, r) }
			a := open(t, fakeChild(t, "good"), src, nil)
			wantError(t, a, d, tt.class, tt.text)
			// The same image is fine when the source is.
			src.spoil = nil
			analyze(t, a, d)
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestTimeout(t *testing.T) {
	t.Run("child_hangs", func(t *testing.T) {
		t.Parallel()
		src := &source{}
		d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
		a := open(t, fakeChild(t, "hang"), src, func(o *analyzer.Options) { o.Config.Timeout = 5 * time.Second })
		wantError(t, a, d, gate.ErrScanFailed, "did not end within scan.timeout (5s; phase layers, 0 of 1 layers")
	})
	t.Run("registry_hangs", func(t *testing.T) {
		t.Parallel()
		src := &source{spoil: func(ctx context.Context, _ gate.Digest, _ io.Reader) (io.ReadCloser, error) {
			return io.NopCloser(hanging{ctx}), nil
		}}
		d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
		a := open(t, fakeChild(t, "good"), src, func(o *analyzer.Options) { o.Config.Timeout = 5 * time.Second })
		wantError(t, a, d, gate.ErrRegistryUnavailable, "the registry did not deliver within scan.timeout")
	})
}

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) { <-h.ctx.Done(); return 0, h.ctx.Err() }

func TestCancel(t *testing.T) {
	src := &source{}
	d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
	a := open(t, fakeChild(t, "hang"), src, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	start := time.Now()
	_, err := a.Analyze(ctx, gate.AnalyzeRequest{Digest: d, Progress: func(p gate.Progress) {
		if p.Bytes > 0 {
			cancel(gate.ErrCancelled)
		}
	}})
	if !errors.Is(err, gate.ErrCancelled) {
		t.Errorf("got %v, want the cause of the cancellation", err)
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("it took %s to kill the child", d)
	}
}

func TestUnassessable(t *testing.T) {
	tests := map[string]struct {
		override map[string]any
		edit     func(*registry.Image)
		text     string
	}{
		"windows":         {override: map[string]any{"os": "windows"}, text: `only Linux images can be analysed`},
		"encrypted":       {edit: func(i *registry.Image) { i.Layers[0].MediaType += "+encrypted" }, text: "layer 0 is encrypted"},
		"too_large":       {edit: func(i *registry.Image) { i.Layers[0].Size = 1 << 40 }, text: "more than scan.maxImageBytes (10GiB)"},
		"too_many_layers": {edit: func(i *registry.Image) { i.Layers = slices.Repeat(i.Layers, 300) }, text: "300 layers"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			d := src.add([]layer{tarLayer(t, file("a", "b"))}, tt.override)
			if tt.edit != nil {
				src.edit(d, tt.edit)
			}
			a := open(t, fakeChild(t, "good"), src, nil)
			wantError(t, a, d, gate.ErrUnassessable, tt.text)
			if n := len(src.pulled()); n > 0 {
				t.Errorf("%d layers were pulled", n)
			}
		})
	}
}

func TestNew(t *testing.T) {
	tests := map[string]struct {
		child  string
		change func(*analyzer.Options)
		class  error
		text   string
	}{
		"no_child":    {"/nonexistent/digestgate-analyzer", nil, gate.ErrResource, "make build"},
		"child_fails": {fakeChild(t, "probecrash"), nil, gate.ErrResource, "this kernel is too old"},
		"strict": {fakeChild(t, "proberesult"), func(o *analyzer.Options) { o.Config.Isolation = analyzer.Strict },
			gate.ErrInvalid, "could open an internet socket, read /run/secrets/harbor (missing: seccomp filter"},
		"bad_config": {fakeChild(t, "good"), func(o *analyzer.Options) { o.Config.Concurrency = 0 }, gate.ErrInvalid, "concurrency: "},
		"data_dir":   {fakeChild(t, "good"), func(o *analyzer.Options) { o.DataDir = os.Args[0] }, gate.ErrResource, "not a directory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opt := options(t, tt.child, &source{})
			if tt.change != nil {
				tt.change(&opt)
			}
			_, err := analyzer.New(t.Context(), opt)
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("New: got error %v, want %q in it and class %v", err, tt.text, tt.class)
			}
		})
	}
	t.Run("best_effort", func(t *testing.T) {
		src := &source{}
		a := open(t, fakeChild(t, "proberesult"), src, nil)
		want := gate.Isolation{Level: "bestEffort", Missing: []string{"seccomp filter", "could open an internet socket", "could read /run/secrets/harbor"}}
		if diff := cmp.Diff(want, a.Report().Isolation()); diff != "" {
			t.Errorf("Isolation (-want +got):\n%s", diff)
		}
	})
}
