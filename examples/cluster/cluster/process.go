package cluster

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a server may take to end by itself. Its data are
// thrown away, so that nothing is lost by killing it.
const stopGrace = 5 * time.Second

// tailBytes is how much of a log an error message quotes: about 20 lines.
const tailBytes = 4 << 10

// process is a server that writes to a log file.
type process struct {
	name   string
	log    string
	pid    int
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; read after exited only
}

// startProcess starts a server in a process group of its own, so that Ctrl-C
// in the terminal reaches this program only, which then stops its servers in
// order. Should this program be killed, the kernel kills the server.
func startProcess(name, path string, args []string, dir string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = []string{"PATH=/nonexistent", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the starting thread ends, not the process, so
		// that the thread is kept for as long as the server runs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// stop asks the server to end, kills it after the grace time, and returns when
// it is gone.
func (p *process) stop(grace time.Duration) error {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-p.exited:
			return nil
		default:
		}
		if err := syscall.Kill(-p.pid, sig); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("stopping %s (process %d): %w", p.name, p.pid, err)
		}
		select {
		case <-p.exited:
			return nil
		case <-time.After(grace):
		}
	}
	return fmt.Errorf("stopping %s: process %d survived being killed", p.name, p.pid)
}

// tail is the end of the log, in whole lines, with a heading.
func (p *process) tail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	from := max(0, size-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return err.Error()
	}
	if _, rest, ok := strings.Cut(string(text), "\n"); from > 0 && ok {
		text = []byte(rest)
	}
	return fmt.Sprintf("end of %s:\n%s", p.log, text)
}

// FreePorts finds n different TCP ports that are free on loopback now.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close() // all at the end, so that no port is found twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
