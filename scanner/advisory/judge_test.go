package advisory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// sized is a database of which only the sizes count.
func sized(at time.Time, details int, buckets ...advisory.BucketCount) *advisory.Database {
	return &advisory.Database{UpdatedAt: at, Summary: advisory.Summary{Buckets: buckets, Vulnerabilities: details}}
}

func rows(name string, advisories int) advisory.BucketCount {
	return advisory.BucketCount{Name: name, Packages: max(advisories/2, min(advisories, 1)), Advisories: advisories}
}

func TestJudge_buckets(t *testing.T) {
	for _, c := range []struct {
		before, after int
		refused       bool
	}{
		{100, 100, false}, {100, 80, false}, {100, 79, true}, {100, 0, true}, {1, 0, true}, {0, 0, false}, {0, 50, false},
		{2, 1, false}, {3, 1, false}, {4, 1, true}, {10, 8, false}, {10, 7, true}, {1000, 799, true}, {1000, 800, false},
		{100, 1100, false}, {100, 1101, true}, {1000, 5000, false}, {1000, 5001, true},
	} {
		was := sized(clock, 10, rows("debian 12", c.before), rows("alpine 3.20", 10))
		is := sized(clock, 10, rows("debian 12", c.after), rows("alpine 3.20", 10))
		if c.after == 0 {
			is = sized(clock, 10, rows("alpine 3.20", 10)) // gone altogether
		}
		j := advisory.Judge(is, was, advisory.Rules{})
		if j.Whole != nil || (len(j.Buckets) == 1) != c.refused {
			t.Errorf("%d → %d: got %+v, want it refused: %t", c.before, c.after, j, c.refused)
			continue
		}
		if c.refused && (j.Buckets[0].Bucket != "debian 12" || j.Buckets[0].Before != c.before || j.Buckets[0].After != c.after || j.Buckets[0].Reason == "") {
			t.Errorf("%d → %d: got %+v", c.before, c.after, j.Buckets[0])
		}
		accepted := advisory.Judge(is, was, advisory.Rules{Accepted: func(b string) bool { return b == "debian 12" }})
		if len(accepted.Buckets) != 0 {
			t.Errorf("%d → %d: accepted, and refused as %+v", c.before, c.after, accepted)
		}
	}
}

// TestJudge_packages: the rows may have stayed and be of few packages.
func TestJudge_packages(t *testing.T) {
	was := sized(clock, 10, advisory.BucketCount{Name: "go::x", Packages: 100, Advisories: 200})
	is := sized(clock, 10, advisory.BucketCount{Name: "go::x", Packages: 10, Advisories: 200})
	if j := advisory.Judge(is, was, advisory.Rules{}); len(j.Buckets) != 1 || !strings.Contains(j.Buckets[0].Reason, "packages") {
		t.Errorf("got %+v", j)
	}
}

// TestJudge_redHat: without the products of content sets no advisory of Red Hat is found.
func TestJudge_redHat(t *testing.T) {
	was, is := sized(clock, 10, rows("Red Hat", 100)), sized(clock, 10, rows("Red Hat", 100))
	was.Summary.RedHatCPE, is.Summary.RedHatCPE = 50, 3
	if j := advisory.Judge(is, was, advisory.Rules{}); len(j.Buckets) != 1 || j.Buckets[0].Bucket != "Red Hat" {
		t.Errorf("got %+v", j)
	}
}

func TestJudge_whole(t *testing.T) {
	was := sized(clock, 1000, rows("debian 12", 100))
	for name, c := range map[string]struct {
		is   *advisory.Database
		want string
	}{
		"same_time":     {sized(clock, 1000, rows("debian 12", 100)), ""},
		"newer":         {sized(clock.Add(time.Hour), 1000, rows("debian 12", 100)), ""},
		"older":         {sized(clock.Add(-time.Second), 1000, rows("debian 12", 100)), "older than the data in force"},
		"details_gone":  {sized(clock, 0, rows("debian 12", 100)), "no records of vulnerabilities"},
		"details_fewer": {sized(clock, 700, rows("debian 12", 100)), "30 % less"},
	} {
		j := advisory.Judge(c.is, was, advisory.Rules{})
		if (j.Whole == nil) != (c.want == "") || j.Whole != nil && (!errors.Is(j.Whole, gate.ErrInvalid) || !strings.Contains(j.Whole.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, j.Whole, c.want)
		}
	}
}

// TestJudge_first: with nothing in force the shipped minimums count, unless the database
// is the operator's own.
func TestJudge_first(t *testing.T) {
	full := func() *advisory.Database {
		db := sized(clock, 300_000)
		for _, name := range []string{
			"alma 9", "alpine 3.20", "amazon linux 2023", "debian 12", "Oracle Linux 9", "Red Hat", "rocky 9", "SUSE Linux Enterprise 15.6", "ubuntu 24.04",
			"composer::x", "go::x", "maven::x", "npm::x", "nuget::x", "pip::x", "rubygems::x",
		} {
			db.Summary.Buckets = append(db.Summary.Buckets, rows(name, 30_000))
		}
		return db
	}
	if j := advisory.Judge(full(), nil, advisory.Rules{}); j.Whole != nil || len(j.Buckets) != 0 {
		t.Errorf("a full database: got %+v", j)
	}
	for i := range full().Summary.Buckets {
		hollow := full()
		b := &hollow.Summary.Buckets[i]
		b.Packages, b.Advisories = 1, 3
		name, _, _ := strings.Cut(b.Ecosystem(), "::")
		j := advisory.Judge(hollow, nil, advisory.Rules{})
		if !errors.Is(j.Whole, gate.ErrInvalid) || !strings.Contains(fmt.Sprint(j.Whole), name+" 3, want") {
			t.Errorf("without %s: got %v", b.Name, j.Whole)
		}
	}
	few := full()
	few.Summary.Vulnerabilities = 10
	if j := advisory.Judge(few, nil, advisory.Rules{}); !errors.Is(j.Whole, gate.ErrInvalid) {
		t.Errorf("without details: got %v", j.Whole)
	}
	small := sized(clock, 3, rows("debian 12", 3))
	if j := advisory.Judge(small, nil, advisory.Rules{}); !errors.Is(j.Whole, gate.ErrInvalid) || !strings.Contains(j.Whole.Error(), "own: true") {
		t.Errorf("a small one: got %v", j.Whole)
	}
	if j := advisory.Judge(small, nil, advisory.Rules{Own: true}); j.Whole != nil {
		t.Errorf("the operator's own: got %v", j.Whole)
	}
	if j := advisory.Judge(sized(clock, 3, rows("debian 12", 0)), nil, advisory.Rules{Own: true}); !errors.Is(j.Whole, gate.ErrInvalid) {
		t.Errorf("the operator's own without an advisory: got %v", j.Whole)
	}
}
