package standing

import (
	"sync"

	"github.com/digestgate/digestgate/gate"
)

// same are findings that a match with a generation has given again, with nothing but the
// generation's number changed. They are not written: they stand in the generation as
// those do that a lift names, by their id, so that findings that come later or that were
// put back are not among them. It is kept in memory. The lift of the next generation
// takes it over; after a restart before that they are matched again, and the same comes
// out. The zero value holds none. Safe for concurrent use.
type same struct {
	mu sync.RWMutex
	// last are those of the newest generation and of the one before, from which the next
	// lift begins.
	last [2]sameIn
}

type sameIn struct {
	of       liftGeneration
	matcher  string
	findings map[findingsKey]struct{}
}

// sameMost bounds them to 20 MB for each generation; others are written.
const sameMost = 200_000

// note remembers that findings stand in a generation, and reports whether it does.
func (s *same) note(key findingsKey, g gate.Generation, matcher string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := &s.last[0]
	if now.of != liftedTo(g) || now.matcher != matcher {
		if now.of.Number > g.Number {
			return false
		}
		s.last[1] = *now
		*now = sameIn{liftedTo(g), matcher, map[findingsKey]struct{}{}}
	}
	if len(now.findings) >= sameMost {
		return false
	}
	now.findings[key] = struct{}{}
	return true
}

// in are those of a generation, nil for none; mu is held.
func (s *same) in(g liftGeneration, matcher string) map[findingsKey]struct{} {
	for i := range s.last {
		if s.last[i].of == g && s.last[i].matcher == matcher {
			return s.last[i].findings
		}
	}
	return nil
}

func (s *same) has(key findingsKey, g gate.Generation, matcher string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, there := s.in(liftedTo(g), matcher)[key]
	return there
}

// with adds those of a generation to findings that stand in it.
func (s *same) with(stand findingsSet, g liftGeneration, matcher string) findingsSet {
	s.mu.RLock()
	defer s.mu.RUnlock()
	more := s.in(g, matcher)
	if len(more) == 0 {
		return stand
	}
	list := append(make([]findingsKey, 0, len(stand)+len(more)), stand...)
	for key := range more {
		list = append(list, key)
	}
	return sortFindings(list)
}

// drop forgets findings.
func (s *same) drop(key findingsKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.last {
		delete(s.last[i].findings, key)
	}
}

// gaveAgain reports whether f, just matched, is what the record names but for the
// generation and the time, and makes these findings stand in the generation of f. It says
// so only where the difference of the two generations is known: otherwise nothing would
// be left of a long match after a restart. The record's summary is compared, so that the
// stored findings are not read.
func (s *Standing) gaveAgain(rec *gate.Record, f *gate.Findings) bool {
	if s.Lifts == nil || rec.FindingsOf != rec.InventoryID || f.InventoryID != rec.InventoryID || rec.Matcher != f.Matcher || rec.Generation >= f.Generation || !rec.FindingsSummarized() {
		return false
	}
	g, ok := s.Matcher.Generation()
	if !ok || g.Number != f.Generation || g.Content != f.Advisories {
		return false
	}
	if _, _, known := s.Lifts.Difference(g, f.Matcher); !known || !rec.Summary.Findings.Same(f) {
		return false
	}
	key, ok := findingsKeyOf(rec.FindingsID)
	return ok && s.Lifts.same.note(key, g, f.Matcher)
}
