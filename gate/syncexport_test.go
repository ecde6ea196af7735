package gate

import (
	"context"
	"time"
)

// Step does what is due for one registry, for tests that hold the clock. It
// writes its progress after each repository.
func (s *Syncer) Step(ctx context.Context, r Registry) (time.Duration, error) {
	s.saveEvery = 0
	return s.step(ctx, r)
}
