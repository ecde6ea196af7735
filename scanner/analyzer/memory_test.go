package analyzer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

func TestCheckMemory(t *testing.T) {
	c := Default() // 2 × 1 GiB
	for limit, fits := range map[int64]bool{0: true, 4 << 30: true, 2<<30 + parentMemory: true, 2<<30 + parentMemory - 1: false, 1 << 30: false} {
		err := checkMemory(c, limit)
		if (err == nil) != fits {
			t.Errorf("limit %d: got %v, want that it fits: %v", limit, err, fits)
		}
		if err != nil && (!errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "scan.concurrency 2 times scan.childMemory 1GiB")) {
			t.Errorf("limit %d: the text is %v", limit, err)
		}
	}
}

func TestTightMemory(t *testing.T) {
	c := Default()
	c.Concurrency = 4
	worst := int64(worstMemory + 2*AnalysisMemory + 4<<30)
	for limit, tight := range map[int64]bool{0: false, worst: false, worst - 1: true} {
		if got := tightMemory(c, limit); (got != "") != tight {
			t.Errorf("limit %d: got %q", limit, got)
		}
	}
	if got := tightMemory(Default(), worstMemory+2<<30); got != "" {
		t.Errorf("the default: got %q", got)
	}
}

func TestOwnMemory(t *testing.T) {
	for limit, want := range map[int64]int64{0: 0, 1 << 30: 320 << 20, 2<<30 + parentMemory: 320 << 20, 4 << 30: 2<<30 - 64<<20} {
		if got := ownMemory(Default(), limit); got != want { // of 2 × 1 GiB for children
			t.Errorf("limit %d: got %d, want %d", limit, got, want)
		}
	}
}

func TestCgroupMemory(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":         {nil, 0},
		"v2_container": {map[string]string{"sys/fs/cgroup/memory.max": "1073741824\n", "proc/self/cgroup": "0::/\n"}, 1 << 30},
		"v2_unlimited": {map[string]string{"sys/fs/cgroup/memory.max": "max\n", "proc/self/cgroup": "0::/\n"}, 0},
		"v2_host_parent_limits": {map[string]string{"proc/self/cgroup": "0::/a.slice/b.service\n", "sys/fs/cgroup/a.slice/memory.max": "536870912",
			"sys/fs/cgroup/a.slice/b.service/memory.max": "1073741824"}, 512 << 20},
		"v1":           {map[string]string{"proc/self/cgroup": "4:memory:/x\n3:cpuset:/\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "268435456\n"}, 256 << 20},
		"v1_unlimited": {map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"nonsense":     {map[string]string{"sys/fs/cgroup/memory.max": "-5", "proc/self/cgroup": "::::\n\n"}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for f, body := range tt.files {
				f = filepath.Join(root, f)
				if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f, []byte(body), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := cgroupMemory(root); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
