package analyzer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

// serverName is the name under which the test binary plays a worker that gets
// killed.
const serverName = "server"

// playServer analyses an image whose layer never ends, with the child and in the
// directory that the environment names, and says when bytes have passed.
func playServer() int {
	src := &source{spoil: func(ctx context.Context, _ gate.Digest, r io.Reader) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(io.LimitReader(r, 100), hanging{ctx})), nil
	}}
	d := src.add([]layer{tarLayer(&testing.B{}, file("a", "b"))}, nil)
	a, err := analyzer.New(context.Background(), analyzer.Options{ChildPath: os.Getenv("CHILD"), DataDir: os.Getenv("DATA"), Source: src, Config: analyzer.Default()})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, err = a.Analyze(context.Background(), gate.AnalyzeRequest{Digest: d, Progress: func(p gate.Progress) {
		if p.Bytes > 0 {
			fmt.Println("pulling")
		}
	}})
	fmt.Println(err)
	return 1
}

// TestKilledWorker: a worker that is killed with SIGKILL takes its child along,
// and the next one cleans up.
func TestKilledWorker(t *testing.T) {
	if testing.Short() && os.Getenv("DIGESTGATE_ANALYZER") == "" {
		t.Skip("needs the real analyzer child")
	}
	child, err := realChild()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), serverName)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	server := exec.Command(link)
	server.Env = []string{"CHILD=" + child, "DATA=" + data}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "pulling\n" {
		t.Fatalf("the worker said %q", line)
	}
	pids := childrenOf(server.Process.Pid)
	if len(pids) < 1 || len(pids) > 2 {
		t.Errorf("the worker has the children %v, want one that reads and perhaps one that waits", pids)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	for _, pid := range pids {
		// A process descriptor becomes readable when its process ends.
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // gone already
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Minute/time.Millisecond))
		for err == unix.EINTR { // the runtime signals its own threads
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Minute/time.Millisecond))
		}
		if n != 1 {
			t.Errorf("the child lives on without its worker (%v)", err)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		unix.Close(fd)
	}
	left, _ := filepath.Glob(filepath.Join(data, "analysis", "*", "*"))
	if len(left) == 0 {
		t.Error("the killed worker left no temporary directory; this test tests nothing")
	}
	open(t, fakeChild(t, "good"), &source{}, func(o *analyzer.Options) { o.DataDir = data })
	noLeftovers(t, data)
}

func childrenOf(parent int) []int {
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// pid (name) state ppid …; the name may hold anything.
		_, rest, _ := strings.Cut(string(b), ") ")
		var pid, ppid int
		var state string
		if _, err := fmt.Sscan(rest, &state, &ppid); err != nil || ppid != parent {
			continue
		}
		if _, err := fmt.Sscan(string(b), &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
