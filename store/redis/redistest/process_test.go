package redistest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// TestDiesWithTheTest kills a test binary and looks for the server that it
// had started.
func TestDiesWithTheTest(t *testing.T) {
	t.Parallel()
	Available(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a death signal")
	}
	exe, err := os.Executable()
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), childEnv+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	var pid int
	var addr string
	if _, scan := fmt.Sscan(line, &pid, &addr); err != nil || scan != nil {
		t.Fatalf("the child says %q: %v, %v", line, err, scan)
	}
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	conn.Close()

	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	must(t, poll(ctx, "the end of the server", func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return fmt.Errorf("process %d answers on %s", pid, addr)
		}
		return nil
	}))
}
