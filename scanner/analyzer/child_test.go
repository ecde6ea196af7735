package analyzer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

// realChild is the path of the real digestgate-analyzer: DIGESTGATE_ANALYZER,
// or built once (minutes when nothing is in the build cache).
var realChild = sync.OnceValues(func() (string, error) {
	if p := os.Getenv("DIGESTGATE_ANALYZER"); p != "" {
		return filepath.Abs(p)
	}
	dir, err := os.MkdirTemp("", "digestgate-analyzer-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, analyzer.ChildName)
	cmd := exec.Command("go", "build", "-o", out, "../../cmd/digestgate-analyzer")
	cmd.Env = append(os.Environ(), "GOEXPERIMENT=jsonv2", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the analyzer child: %w\n%s", err, text)
	}
	return out, nil
})

// withRealChild makes an Analyzer over src with the real child.
func withRealChild(t testing.TB, src analyzer.Source, change func(*analyzer.Options)) *analyzer.Analyzer {
	t.Helper()
	if testing.Short() && os.Getenv("DIGESTGATE_ANALYZER") == "" {
		t.Skip("needs the real analyzer child, which takes minutes to build the first time; set DIGESTGATE_ANALYZER or leave -short away")
	}
	child, err := realChild()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, child, src, change)
}

func open(t testing.TB, child string, src analyzer.Source, change func(*analyzer.Options)) *analyzer.Analyzer {
	t.Helper()
	opt := options(t, child, src)
	if change != nil {
		change(&opt)
	}
	a, err := analyzer.New(t.Context(), opt)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		a.Idle() // what is being started has been
		noLeftovers(t, opt.DataDir)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func options(t testing.TB, child string, src analyzer.Source) analyzer.Options {
	t.Helper()
	return analyzer.Options{ChildPath: child, DataDir: t.TempDir(), Source: src, Config: analyzer.Default()}
}

func analyze(t testing.TB, a *analyzer.Analyzer, d gate.Digest) *gate.Inventory {
	t.Helper()
	inv, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d})
	if err != nil {
		t.Fatalf("Analyze: %v", err)
	}
	return inv
}

// wantError checks the class and the text of a failed analysis.
func wantError(t *testing.T, a *analyzer.Analyzer, d gate.Digest, class error, text string) {
	t.Helper()
	_, err := a.Analyze(context.WithoutCancel(t.Context()), gate.AnalyzeRequest{Digest: d})
	if !errors.Is(err, class) || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("Analyze: got error %v, want %q in it and class %v", err, text, class)
	}
}

// noLeftovers fails when temporary files of children are left.
func noLeftovers(t testing.TB, dataDir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dataDir, "analysis", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func cacheFiles(t testing.TB, dataDir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dataDir, "layers", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
