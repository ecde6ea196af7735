// Package process runs servers for tests: each writes to a log file of its own
// and never outlives the program that started it. Linux only. A Process is
// safe for concurrent use.
package process

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

// tailBytes is how much of a log an error message quotes: about 20 lines.
const tailBytes = 4 << 10

// Process is a server that was started.
type Process struct {
	name   string
	log    string
	pid    int
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; read after exited only
}

// Start starts a server that works in dir and writes its log, NAME.log, there.
// Its environment is env, HOME and a PATH without anything: what this machine
// is set to must not change what a test sees.
//
// It gets a process group of its own, so that Ctrl-C in the terminal reaches
// this program only, which then stops its servers in order. Should this
// program be killed, the kernel kills the server.
func Start(name, path string, args []string, dir string, env ...string) (*Process, error) {
	p := &Process{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append([]string{"PATH=/nonexistent", "HOME=" + dir}, env...)
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

// Exited is closed when the server has ended, by itself or not.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err says how the server ended, nil for exit code 0; call it after Exited
// only.
func (p *Process) Err() error { return p.err }

// Signal sends a signal to the server.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := syscall.Kill(-p.pid, sig); err != nil {
		return fmt.Errorf("sending %s to %s (process %d): %w", sig, p.name, p.pid, err)
	}
	return nil
}

// Stop asks the server to end, kills it after the grace time, and returns when
// it is gone. It may be called more than once.
func (p *Process) Stop(grace time.Duration) error {
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

// Tail is the end of the log, in whole lines, with a heading.
func (p *Process) Tail() string {
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
