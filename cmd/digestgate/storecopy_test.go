package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
	"github.com/digestgate/digestgate/cmd/digestgate/show"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestRedisScripts runs the scripts that need a Redis; each has a database of its
// own.
func TestRedisScripts(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	deliveries, err := filepath.Abs("../../webhooks/harbor/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/redis",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"listening": listening},
		Setup: func(env *testscript.Env) error {
			env.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
			env.Setenv("REDIS", server.URL())
			env.Setenv("DELIVERIES", deliveries)
			return nil
		},
	})
}

// TestUnfinishedCopyServesNobody starts on a store to which a copy is not
// finished.
func TestUnfinishedCopyServesNobody(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "digestgate.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.PutSetting(t.Context(), "copy/progress", []byte(`{"source":"redis://there","begun":"2026-11-28T12:00:00Z"}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"serve", "--data-dir", dir}, nil, &bytes.Buffer{}, &stderr)
	if code != show.ExitFailure || !strings.Contains(stderr.String(), `the copy of "redis://there" to this store, begun at 2026-11-28T12:00:00Z, is not finished`) {
		t.Errorf("exit %d, %s", code, stderr.String())
	}
}

// TestInterruptedCopy sends the program Ctrl-C in the middle of a copy to a
// cluster: it says how to go on, no server starts on what is there, and the same
// command brings the rest.
func TestInterruptedCopy(t *testing.T) {
	t.Parallel()
	const images = 3000
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "digestgate.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var filling errgroup.Group
	filling.SetLimit(64) // they share commits
	for i := range images {
		filling.Go(func() error {
			return s.PutManifest(context.Background(), gate.Manifest{Digest: gate.Digest(fmt.Sprintf("sha256:%064x", i)), Kind: gate.KindImage})
		})
	}
	if err := filling.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "mac.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	program := programIn(t, dir)
	cluster := redistest.Cluster(t, redistest.Options{})
	// copyTo copies to a prefix, with a Ctrl-C once it is under way.
	copyTo := func(prefix string, interrupt bool) (stdout, stderr string, err error) {
		cmd := exec.Command(program, "store", "copy", "--from", "sqlite://"+filepath.Join(dir, "digestgate.db"),
			"--to", cluster.URL(), "--prefix", prefix, "--mac-key-file", key)
		var out, problems bytes.Buffer
		cmd.Stdout = &out
		log, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(log); lines.Scan(); {
			fmt.Fprintln(&problems, lines.Text())
			if interrupt && strings.Contains(lines.Text(), "msg=copying") {
				interrupt = false
				_ = cmd.Process.Signal(os.Interrupt) // it may be over
			}
		}
		err = cmd.Wait()
		return out.String(), problems.String(), err
	}
	prefix, said := "", ""
	for try := range 5 { // on a busy machine the copy may be over before the signal is there
		prefix = fmt.Sprint("copy-", try)
		if _, said, err = copyTo(prefix, true); err != nil {
			break
		}
	}
	if err == nil || cmdCode(err) != show.ExitFailure || !strings.Contains(said, "interrupted; run the same command again, it continues where it stopped") {
		t.Fatalf("interrupted: %v\n%s", err, said)
	}
	serve := exec.Command(program, "serve", "--data-dir", t.TempDir(), "--set", "store.url="+cluster.URL(), "--set", "store.prefix="+prefix, "--set", "store.macKeyFile="+key)
	if out, err := serve.CombinedOutput(); cmdCode(err) != show.ExitFailure || !strings.Contains(string(out), "is not finished: run the same digestgate store copy again") {
		t.Errorf("serving half a copy: %v\n%s", err, out)
	}
	out, said, err := copyTo(prefix, false)
	if err != nil || !strings.Contains(said, "the copy continues") || !strings.Contains(out, "both stores hold the same") {
		t.Fatalf("going on: %v\n%s%s", err, out, said)
	}
	var section string
	var written, seen, compared int
	for line := range strings.Lines(out) {
		if n, _ := fmt.Sscan(line, &section, &written, &seen, &compared); n == 4 && compared == images {
			break
		}
	}
	if compared != images || written >= images || written == 0 {
		t.Errorf("going on wrote %d and compared %d of %d %s:\n%s", written, compared, images, section, out)
	}
}

// cmdCode is the exit status of a command that ran, 0 for none.
func cmdCode(err error) int {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return 0
}
