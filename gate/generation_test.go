package gate

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAgeFor: an image is judged by the oldest bucket that its findings depend on, and by
// no other.
func TestAgeFor(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	g := Generation{UpdatedAt: day(1), Ages: NewAdvisoryAges(day(20), map[string]time.Time{
		"debian 12": day(10), "debian 11": day(1), "pip::GitHub": day(12), "pip::PyPA": day(11), "go::a": day(25), "alpine 3.20": day(20),
	})}
	for name, c := range map[string]struct {
		uses   []string
		at     time.Time
		bucket string
	}{
		"no bucket":             {nil, day(20), ""},
		"one of the others":     {[]string{"debian 13", "npm::"}, day(20), ""},
		"of the same time":      {[]string{"alpine 3.20"}, day(20), ""},
		"held":                  {[]string{"debian 12"}, day(10), "debian 12"},
		"held longer":           {[]string{"debian 11"}, day(1), "debian 11"},
		"one of an ecosystem":   {[]string{"debian 13", "pip::"}, day(11), "pip::PyPA"},
		"the oldest":            {[]string{"debian 12", "pip::"}, day(10), "debian 12"},
		"newer than the others": {[]string{"go::"}, day(20), ""},
		"alike by its letters":  {[]string{"debian 1", "pi::"}, day(20), ""},
	} {
		if at, bucket := g.AgeFor(JoinUses(c.uses)); !at.Equal(c.at) || bucket != c.bucket {
			t.Errorf("%s: got %s of %q, want %s of %q", name, at, bucket, c.at, c.bucket)
		}
	}
	if at, bucket := g.AgeFor(""); !at.Equal(day(1)) || bucket != "debian 11" {
		t.Errorf("not known: got %s of %q", at, bucket)
	}
	if at := g.AgeBut("", func(b string) bool { return b == "debian 11" }); !at.Equal(day(10)) {
		t.Errorf("but for debian 11: got %s", at)
	}
	if at := g.AgeBut("", func(string) bool { return true }); !at.Equal(day(20)) {
		t.Errorf("but for all: got %s", at)
	}
	if n := len(g.Times()); n != 6 {
		t.Errorf("%d times", n)
	}
	held := Generation{UpdatedAt: day(1), Ages: NewAdvisoryAges(day(20), map[string]time.Time{DetailBucket: day(1)})}
	if at, _ := held.AgeFor(JoinUses([]string{"go::"})); !at.Equal(day(1)) {
		t.Errorf("old details: got %s", at)
	}
	if NewAdvisoryAges(day(1), map[string]time.Time{"a": day(1)}) != nil {
		t.Error("parts of one time have ages")
	}
	whole := Generation{UpdatedAt: day(3)}
	if at, bucket := whole.AgeFor(JoinUses(nil)); !at.Equal(day(3)) || bucket != "" || len(whole.Times()) != 1 {
		t.Errorf("without ages: %s %q", at, bucket)
	}
}

// TestUnknownTimeIsOldest: a part whose time is not known is older than all others,
// wherever it stands.
func TestUnknownTimeIsOldest(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, unknown := range []time.Time{{}, UnknownTime()} {
		for _, bucket := range []string{"a", "z"} {
			g := Generation{Ages: NewAdvisoryAges(now, map[string]time.Time{bucket: unknown})}
			if at, _ := g.AgeFor(JoinUses([]string{"a", "z"})); AgeKnown(at) {
				t.Errorf("%q of an unknown time: judged by %s", bucket, at)
			}
		}
	}
}

// TestJoinUses: what a summary has no room for stands for all buckets.
func TestJoinUses(t *testing.T) {
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint("ecosystem ", i))
	}
	if got := JoinUses(many); got != "" {
		t.Errorf("got %q", got)
	}
	if got := JoinUses([]string{"go::", "debian 12", "go::"}); got != strings.Join([]string{"debian 12", "go::", DetailBucket}, "\n") {
		t.Errorf("got %q", got)
	}
}
