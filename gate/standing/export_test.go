package standing

import (
	"context"

	"github.com/digestgate/digestgate/gate/agree"
)

// Load loads the lift of the generation that is in use.
func (l *Lifts) Load(ctx context.Context, store agree.Settings, m Matcher) error {
	return l.load(ctx, store, m)
}
