package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary stand for the program: in scripts, and as the
// child in which policies are tried.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == policyTrialName {
		main() // started by a server in this process
	}
	testscript.Main(m, map[string]func(){
		"digestgate": main,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DIGESTGATE_ANALYZER", analyzerPath(t))
			return nil
		},
	})
}

// analyzerPath finds the analyser, or builds it: the tests of this package are
// about the whole program.
func analyzerPath(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("DIGESTGATE_ANALYZER"); path != "" {
		return path
	}
	path := filepath.Join("..", "..", "bin", "digestgate-analyzer")
	cmd := exec.Command("go", "build", "-o", path, "../digestgate-analyzer")
	cmd.Env = append(os.Environ(), "GOEXPERIMENT=jsonv2", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the analyser: %v\n%s", err, out)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
