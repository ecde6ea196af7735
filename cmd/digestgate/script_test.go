package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary stand for the program: in scripts, and as the
// child in which policies are tried.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == app.PolicyTrialName {
		main() // started by a server in this process
	}
	testscript.Main(m, map[string]func(){
		"digestgate": main,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"listening": listening},
		Setup: func(env *testscript.Env) error {
			env.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
			return nil
		},
	})
}

// listening waits until a server has written to its log that a listener is
// open, and tells the commands that follow its address: listening LOG LISTENER.
func listening(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: listening LOG LISTENER")
	}
	file := ts.MkAbs(args[0])
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		log, err := os.ReadFile(file)
		if err != nil {
			continue // the server has not begun
		}
		for _, m := range listeningPattern.FindAllStringSubmatch(string(log), -1) {
			if m[1] == args[1] {
				ts.Setenv("DIGESTGATE_SERVER", "http://"+m[2])
				return
			}
		}
	}
	ts.Fatalf("%s says of no listener %q", args[0], args[1])
}

// programIn puts the program into a folder, if it is not there, and returns its
// path: testscript.Main takes the name of the test binary for the command to run.
// It is a hard link, because the child for policies is started by the path that
// the system reports for the program.
func programIn(t testing.TB, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "digestgate")
	if err := os.Link(self, program); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return program
}
