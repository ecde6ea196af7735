package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memoryGroup is a control group with a limit of memory, of version 1 or 2. A nil
// one is none.
type memoryGroup struct {
	dir string
	v2  bool
}

// newMemoryGroup makes one below the group of this process, or beside it. The test
// is skipped where the system does not let it.
func newMemoryGroup(t *testing.T, limit int64) *memoryGroup {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skipf("control groups cannot be read: %v", err)
	}
	var tried []string
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file, v2 := "/sys/fs/cgroup", "memory.max", true
		if parts[0] != "0" {
			root, file, v2 = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", false
		}
		if !v2 && parts[1] != "memory" {
			continue
		}
		// In a container the path may be one of the host's, which is not mounted;
		// of version 2, a group with processes has no groups with limits below it.
		for _, at := range []string{parts[2], filepath.Dir(parts[2]), "/"} {
			dir := filepath.Join(root, at, fmt.Sprintf("digestgate-test-%d", os.Getpid()))
			if err := os.Mkdir(dir, 0o755); err != nil {
				tried = append(tried, err.Error())
				continue
			}
			err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(limit, 10)), 0)
			if err == nil {
				g := &memoryGroup{dir, v2}
				t.Cleanup(func() { g.remove(t) })
				return g
			}
			tried = append(tried, err.Error())
			_ = os.Remove(dir)
		}
	}
	t.Skipf("no control group with a limit of memory can be made here (needs root): %s", strings.Join(tried, "; "))
	return nil
}

// command runs a program in the group from its first instruction on.
func (g *memoryGroup) command(program string, args ...string) *exec.Cmd {
	if g == nil {
		return exec.Command(program, args...)
	}
	enter := []string{"-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), program}
	return exec.Command("/bin/sh", append(enter, args...)...)
}

// remove waits for the processes of the group, which tests end.
func (g *memoryGroup) remove(t *testing.T) {
	eventually(t, "the control group is removed", 30*time.Second, func() bool { return os.Remove(g.dir) == nil })
}

func (g *memoryGroup) number(t *testing.T, file, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `(\d+)$`).FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// kills is how many processes the kernel has killed for want of memory.
func (g *memoryGroup) kills(t *testing.T) int64 {
	if g.v2 {
		return g.number(t, "memory.events", "oom_kill ")
	}
	return g.number(t, "memory.oom_control", "oom_kill ")
}

// used is what the processes of the group hold now, without what the kernel
// keeps of files and can drop.
func (g *memoryGroup) used(t *testing.T) int64 {
	if g.v2 {
		return g.number(t, "memory.stat", "anon ")
	}
	return g.number(t, "memory.stat", "total_rss ")
}

// refused is how often the group was at its limit.
func (g *memoryGroup) refused(t *testing.T) int64 {
	if g.v2 {
		return g.number(t, "memory.events", "max ")
	}
	return g.number(t, "memory.failcnt", "")
}
