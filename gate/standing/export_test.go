package standing

import (
	"context"
	"time"
	"unique"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Load loads the lift of the generation that is in use.
func (l *Lifts) Load(ctx context.Context, store agree.Settings, m Matcher) error {
	return l.load(ctx, store, m)
}

// Former reports whether the findings of a record may decide a review.
func (s *Standing) Former(rec gate.Record, now time.Time) bool { return s.former(rec, now) }

// Begin is what Ahead says before a generation replaces a content.
func (s *Standing) Begin(base gate.Digest, g gate.Generation) { s.newer.begin(base, g) }

// Outdated reports whether the findings of a record are to be computed again.
func (s *Standing) Outdated(rec gate.Record) bool { return s.outdated(rec) }

// StandsAs says the opposite of it by what a sweep keeps of the record.
func (s *Standing) StandsAs(rec gate.Record) bool {
	o := originOf(&rec)
	g, loaded := s.Matcher.Generation()
	return s.stands(&o, g, loaded, unique.Make(s.Matcher.Version()))
}

// HoldAgain notes that findings have come out again.
func (l *Lifts) HoldAgain(id string, g gate.Generation, matcher string) {
	if key, ok := findingsKeyOf(id); ok {
		l.same.note(key, g, matcher)
	}
}
