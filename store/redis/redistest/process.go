package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a server's process.
type process struct {
	pid    int
	exited chan struct{} // closed when it is gone
}

// launch starts a program that appends what it says to a log. Should this
// process be killed, the kernel kills the other.
func launch(log, path string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = []string{"PATH=/nonexistent", "LC_ALL=C", "TZ=UTC"} // what this machine is set to must not matter
	cmd.SysProcAttr = attributes()
	p := &process{exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal is sent when the thread that forked ends, not when
		// the process does, so that the thread is kept as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // that it ended is all that is asked
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %q: %w", path, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// signal sends to the whole group: a server that saves has forked.
func (p *process) signal(s syscall.Signal) error {
	if err := syscall.Kill(-p.pid, s); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("sending %q to process %d: %w", s, p.pid, err)
	}
	return nil
}

// kill returns when the process is gone.
func (p *process) kill() error {
	if !p.running() {
		return nil // its number may be another's by now
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited // the kernel lets nobody survive
	return nil
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}
