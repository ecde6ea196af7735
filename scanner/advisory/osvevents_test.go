package advisory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"path/filepath"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestBuild_orderOfEvents: OSV evaluates the events of a range by version. No order of them
// makes a version that is affected look clean, and no range refuses the feed.
func TestBuild_orderOfEvents(t *testing.T) {
	for name, c := range map[string]struct {
		eco, events string
		want        []string
		odd         string
	}{
		"in_order":          {"Go", `{"introduced":"0"},{"fixed":"1.2.3"}`, []string{"<1.2.3"}, ""},
		"fixed_first":       {"Go", `{"fixed":"1.2.3"},{"introduced":"0"}`, []string{"<1.2.3"}, ""},
		"two_mixed":         {"npm", `{"fixed":"2.1.0"},{"introduced":"2.0.0"},{"fixed":"1.10.0"},{"introduced":"1.9.0"}`, []string{">=1.9.0, <1.10.0", ">=2.0.0, <2.1.0"}, ""},
		"prerelease":        {"npm", `{"fixed":"2.0.0"},{"introduced":"2.0.0-rc.1"}`, []string{">=2.0.0-rc.1, <2.0.0"}, ""},
		"pypi":              {"PyPI", `{"fixed":"10.0"},{"introduced":"9.0rc1"}`, []string{">=9.0rc1, <10.0"}, ""},
		"gem":               {"RubyGems", `{"fixed":"10.0"},{"introduced":"9.0.pre"}`, []string{">=9.0.pre, <10.0"}, ""},
		"maven":             {"Maven", `{"last_affected":"10.0"},{"introduced":"9-alpha"}`, []string{">=9-alpha, <=10.0"}, ""},
		"php":               {"Packagist", `{"fixed":"10.0"},{"introduced":"9.0"}`, []string{">=9.0, <10.0"}, ""},
		"still_affected":    {"Go", `{"introduced":"2.0.0"},{"introduced":"0"},{"fixed":"1.0.0"}`, []string{"<1.0.0", ">=2.0.0"}, ""},
		"introduced_twice":  {"Go", `{"introduced":"0"},{"introduced":"1.0.0"},{"fixed":"1.2.0"}`, []string{"<1.2.0"}, ""},
		"in_one_object":     {"Go", `{"introduced":"1.0.0","fixed":"1.2.0"}`, []string{">=1.0.0, <1.2.0"}, ""},
		"one_version":       {"Go", `{"introduced":"1.0.0"},{"last_affected":"1.0.0"}`, []string{"=1.0.0"}, ""},
		"not_introduced":    {"Go", `{"fixed":"1.2.3"}`, []string{"<1.2.3"}, "has no introduced"},
		"not_comparable":    {"PyPI", `{"fixed":"what"},{"introduced":"ever"}`, []string{">=0"}, "cannot be compared"},
		"in_order_at_least": {"PyPI", `{"introduced":"0"},{"fixed":"what"},{"introduced":"ever"},{"fixed":"more"}`, []string{"<what", ">=ever, <more"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "db")
			built, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{
				"a.json": file(osvOf("X-1", c.eco, "pkg", c.events, "")), "b.json": file(osvOf("X-2", "npm", "other", fmt.Sprintf(fixedIn, "1.0.0"), "")),
			}, Out: out, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range built.Summary.Buckets {
				if adv, ok := rowOf(t, out, b.Name, "pkg", "X-1"); ok {
					got = adv.VulnerableVersions
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			switch {
			case c.odd == "" && len(built.LeftOut) > 0:
				t.Errorf("named: %+v", built.LeftOut)
			case c.odd != "" && (len(built.LeftOut) != 1 || built.LeftOut[0].File != "a.json" || !strings.Contains(built.LeftOut[0].First, "X-1, affected[0].ranges[0]: a range "+c.odd) && !strings.Contains(built.LeftOut[0].First, c.odd)):
				t.Errorf("want one range that %s, got %+v", c.odd, built.LeftOut)
			}
		})
	}
}

// TestBuild_orderOfEventsOfDistributions: as for languages, with one version at the end.
func TestBuild_orderOfEventsOfDistributions(t *testing.T) {
	for name, c := range map[string]struct{ events, fixed, odd string }{
		"fixed_first":    {`{"fixed":"2.0"},{"introduced":"0"}`, "2.0", ""},
		"later_first":    {`{"introduced":"10.0"},{"fixed":"10.1"},{"introduced":"0"},{"fixed":"2.0"}`, "10.1", ""},
		"open_first":     {`{"introduced":"10.0"},{"introduced":"0"},{"fixed":"2.0"}`, "", ""},
		"not_introduced": {`{"fixed":"2.0"}`, "2.0", "no introduced"},
	} {
		built, err := buildOSV(t, osvOf("X-1", "Debian:12", "p", c.events, ""))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if adv, ok := rowOf(t, built.Dir, "debian 12", "p", "X-1"); !ok || adv.FixedVersion != c.fixed {
			t.Errorf("%s: got %+v, %v", name, adv, ok)
		}
		if named := slices.ContainsFunc(built.LeftOut, func(l advisory.LeftOut) bool {
			return l.Bucket == "debian 12" && strings.Contains(l.First, c.odd)
		}); named != (c.odd != "") {
			t.Errorf("%s: named %+v", name, built.LeftOut)
		}
	}
}

// TestBuild_ownNotAffected: it hides nothing, and is counted and named.
func TestBuild_ownNotAffected(t *testing.T) {
	_, r := build(t, fstest.MapFS{
		"own.yaml": file("distribution: debian\nrelease: '12'\nupdatedAt: 2026-01-01T00:00:00Z\nadvisories: [{package: a, id: CVE-2020-1, status: not_affected}, {package: b, id: CVE-2020-2, status: not_affected}, {package: c, id: CVE-2020-3, status: affected}]\n"),
		"osv.json": file(osvOf("CVE-2020-1", "Debian:12", "a", `{"introduced":"0"}`, "")),
	})
	found := 0
	for reason, n := range r.Skipped {
		if strings.Contains(reason, `not_affected in "own.yaml"`) && strings.Contains(reason, "CVE-2020-1 of a") {
			found += n
		}
	}
	if found != 2 {
		t.Errorf("counted %d: %v", found, r.Skipped)
	}
	if adv, ok := rowOf(t, r.Dir, "debian 12", "a", "CVE-2020-1"); !ok || adv.FixedVersion != "" {
		t.Errorf("what another source says is affected: %+v, %v", adv, ok)
	}
}
