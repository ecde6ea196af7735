package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// selfTrial runs this test binary as the child; see TestMain.
func selfTrial(t *testing.T, budget time.Duration) Trial {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return ChildTrial(budget, self, "policy-trial")
}

func TestTrialAcceptsTheStarterSet(t *testing.T) {
	if warnings, err := selfTrial(t, 0)(context.Background(), Starter()); err != nil || len(warnings) > 0 {
		t.Error(warnings, err)
	}
}

func TestTrialRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		text   string
		budget time.Duration
		want   string
	}{
		{"compile_error", "package digestgate\n\ndeny contains \"x\" if input.nonsense\n", 0, "p.rego:3:"},
		{"ill_typed", "package digestgate\n\ndeny contains 1\n", 0, "trying the policies on a clean image: data.digestgate.deny: a reason is a number"},
		{"fails_on_unknown_values", "package digestgate\n\ndeny contains \"x\" if {\n\tsplit(input.image.host, \".\")[1] == \"x\"\n\tto_number(input.image.os.name) > 3\n}\n\nwarn contains \"y\" if to_number(input.image.os.name) > 3\n", 0,
			"an image of which nothing is known: p.rego:8:22: "},
		// By the time of the processor, or by the clock where none is to be had.
		{"too_slow", heavy, 100 * time.Millisecond, "the rules took longer than "},
		// Every element is a copy of an object with 500 keys.
		{"eats_memory", `package digestgate

deny contains "x" if {
	ids := {v.id: v.title | some v in input.findings.vulnerabilities}
	list := [object.union(ids, {a.id: b.id}) |
		some a in input.findings.vulnerabilities
		some b in input.findings.vulnerabilities
	]
	count(list) < 0
}
`, time.Minute, "use more than 128MiB of memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			limits := trialLimits{time.Minute, 128 << 20}
			_, err = childTrial(limits, c.budget, self, "policy-trial")(context.Background(), source(c.text))
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want gate.ErrInvalid and %q", err, c.want)
			}
		})
	}
}

func TestTrialIsTimed(t *testing.T) {
	_, err := childTrial(trialLimits{50 * time.Millisecond, 1 << 30}, 0, "/bin/sh", "-c", "exec sleep 60")(context.Background(), Starter())
	if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "within 50ms and are refused") {
		t.Errorf("got %v, want gate.ErrInvalid because of the time", err)
	}
}

func TestTrialChildMisbehaves(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		want    string
		is      error
	}{
		{"no_program", []string{"/nonexistent/digestgate"}, "starting a child", gate.ErrResource},
		{"crash", []string{"/bin/sh", "-c", "echo oh >&2; exit 3"}, "exit status 3", gate.ErrInvalid},
		{"killed", []string{"/bin/sh", "-c", "kill -9 $$"}, "signal: killed", gate.ErrInvalid},
		{"garbage", []string{"/bin/sh", "-c", "echo nonsense"}, "reading the answer", gate.ErrInvalid},
		{"endless_output", []string{"/bin/sh", "-c", "head -c 20000000 /dev/zero"}, "reading the answer", gate.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ChildTrial(0, c.command...)(context.Background(), Starter())
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v and %q", err, c.is, c.want)
			}
		})
	}
}

// TestTrialHasNoSecrets: the child sees none of our environment.
func TestTrialHasNoSecrets(t *testing.T) {
	t.Setenv("DIGESTGATE_PASSWORD", "hunter2")
	file := filepath.Join(t.TempDir(), "env")
	_, _ = ChildTrial(0, "/bin/sh", "-c", "env > "+file)(context.Background(), Starter())
	data, err := os.ReadFile(file)
	if err != nil || len(data) == 0 {
		t.Fatalf("the child wrote nothing: %v", err)
	}
	if strings.Contains(string(data), "hunter2") {
		t.Errorf("the child's environment: %s", data)
	}
}

func TestTrialStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := selfTrial(t, 0)(ctx, Starter()); err == nil || errors.Is(err, gate.ErrInvalid) {
		t.Errorf("got %v, want an error that does not blame the policies", err)
	}
}
