package advisory

import (
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Freshness says whether there is advisory data and whether it is recent.
type Freshness string

// The values of Freshness.
const (
	Fresh   Freshness = "fresh"
	Stale   Freshness = "stale"   // older than maxAge, or of unknown age
	Missing Freshness = "missing" // nothing is loaded; no image can be matched
)

// Status is what people and /readyz see of the advisory data.
type Status struct {
	Freshness  Freshness       `json:"freshness"`
	Path       string          `json:"path"`
	Generation gate.Generation `json:"generation"` // zero when Missing
	// Elsewhere is the active generation while it is of other data than ours;
	// zero otherwise.
	Elsewhere gate.Generation `json:"elsewhere,omitzero"`
	// Age is the age of the data itself, not of its activation.
	Age     time.Duration `json:"age"`
	MaxAge  time.Duration `json:"maxAge"` // 0: never stale
	Summary Summary       `json:"summary"`
	// Java is the index of Java archives in use; nil for none.
	Java *gate.JavaIndex `json:"java,omitempty"`
	// Held are the buckets that keep rows of an earlier source.
	Held []gate.HeldAdvisories `json:"held,omitempty"`
	// Notes are what else an operator should know: what is refused, that it gets old.
	Notes []string `json:"notes,omitempty"`
	// Problem says in words why the newest data is not in use or why nothing
	// is; "" when all is well.
	Problem   string    `json:"problem,omitempty"`
	CheckedAt time.Time `json:"checkedAt"` // of the last look at Path
}

// FreshnessOf grades data of the given time; one in the future has no age and
// counts as stale, as does [gate.UnknownTime].
func FreshnessOf(updatedAt, now time.Time, maxAge time.Duration) Freshness {
	switch {
	case updatedAt.IsZero():
		return Missing
	case maxAge > 0 && (now.Sub(updatedAt) > maxAge || updatedAt.Sub(now) > gate.ClockSkew):
		return Stale
	}
	return Fresh
}

// Status describes the present state.
func (m *Manager) Status() Status {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{
		Freshness: FreshnessOf(m.current.Rest(), now, m.config.MaxAge), Path: m.config.Path,
		Generation: m.current, MaxAge: m.config.MaxAge, Problem: m.problem, CheckedAt: m.checkedAt, Elsewhere: m.elsewhere,
	}
	if m.loaded != nil {
		s.Age, s.Summary = now.Sub(m.current.UpdatedAt), m.loaded.Summary
		_, s.Held = m.loaded.Manifest.views()
		s.Java = m.loaded.Manifest.Java.view(m.config.Java.MaxAge, now)
	}
	if s.Problem == "" {
		s.Problem = m.apartText(now)
	}
	s.Notes = m.notes(s, now)
	return s
}

// apartText says why what is in force, or anything at all, is not in use here; "" when it
// is. It is called with mu held.
func (m *Manager) apartText(now time.Time) string {
	time := func(g gate.Generation) string { return g.UpdatedAt.Format(time.RFC3339) }
	switch {
	case m.downloads && m.elsewhere.Number > 0 && m.lacking != "":
		return m.lacking
	case m.downloads && m.elsewhere.Number > 0:
		return fmt.Sprintf("generation %d is in force, of %s, and its files are on their way here", m.elsewhere.Number, time(m.elsewhere))
	case m.downloads && m.loaded == nil:
		return m.refreshed.waiting(now)
	case m.elsewhere.Number > 0:
		return fmt.Sprintf("generation %d is active, of other data (as of %s) than that at advisories.path (as of %s): findings made here are replaced by those made with the active generation; bring the same data to every process",
			m.elsewhere.Number, time(m.elsewhere), time(m.current))
	case m.unused.Content != "":
		return fmt.Sprintf("the data at advisories.path (as of %s) is not in use: generation %d, as of %s, was put in force instead; put newer data there to replace it",
			time(m.unused), m.current.Number, time(m.current))
	}
	return ""
}

// notes are called with mu held.
func (m *Manager) notes(s Status, now time.Time) (notes []string) {
	if st := m.refreshed; m.downloads && m.loaded != nil && st.Failures > 0 {
		notes = append(notes, fmt.Sprintf("no newer data could be had, tried %d times: %s; the next try is at %s", st.Failures, st.Problem, st.NextAt.UTC().Format(time.RFC3339)))
	}
	if m.downloads && m.refreshed.Failures == 0 { // else the problem names them
		notes = append(notes, mirrorNotes(m.refreshed.Mirrors)...)
	}
	notes = append(notes, m.sourceNotes()...)
	if m.java.problem != "" {
		notes = append(notes, fmt.Sprintf("the index of Java archives at advisories.java.path cannot be used: %s", m.java.problem))
	}
	if j := m.refreshed.Java; j.Failures > 0 {
		notes = append(notes, fmt.Sprintf("no newer index of Java archives could be had, tried %d times: %s; the next try is at %s", j.Failures, j.Problem, j.NextAt.UTC().Format(time.RFC3339)))
	}
	if j := s.Java; j != nil && j.Stale {
		notes = append(notes, fmt.Sprintf("the index of Java archives is of %s, older than advisories.java.maxAge (%s): archives that were published later stay gaps; bring a newer index to advisories.java.path, or name a repository in advisories.java.repositories",
			j.UpdatedAt.Format(time.RFC3339), m.config.Java.MaxAge))
	}
	for _, h := range s.Held {
		old := m.config.TooOld(h.UpdatedAt, now)
		if old == "" && h.Reason == saidBySource {
			continue // nothing was refused, and nothing is to be done
		}
		if old != "" {
			old = ", and images that use it are judged by that age: it is " + old
		}
		notes = append(notes, fmt.Sprintf("%q keeps its rows of %s%s: %s", h.Bucket, h.UpdatedAt.Format(time.RFC3339), old, h.Reason))
	}
	if m.loaded != nil {
		if old := m.config.TooOld(m.current.Rest(), now); old != "" {
			notes = append(notes, fmt.Sprintf("the data in use is of %s, %s", m.current.Rest().Format(time.RFC3339), old))
		}
	}
	return notes
}

// Accepted is until when people have accepted data by the digest of its content or the
// name of a bucket, as far as this process knows; the zero time for not.
func (m *Manager) Accepted(name string) (until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.accepted {
		if a.What == name && a.Until.After(until) {
			until = a.Until
		}
	}
	if m.loaded != nil {
		if own := m.loaded.Manifest.freshUntil(name, m.loaded.UpdatedAt, m.config.MaxAge); own.After(until) {
			until = own
		}
	}
	return until
}

// setOrders takes over what people ordered.
func (m *Manager) setOrders(o orders) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accepted = o.Accepted
}

// setRefresh takes over how asking the repositories goes.
func (m *Manager) setRefresh(st refreshState, now time.Time) {
	if st.Holder != "" && !now.Before(st.Until) {
		st.Holder, st.Download = "", nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refreshed = st
}

// setLacking says why the files of the generation in force are not here.
func (m *Manager) setLacking(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lacking = why
}

// obtained forgets what was wrong with the files of the generation in force.
func (m *Manager) obtained() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lacking, m.damaged = "", ""
}
