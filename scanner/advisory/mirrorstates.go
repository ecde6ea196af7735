package advisory

import (
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Stated are [Mirrors] that tell how each repository is, in the order of the configuration.
type Stated interface {
	// States may be called at any time; it asks nobody.
	States() []gate.AdvisoryMirror
}

// maxMirrors bounds how many repositories the state tells of.
const maxMirrors = 20

// mirrors is how the repositories are now, with what was known of them before: a process
// that has not asked one yet knows nothing of it.
func (r *Refresher) mirrors(before []gate.AdvisoryMirror) []gate.AdvisoryMirror {
	stated, ok := r.Mirrors.(Stated)
	if !ok {
		return before
	}
	now := stated.States()
	now = slices.Clone(now[:min(len(now), maxMirrors)])
	for i := range now {
		m := &now[i]
		m.LastError = gate.Printable(m.LastError, 300)
		k := slices.IndexFunc(before, func(b gate.AdvisoryMirror) bool { return b.Repository == m.Repository })
		if k < 0 {
			continue
		}
		was := before[k]
		if m.AskedAt.IsZero() {
			*m = was
			continue
		}
		if m.WorkedAt.IsZero() {
			m.WorkedAt = was.WorkedAt
		}
		if m.FailedAt.IsZero() {
			m.FailedAt, m.LastError = was.FailedAt, was.LastError
		}
	}
	return now
}

// mirrorNotes say which repositories fail while another one works.
func mirrorNotes(list []gate.AdvisoryMirror) (notes []string) {
	for _, m := range list {
		if !m.Fails() {
			continue
		}
		rests := ""
		if !m.RestsUntil.IsZero() {
			rests = fmt.Sprintf("; it is not asked until %s", m.RestsUntil.UTC().Format(time.RFC3339))
		}
		notes = append(notes, fmt.Sprintf("the repository %s could not be used %d times in a row, last at %s: %s%s",
			m.Repository, m.Failures, m.FailedAt.UTC().Format(time.RFC3339), m.LastError, rests))
	}
	return notes
}
