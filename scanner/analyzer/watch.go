package analyzer

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// watchInterval is how often a child's memory and temporary files are measured.
// In between, its own resource limits hold: RLIMIT_DATA above the memory limit,
// RLIMIT_FSIZE on each file.
const watchInterval = 200 * time.Millisecond

// watch kills the child, through cancel, when it takes more than its share. It
// returns when ctx ends.
func (l *launcher) watch(ctx context.Context, pid int, dir string, cancel context.CancelCauseFunc) {
	t := time.NewTicker(watchInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if n := anonymousMemory(pid); l.memory > 0 && n > int64(l.memory)-aheadMemory {
			cancel(errMemory)
			return
		}
		if l.temp > 0 && treeSize(dir) > l.temp {
			cancel(errTemp)
			return
		}
	}
}

// anonymousMemory is the memory of a process that is not backed by files, in
// bytes; 0 when it is gone or the system does not say. The program's own pages
// are shared by all children and can be dropped.
func anonymousMemory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var sum int64
	for _, key := range []string{"\nRssAnon:", "\nRssShmem:"} {
		_, rest, ok := bytes.Cut(status, []byte(key))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err == nil {
			sum += kib << 10
		}
	}
	return sum
}

// treeSize is the size of all files below dir in bytes. Files may come and go
// meanwhile.
func treeSize(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
