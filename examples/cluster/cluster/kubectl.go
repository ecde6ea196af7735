package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Call says as whom kubectl runs and what it reads.
type Call struct {
	// User is whose context is used; "" is Admin.
	User User
	// Input is the standard input, for `-f -`.
	Input string
}

// Result is what a run of kubectl left.
type Result struct {
	Stdout, Stderr string
	// Exit is the exit code; -1 when kubectl could not be run or was stopped
	// because ctx ended, which Stderr then says.
	Exit int
}

// Kubectl runs kubectl with args and waits for it. A request that is not
// answered within 30 s is given up by kubectl itself.
func (c *Cluster) Kubectl(ctx context.Context, call Call, args ...string) Result {
	if call.User == "" {
		call.User = Admin
	}
	args = append([]string{
		"--kubeconfig=" + c.Kubeconfig(), "--context=" + string(call.User), "--request-timeout=30s",
	}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(c.opts.BinDir, "kubectl"), args...)
	// Not the caller's environment: its KUBECONFIG, proxies and plug-ins would
	// make the outcome depend on the machine.
	cmd.Env = []string{"PATH=/nonexistent", "HOME=" + c.opts.Dir}
	cmd.Dir = c.opts.Dir
	cmd.Stdin = strings.NewReader(call.Input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	runtime.LockOSThread() // Pdeathsig is bound to the thread
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	r := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Exit = exit.ExitCode()
	} else if err != nil {
		r.Exit = -1
	}
	if r.Exit == -1 {
		r.Stderr += fmt.Sprintf("running kubectl: %v\n", err)
	}
	if r.Exit != 0 {
		r.Stderr += c.deadServers()
	}
	return r
}

// deadServers tells of servers that have ended by themselves, the likeliest
// reason when kubectl cannot connect.
func (c *Cluster) deadServers() string {
	var b strings.Builder
	for _, p := range c.procs {
		select {
		case <-p.Exited():
			fmt.Fprintf(&b, "a server has ended: %v\n%s\n", p.Err(), p.Tail())
		default:
		}
	}
	return b.String()
}
