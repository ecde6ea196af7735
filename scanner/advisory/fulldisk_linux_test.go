package advisory_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// diskEnv names, to the test's own child process, a directory where it may mount.
const diskEnv = "ADVISORY_TEST_DISK"

// TestComposingOnAFullDisk: a disk that gets full while sources are fetched, composed, kept
// or activated, by something else than digestgate, so that asking for room beforehand does
// not help. What is in force stays, the reason is shown, nothing is left, and the newer data
// comes when there is room. Its child has a mount namespace of its own, for which no
// privilege is needed where user namespaces are allowed.
func TestComposingOnAFullDisk(t *testing.T) {
	if dir := os.Getenv(diskEnv); dir != "" {
		composeOnFullDisk(t, dir)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestComposingOnAFullDisk$", "-test.v")
	child.Env = append(os.Environ(), diskEnv+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Skipf("a child with a user and a mount namespace of its own cannot be started here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func composeOnFullDisk(t *testing.T, dir string) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Skip("mounting a tmpfs: ", err) // where a profile of the system forbids it
	}
	c := newComposite(t)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	java := &mirror{t: t, own: true, java: true, known: map[gate.Digest]string{}}
	java.offer(indexOf(t, 0, 20))
	n := c.start(dir, true)
	n.withIndex(java)
	room := func(string) (int64, bool) { return 1 << 40, true }
	n.m.OnFree(room)
	n.turn(t)
	n.want(t, "three sources and an index", 2, "")
	filler := filepath.Join(dir, "filler")
	refused := map[string]bool{}
	// The disk gets full before each step in turn, until an attempt has no further one.
	for at, last := 1, false; !last; at++ {
		number := c.status().InForce.Number
		c.acme.offer(fixes(t, 2+at, map[string]string{"12/openssl/CVE-2025-3": "9"}))
		java.offer(indexOf(t, 2+at, 20+at%2))
		c.clock.move(6 * time.Hour)
		steps, where := 0, ""
		n.m.OnStep(func(name string) {
			if steps++; steps == at {
				where = name
				fillDisk(t, filler)
			}
		})
		n.turn(t)
		last = where == ""
		n.m.OnStep(nil)
		st := n.m.Status()
		text := strings.Join(append([]string{st.Problem}, st.Notes...), "\n")
		switch now := c.status().InForce; {
		case now.Number == number && !strings.Contains(text, "no space left"):
			t.Errorf("full before %q: nothing says that the disk is full: %q", where, text)
		case now.Number == number:
			refused[where] = true
		}
		if place, ok := n.m.Dir(st.Generation.Content); !ok || st.Generation.Number < number {
			t.Errorf("full before %q: in use is %+v", where, st.Generation)
		} else if _, err := advisory.Inspect(t.Context(), place, time.Time{}); err != nil {
			t.Errorf("full before %q: what is in force cannot be read: %v", where, err)
		}
		if err := os.Remove(filler); err != nil && where != "" {
			t.Fatal(err)
		}
		c.clock.move(6 * time.Hour)
		n.turn(t)
		n = c.start(dir, true) // a process that starts finds the same
		n.withIndex(java)
		n.m.OnFree(room)
		v := c.status().InForce
		if v.Number <= number || n.m.Status().Generation.Number != v.Number || v.Java == nil || int(v.Java.Archives) != 20+at%2 {
			t.Errorf("with room again after %q: in force %+v, in use %+v", where, v, n.m.Status())
		}
		if left, err := filepath.Glob(filepath.Join(dir, "advisories", ".import-*")); err != nil || len(left) > 0 {
			t.Errorf("full before %q: left %v, %v", where, left, err)
		}
	}
	for _, step := range []string{"write manifest", "compose"} {
		if !refused[step] {
			t.Errorf("a disk that is full before %q was not noticed; noticed: %v", step, refused)
		}
	}
}

// fillDisk writes until the file system is full.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
