//go:build linux && (amd64 || arm64)

package sandbox_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/digestgate/digestgate/scanner/analyzer/sandbox"
)

type report struct {
	Before, After, Missing []string
	Dir                    string
	Work                   string
}

// TestMain is also the process that enters the sandbox: nothing else can leave
// it afterwards.
func TestMain(m *testing.M) {
	dir := os.Getenv("SANDBOX_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	var r report
	files := strings.Split(os.Getenv("SANDBOX_TEST_FILES"), ":")
	address := os.Getenv("SANDBOX_TEST_ADDRESS")
	if os.Getenv("SANDBOX_TEST_OPEN") != "" {
		r.Before = sandbox.Probe(files, address)
	} else {
		r.Dir, r.Missing = sandbox.Enter(sandbox.Options{Dir: dir, FileBytes: 1 << 20})
		r.After = sandbox.Probe(files, address)
		r.Work = work(r.Dir)
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
	os.Exit(0)
}

// work does what an analyser does: files in its directory, goroutines.
func work(dir string) string {
	f := filepath.Join(dir, "file")
	if err := os.WriteFile(f, []byte("hello"), 0o600); err != nil {
		return err.Error()
	}
	done := make(chan error)
	for range 20 {
		go func() {
			_, err := os.ReadFile(f)
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			return err.Error()
		}
	}
	if err := os.Rename(f, f+"2"); err != nil {
		return err.Error()
	}
	return ""
}

func run(t *testing.T, extra ...string) report {
	t.Helper()
	dir := t.TempDir()
	// A directory of its own, owned by nobody when we are root.
	jail := filepath.Join(dir, "jail")
	secret := filepath.Join(dir, "secret")
	if err := os.Mkdir(jail, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if unix.Geteuid() == 0 {
		if err := os.Chown(jail, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{"SANDBOX_TEST_DIR=" + jail, "SANDBOX_TEST_FILES=" + secret,
		"SANDBOX_TEST_ADDRESS=" + l.Addr().String()}, extra...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running the sandboxed process: %v\n%s", err, stderr.String())
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("reading its report: %v\n%s", err, out)
	}
	return r
}

func TestEnter(t *testing.T) {
	r := run(t)
	if slices.Contains(r.Missing, sandbox.Seccomp) || slices.Contains(r.Missing, sandbox.Limits) {
		t.Fatalf("missing: %q", r.Missing)
	}
	for _, what := range r.After {
		// Files need Landlock or a root directory of its own.
		if strings.HasPrefix(what, "read ") && slices.Contains(r.Missing, sandbox.Chroot) && slices.Contains(r.Missing, sandbox.Landlock) {
			continue
		}
		t.Errorf("the sandboxed process could %s", what)
	}
	if r.Work != "" {
		t.Errorf("working in its directory: %s", r.Work)
	}
}

// TestProbe proves that the probe sees what is possible: outside the sandbox it
// reaches what the test above says it cannot.
func TestProbe(t *testing.T) {
	r := run(t, "SANDBOX_TEST_OPEN=1")
	for _, want := range []string{"open an internet socket", "open a local socket", "connect to the network",
		"start a process", "run a program", "debug a process", "signal another process"} {
		if !slices.Contains(r.Before, want) {
			t.Errorf("without a sandbox the probe could not %s; it could %q", want, r.Before)
		}
	}
}
