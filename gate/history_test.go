package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	follow "github.com/digestgate/digestgate/gate/history"
)

// kept is the history of a digest in words, the oldest first.
func (s *site) kept(d gate.Digest) (lines []string) {
	s.t.Helper()
	list, err := s.store.History(s.ctx, d, gate.HistoryQuery{})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		e := list[i]
		line := fmt.Sprintf("%s of %d:", e.Event, e.Generation)
		if f := e.Findings; f != nil {
			ids := func(word string, list []gate.Vulnerability) {
				for _, v := range list {
					line += fmt.Sprintf(" %s %s %s", word, v.ID, v.Severity)
				}
			}
			if f.First {
				line += " first"
			}
			if f.Analysed {
				line += " analysed"
			}
			ids("found", f.Found.List)
			ids("fixed", f.Fixed.List)
			ids("missing", f.Missing)
			for _, v := range f.Severity {
				line += fmt.Sprintf(" %s %s>%s", v.ID, v.Before, v.Severity)
			}
		}
		for _, v := range e.Verdicts {
			line += fmt.Sprintf(" %s %s>%s", v.Location.Repository, v.Before.Outcome, v.After.Outcome)
		}
		lines = append(lines, line)
	}
	return lines
}

// firstSeen is when each finding of a digest was first seen.
func (s *site) firstSeen(d gate.Digest) map[string]time.Time {
	s.t.Helper()
	f, err := s.store.Findings(s.ctx, d)
	if err != nil {
		s.t.Fatal(err)
	}
	seen := map[string]time.Time{}
	for _, v := range f.Vulnerabilities {
		seen[v.ID] = v.FirstSeen
	}
	return seen
}

// TestHistory: every change of an image is in its history, each once, in its order, and the
// feed names those that a report is made of. What is fixed and comes back, also by a
// roll-back, another analysis or data that did not know the distribution for a while, has
// the time at which it was first seen.
func TestHistory(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		from, err := s.store.Newest(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		found := func(ids ...string) func(*gate.Findings) {
			return func(f *gate.Findings) {
				for _, id := range ids {
					f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: id, Package: "curl", Severity: gate.SeverityCritical, FixedVersion: "2", CVSS: 9})
				}
			}
		}
		d := s.push("team/app", "v1", 1)
		s.event("team/app", "v1", d)
		s.work()
		generation := int64(1)
		with := func(alter func(*gate.Findings)) {
			generation++
			s.matcher.alter = alter
			s.matcher.activate(generation)
			s.clock.Advance(time.Hour)
			s.rematch(s.sweeper(listed{d}))
		}
		with(found("CVE-1", "CVE-2"))
		first := s.firstSeen(d)
		with(found("CVE-2"))
		with(found("CVE-1", "CVE-2"))
		with(func(f *gate.Findings) { f.Unassessable = "release 99 is not known" })
		with(found("CVE-1", "CVE-2"))
		s.analyzer.set += "+"
		s.again(d)
		s.clock.Advance(time.Hour)
		s.work()
		with(found("CVE-1", "CVE-2", "CVE-3"))
		now := s.firstSeen(d)
		for id, at := range first {
			if now[id].Sub(at).Abs() >= time.Second { // of which the history keeps whole ones
				t.Errorf("%s was first seen at %s, and after all at %s", id, at, now[id])
			}
		}
		if !now["CVE-3"].After(first["CVE-1"]) {
			t.Errorf("CVE-3 was first seen at %s", now["CVE-3"])
		}
		want := []string{
			"push of 1: first", "push of 1: team/app >allow",
			"rescan of 2: found CVE-1 CRITICAL found CVE-2 CRITICAL", "rescan of 2: team/app allow>deny",
			"rescan of 3: fixed CVE-1 CRITICAL",
			"rescan of 4: found CVE-1 CRITICAL",
			"rescan of 5: missing CVE-1 CRITICAL missing CVE-2 CRITICAL", "rescan of 5: team/app deny>deny",
			"rescan of 6: found CVE-1 CRITICAL found CVE-2 CRITICAL", "rescan of 6: team/app deny>deny",
			"rescan of 7: found CVE-3 CRITICAL",
		}
		got := s.kept(d)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		entries, _, err := follow.After(s.ctx, s.store, from, 1000)
		if err != nil {
			t.Fatal(err)
		}
		quiet := 0
		for _, line := range want {
			if strings.Contains(line, "deny>deny") {
				quiet++
			}
		}
		if len(entries) != len(want)-quiet {
			t.Errorf("the feed names %d entries of %d, of which %d change no outcome", len(entries), len(want), quiet)
		}
		for i := 1; i < len(entries); i++ {
			if entries[i].Number <= entries[i-1].Number {
				t.Errorf("entry %d comes behind %d", entries[i].Number, entries[i-1].Number)
			}
		}
	})
}
