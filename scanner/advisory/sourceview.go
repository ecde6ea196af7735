package advisory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// view is a source of a generation for people.
func (s Source) view() gate.AdvisorySource {
	v := gate.AdvisorySource{
		Name: s.Name, Kind: s.Kind, Digest: s.Digest, Priority: s.Priority, UpdatedAt: s.UpdatedAt, From: s.From, Licence: s.Licence, MaxAge: ageText(s.MaxAge),
	}
	if g := s.Gave; g != nil {
		v.Rows, v.Alike, v.Overruled, v.Replaced, v.Unused = g.Rows, g.Alike, g.Overruled, g.Replaced, g.Unused
	}
	return v
}

func ageText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// showSources writes how the configured sources go into the view of people.
func (d *Desk) showSources(v *gate.AdvisoryData, st refreshState, now time.Time) {
	for _, c := range d.sources {
		v.Sources = append(v.Sources, stateOf(c, v.InForce.Sources, st.Sources[c.Name], d.maxAge, now))
	}
}

// stateOf is how one source goes.
func stateOf(c source.Config, inForce []gate.AdvisorySource, is sourceState, maxAge time.Duration, now time.Time) gate.AdvisorySourceState {
	s := gate.AdvisorySourceState{
		Name: c.Name, Kind: string(c.Kind()), Where: c.Where(), Priority: c.Priority, Licence: c.Licence, MaxAge: ageText(c.MaxAge),
		Problem: is.Problem, CheckedAt: is.CheckedAt, NextAt: is.NextAt, Failures: is.Failures,
	}
	if s.Kind == "" {
		s.Kind = KindTrivyDB
	}
	has := false
	for _, in := range inForce {
		if in.Name == c.Name || in.Name == "" && c.Name == gate.SourceTrivyDB {
			has, s.UpdatedAt, s.Rows, s.Overruled = true, in.UpdatedAt, in.Rows, in.Overruled
			if len(in.Unused) > 0 && s.Problem == "" {
				s.Problem = fmt.Sprintf("its rows of %s cannot be united with those of a source that decides before it, and are not used; write the bucket in replaces of the source that is to count", strings.Join(in.Unused, ", "))
			}
		}
	}
	if c.MaxAge > 0 {
		maxAge = c.MaxAge
	}
	switch {
	case is.Failures > 0 && has:
		s.State = "failing"
	case is.Failures > 0:
		s.State = "missing"
	case !has && is.CheckedAt.IsZero():
		s.State = "waiting"
	case FreshnessOf(s.UpdatedAt, now, maxAge) == Stale:
		s.State = "stale"
	default:
		s.State = "ok"
	}
	return s
}

// sourcesChanged says how two generations differ in their sources and in their shape; ""
// when they do not.
func sourcesChanged(before, now gate.AdvisoryGeneration, shape *Changed) string {
	changes := listChanges(before, now)
	if shape != nil && shape.From == before.Content {
		changes = append(changes, shape.What)
	}
	if before.Number == 0 || len(changes) == 0 {
		return ""
	}
	return "source changed: " + strings.Join(changes, "; ")
}

// listChanges says how the lists of sources of two generations differ.
func listChanges(before, now gate.AdvisoryGeneration) []string {
	if len(before.Sources) == 0 || len(now.Sources) == 0 {
		return nil
	}
	var changes []string
	name := func(s gate.AdvisorySource) string {
		if s.Name == "" {
			return gate.SourceTrivyDB
		}
		return s.Name
	}
	find := func(list []gate.AdvisorySource, s gate.AdvisorySource) int {
		return slices.IndexFunc(list, func(o gate.AdvisorySource) bool { return name(o) == name(s) })
	}
	for _, s := range now.Sources {
		switch i := find(before.Sources, s); {
		case i < 0:
			changes = append(changes, name(s)+" is new")
		case before.Sources[i].Kind != s.Kind:
			changes = append(changes, fmt.Sprintf("%s is a %s, was a %s", name(s), s.Kind, before.Sources[i].Kind))
		case before.Sources[i].Priority != s.Priority && s.Name != "" && before.Sources[i].Name != "":
			changes = append(changes, fmt.Sprintf("%s has the priority %d, had %d", name(s), s.Priority, before.Sources[i].Priority))
		}
	}
	for _, s := range before.Sources {
		if find(now.Sources, s) < 0 {
			changes = append(changes, name(s)+" is gone")
		}
	}
	slices.Sort(changes)
	return slices.Compact(changes)
}

// sourceNotes say which sources of the generation have a problem. It is called with mu
// held.
func (m *Manager) sourceNotes() (notes []string) {
	if len(m.config.Sources) == 0 || !m.downloads {
		return nil
	}
	for _, c := range source.Ordered(m.config.Sources, true) {
		if is := m.refreshed.Sources[c.Name]; is.Failures > 0 && (c.Name != gate.SourceTrivyDB || m.refreshed.Failures == 0) {
			notes = append(notes, fmt.Sprintf("source %q could not be had, tried %d times, and keeps the rows that it has: %s; the next try is at %s",
				c.Name, is.Failures, is.Problem, is.NextAt.UTC().Format(time.RFC3339)))
		}
	}
	if m.loaded == nil {
		return notes
	}
	for _, s := range m.loaded.Manifest.Sources {
		if s.Gave != nil && len(s.Gave.Unused) > 0 {
			notes = append(notes, fmt.Sprintf("source %q: its rows of %s cannot be united with those of a source that decides before it, and are not used: write the bucket in replaces of the source that is to count",
				s.Name, strings.Join(s.Gave.Unused, ", ")))
		}
	}
	return notes
}
