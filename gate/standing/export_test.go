package standing

import (
	"context"

	"time"

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
