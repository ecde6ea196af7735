package analyzer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

// TestSmallLayersShareAChild: an image of forty small layers takes two children, one of
// a large layer between small ones four; all of a known group is known, and the layers of a group
// are pulled again for every other image.
func TestSmallLayersShareAChild(t *testing.T) {
	src := &source{}
	a := open(t, fakeChild(t, "good"), src, nil)
	var forty []layer
	for i := range 40 {
		forty = append(forty, tarLayer(t, file("f", fmt.Sprint(i))))
	}
	count := func(layers []layer, children, pulls int, what string) {
		t.Helper()
		started, pulled := a.Started(), len(src.pulled())
		analyze(t, a, src.add(layers, map[string]any{"author": what}))
		if n := a.Started() - started; n != children {
			t.Errorf("%s: %d children, want %d", what, n, children)
		}
		if n := len(src.pulled()) - pulled; n != pulls {
			t.Errorf("%s: %d layers were pulled, want %d", what, n, pulls)
		}
	}
	count(forty, 2, 40, "forty small layers")
	count(forty, 1, 0, "the same layers in another image")
	count(forty[:39], 2, 39, "all but the last")
	count(forty[5:6], 2, 1, "one of them")
	count(forty[5:6], 1, 0, "one of them again")
	large := largeLayer(t, file("l", "x"))
	count([]layer{forty[0], forty[1], large, forty[2], forty[3]}, 4, 5, "a large layer between")
	count([]layer{large, forty[2], forty[3]}, 1, 0, "the large layer and a whole group")
	count([]layer{forty[0], large}, 2, 1, "a part of a group and the large layer")
}

// TestLiarInAGroup: a child that is taken over by one of its layers and lies about all
// of them changes nothing for an image that has one of the others.
func TestLiarInAGroup(t *testing.T) {
	src := &source{}
	victim, hostile := tarLayer(t, file("victim", "x")), tarLayer(t, file("hostile", "x"))
	a := open(t, fakeChild(t, "groupliar"), src, nil)
	// The digests of the uncompressed layers are lies as well, so that this is refused.
	wantError(t, a, src.add([]layer{victim, hostile}, nil), gate.ErrIntegrity, "layer 1 of 2 unpacks to")
	for _, layers := range [][]layer{{victim}, {hostile}} {
		analyze(t, a, src.add(layers, nil))
	}
	if n := len(src.pulled()); n != 4 {
		t.Errorf("%d layers were pulled, want 4: what was said of the group may answer for nothing else", n)
	}
}

// TestGroupOutOfOrder: a child gets a layer only after it has said what is in the one
// before, and says it once.
func TestGroupOutOfOrder(t *testing.T) {
	for script, text := range map[string]string{
		"groupskips":  `it asked "GET /layer/1", which is not its business`,
		"groupfinds":  `it asked "POST /found/1", which is not its business`,
		"groupbehind": `it asked "GET /layer/2", which is not its business`,
	} {
		t.Run(script, func(t *testing.T) {
			src := &source{}
			a := open(t, fakeChild(t, script), src, nil)
			wantError(t, a, src.add([]layer{tarLayer(t, file("a", "x")), tarLayer(t, file("b", "x"))}, nil), gate.ErrScanFailed, text)
		})
	}
}

// TestCrashInAGroup: the layer that a child was reading when it ended is named.
func TestCrashInAGroup(t *testing.T) {
	src := &source{}
	a := open(t, fakeChild(t, "groupcrash"), src, nil)
	wantError(t, a, src.add([]layer{tarLayer(t, file("a", "x")), tarLayer(t, file("b", "x")), tarLayer(t, file("c", "x"))}, nil),
		gate.ErrScanFailed, "layer 2 of 3: the analyzer child: exit status 2: panic: the second")
}

// TestAhead: while an analysis runs a child waits for its next unit, without any layer;
// it is used once, replaced when it has died, and gone with the last analysis.
func TestAhead(t *testing.T) {
	src := &source{}
	a := open(t, fakeChild(t, "good"), src, nil)
	d := src.add(three(t, "1"), nil)
	if n := len(a.Idle()); n != 0 {
		t.Fatalf("%d children wait before there is an analysis", n)
	}
	var killed int
	_, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, BeforePull: func(context.Context) error {
		idle := a.Idle()
		if len(idle) != 1 {
			return fmt.Errorf("%d children wait, want 1", len(idle))
		}
		killed = idle[0]
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			return err
		}
		for alive(killed) {
			if err := t.Context().Err(); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := a.Started(); n != 1+1+3+1 { // the probe, the killed one, three layers, the merge
		t.Errorf("%d children were started, want 6", n)
	}
	if n := len(a.Idle()); n != 0 {
		t.Errorf("%d children wait after the analysis", n)
	}
	// One that fails leaves none either.
	failed := errors.New("no quota")
	other := src.add(three(t, "2"), nil)
	if _, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: other, BeforePull: func(context.Context) error { return failed }}); !errors.Is(err, failed) {
		t.Fatalf("got error %v, want that of BeforePull", err)
	}
	if n := len(a.Idle()); n != 0 {
		t.Errorf("%d children wait after a failed analysis", n)
	}
}

// TestRealAheadMemory: a child that waits takes what is reckoned for it.
func TestRealAheadMemory(t *testing.T) {
	src := &source{}
	a := withRealChild(t, src, nil)
	d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
	_, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d, BeforePull: func(ctx context.Context) error {
		idle := a.Idle()
		if len(idle) != 1 {
			return fmt.Errorf("%d children wait, want 1", len(idle))
		}
		// It has asked for its unit, so that nothing more is to be prepared, when it
		// has read from its socket: it then sleeps in a system call of the network.
		for !asleep(idle[0]) {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		n := analyzer.AnonymousMemory(idle[0])
		t.Logf("a child that waits takes %d KiB", n>>10)
		if n == 0 || n > analyzer.AheadMemory {
			t.Errorf("a child that waits takes %d bytes, want up to %d", n, analyzer.AheadMemory)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// asleep reports whether no thread of a process runs.
func asleep(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, f := range threads {
		b, err := os.ReadFile(f)
		if err != nil {
			return false
		}
		if _, rest, _ := strings.Cut(string(b), ") "); !strings.HasPrefix(rest, "S") {
			return false
		}
	}
	return len(threads) > 3 // the runtime's own, so that it has started
}

// alive reports whether a process has not been waited for.
func alive(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}
