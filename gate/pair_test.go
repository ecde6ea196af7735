package gate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

// somePairs are findings with few keys, some more than once, in their order or in none.
func somePairs(t *rapid.T, name string) *gate.Findings {
	f := &gate.Findings{}
	letter := rapid.SampledFrom([]string{"", "a", "b"})
	for i := range rapid.IntRange(0, 8).Draw(t, name) {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{
			ID: letter.Draw(t, "id"), Package: letter.Draw(t, "package"), PackageID: letter.Draw(t, "packageID"), Path: letter.Draw(t, "path"),
			InstalledVersion: fmt.Sprint(name, i), FirstSeen: time.Unix(int64(i), 0),
		})
	}
	if rapid.Bool().Draw(t, "in order") {
		slices.SortStableFunc(f.Vulnerabilities, func(a, b gate.Vulnerability) int {
			return slices.Compare([]string{a.Package, a.PackageID, a.Path, a.ID}, []string{b.Package, b.PackageID, b.Path, b.ID})
		})
	}
	return f
}

// TestPairFindings: each key comes once, with all that have it in the order in which they
// were, as maps would say it.
func TestPairFindings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		older, newer := somePairs(t, "older"), somePairs(t, "newer")
		type pair struct{ Before, After []string }
		want, got := map[gate.FindingKey]pair{}, map[gate.FindingKey]pair{}
		for _, v := range older.Vulnerabilities {
			p := want[v.KeyParts()]
			p.Before = append(p.Before, v.InstalledVersion)
			want[v.KeyParts()] = p
		}
		for _, v := range newer.Vulnerabilities {
			p := want[v.KeyParts()]
			p.After = append(p.After, v.InstalledVersion)
			want[v.KeyParts()] = p
		}
		gate.PairFindings(older, newer, func(before, after []*gate.Vulnerability) {
			var p pair
			var key gate.FindingKey
			for _, v := range before {
				p.Before, key = append(p.Before, v.InstalledVersion), v.KeyParts()
			}
			for _, v := range after {
				p.After, key = append(p.After, v.InstalledVersion), v.KeyParts()
			}
			if _, twice := got[key]; twice {
				t.Fatalf("the key %v comes twice", key)
			}
			got[key] = p
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-by maps +in order):\n%s", diff)
		}
		now := time.Unix(1000, 0)
		newer.CarryFirstSeen(older, now)
		seen := map[gate.FindingKey]time.Time{}
		for _, v := range older.Vulnerabilities {
			seen[v.KeyParts()] = v.FirstSeen
		}
		for _, v := range newer.Vulnerabilities {
			want := now
			if first, ok := seen[v.KeyParts()]; ok {
				want = first
			}
			if !v.FirstSeen.Equal(want) {
				t.Errorf("%v was first seen %s, want %s", v.KeyParts(), v.FirstSeen, want)
			}
		}
	})
}
