package analyzer

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// parentMemory is what the worker itself needs beside its children: 128 MiB, of
// which 40 to 120 MiB were measured with the advisory database mapped, and
// AnalysisMemory for each of two analyses at a time.
const parentMemory = 128<<20 + 2*AnalysisMemory

// worstMemory is the most that the worker itself takes with two analyses at a time,
// in bytes: 297 MiB were measured with layers made to take memory. 60 MiB of it are
// the program and its data, the rest is what matching and judging the results takes,
// with its garbage.
const worstMemory = 384 << 20

// AnalysisMemory is what one analysis takes of the worker itself at most, in bytes:
// results of layers pass through it in pieces (measured 5 MiB for 1.5 million
// entries), of the inventory it holds protocol.MaxAnswerBytes of JSON and what that
// becomes. A test measures both.
const AnalysisMemory = 64 << 20

// checkMemory refuses a configuration under which the kernel would kill the
// worker instead of a child: the worker, and a child of full size (with the one that
// waits, aheadMemory) for every analysis, must fit the limit of the control group. limit 0 means none.
func checkMemory(c Config, limit int64) error {
	if limit <= 0 {
		return nil
	}
	parent := int64(parentMemory)
	need := parent + int64(c.Concurrency)*int64(c.ChildMemory)
	if need <= limit {
		return nil
	}
	return fmt.Errorf("fitting the worker into its memory limit of %s: scan.concurrency %d times scan.childMemory %s and %s for the worker need %s; "+
		"raise the limit or lower one of the two: %w",
		gate.ByteSize(limit), c.Concurrency, c.ChildMemory, gate.ByteSize(parent), gate.ByteSize(need), gate.ErrInvalid)
}

// tightMemory says which limit is needed when the analyses fit the present one only
// while not all of them take the most that they may, "" when they always fit. It is a
// warning and not a refusal: an installation that works continues to work.
func tightMemory(c Config, limit int64) string {
	need := worstMemory + int64(max(c.Concurrency-2, 0))*AnalysisMemory + int64(c.Concurrency)*int64(c.ChildMemory)
	if limit <= 0 || need <= limit {
		return ""
	}
	return fmt.Sprintf("scan.concurrency %d with scan.childMemory %s needs up to %s, but the memory limit is %s; raise the limit, or lower one of the two",
		c.Concurrency, c.ChildMemory, gate.ByteSize(need), gate.ByteSize(limit))
}

// OwnMemory is the memory that the garbage collector of the worker should aim at, in
// bytes, so that worker and children stay within the limit of the control group: what
// the children leave, less 64 MiB for the program itself and what it maps. 0: there
// is no limit. It is never below what local caches and two analyses need, so that an
// installation that works with less does not spend its time collecting garbage.
func OwnMemory(c Config) int64 { return ownMemory(c, cgroupMemory("/")) }

func ownMemory(c Config, limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	return max(limit-int64(c.Concurrency)*int64(c.ChildMemory), worstMemory) - 64<<20
}

// cgroupMemory is the memory limit of this process's control group in bytes, 0
// when there is none or it cannot be read. root is "/" but in tests.
func cgroupMemory(root string) int64 {
	var limit int64
	consider := func(file string) {
		b, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		// Version 1 says "no limit" with a number near 2^63.
		if err != nil || n <= 0 || n > 1<<60 {
			return
		}
		if limit == 0 || n < limit {
			limit = n
		}
	}
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	// In a container the group is mounted as the root of the hierarchy; on a
	// host it lies below, and every level above limits too.
	consider("sys/fs/cgroup/memory.max")
	consider("sys/fs/cgroup/memory/memory.limit_in_bytes")
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for dir := parts[2]; dir != "/" && dir != "." && dir != ""; dir = filepath.Dir(dir) {
			if parts[1] == "" {
				consider(filepath.Join("sys/fs/cgroup", dir, "memory.max"))
			} else if strings.Contains(","+parts[1]+",", ",memory,") {
				consider(filepath.Join("sys/fs/cgroup/memory", dir, "memory.limit_in_bytes"))
			}
		}
	}
	return limit
}

// memoryLimitText is GOMEMLIMIT of a child: what its garbage collector aims
// at, below the size at which it is killed.
func memoryLimitText(childMemory gate.ByteSize) string {
	return strconv.FormatInt(int64(childMemory)/100*85, 10)
}
