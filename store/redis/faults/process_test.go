package faults_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// process is a running role. It is started again under another name: what it was
// told before is another's history.
type process struct {
	role  role
	name  string
	cmd   *exec.Cmd
	stdin io.Closer // its end tells the process to stop
	lives int
}

func (p *process) who() string { return fmt.Sprintf("%s.%d", p.name, p.lives) }

func (p *process) start(t *testing.T) {
	t.Helper()
	p.lives++
	r := p.role
	r.Who = p.who()
	r.Seed += uint64(p.lives) << 32
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), roleEnv+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill is kill -9.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = p.cmd.Wait() // that it was killed
	return nil
}

func (p *process) pause() error  { return p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// end lets it finish what it does.
func (p *process) end() error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	return p.cmd.Wait()
}
