package advisory

import (
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
