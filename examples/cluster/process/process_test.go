package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asParent makes the test binary start a server and wait to be killed.
const asParent = "DIGESTGATE_TEST_PARENT_OF_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asParent); dir != "" {
		p, err := Start("sleep", "/bin/sleep", []string{"1000"}, dir)
		fmt.Println(p.pid, err)
		<-p.exited
		return
	}
	goleak.VerifyTestMain(m)
}

func TestServerDiesWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), asParent+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil {
		t.Fatalf("parent said %q: %v", line, err)
	}
	if !alive(pid) {
		t.Fatalf("server %d does not run", pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	waitGone(t, pid)
}

func TestStop(t *testing.T) {
	for name, script := range map[string]string{
		"ends_by_itself":     "trap 'exit 0' TERM; echo ready; while :; do /bin/sleep 0.01; done",
		"ignores_the_signal": "trap '' TERM; echo ready; while :; do /bin/sleep 0.01; done",
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Start("server", "/bin/sh", []string{"-c", script}, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for !strings.Contains(p.Tail(), "ready") {
				time.Sleep(time.Millisecond)
			}
			began := time.Now()
			if err := p.Stop(200 * time.Millisecond); err != nil {
				t.Errorf("Stop: %v", err)
			}
			killed := p.err != nil
			if wantKilled := name == "ignores_the_signal"; killed != wantKilled {
				t.Errorf("Stop: server ended with %v after %s; want killed: %t", p.err, time.Since(began), wantKilled)
			}
			waitGone(t, p.pid)
		})
	}
}

// alive: a process that is no zombie. In a container without an init process
// orphans stay zombies for ever.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// waitGone polls: nothing tells when a process that is not a child ends.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		if !alive(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d still runs after 5 s", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestTailKeepsWholeLines(t *testing.T) {
	p := &Process{name: "x", log: filepath.Join(t.TempDir(), "x.log")}
	line := strings.Repeat("a", 99) + "\n"
	if err := os.WriteFile(p.log, []byte("first\n"+strings.Repeat(line, 100)+"last\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(p.Tail(), "\n")
	if !strings.HasSuffix(got, "\nlast\n") || strings.Contains(got, "first") || !strings.HasPrefix(got, line) || len(got) > tailBytes {
		t.Errorf("tail: got %d bytes, want whole lines up to the last, at most %d", len(got), tailBytes)
	}
}
