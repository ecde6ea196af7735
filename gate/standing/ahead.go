package standing

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Loader takes advisory data into use; scanner/match implements it.
type Loader interface {
	// Load takes the generation in dir into use. After an error the former one stays.
	Load(ctx context.Context, dir string, g gate.Generation) error
}

// Ahead is a Loader that first waits until it is known what is different in a generation:
// without that, every image that is asked for would have to be matched at once, and
// reviews would be refused. The data before stays in use meanwhile, as it does while a
// process has not looked for new data yet. It is safe for concurrent use, like its Loader.
type Ahead struct {
	Loader   Loader
	Standing *Standing
	// Active is the generation in force. Errors, those of the store, end the wait.
	Active func(ctx context.Context) (now, former gate.Generation, err error)
	// Lift makes the lift of a generation, or waits for who does. Errors end the wait.
	Lift func(ctx context.Context, g gate.Generation) error
}

// aheadMost is how long a generation waits: as often as processes look for new data
// (scanner/advisory), so that they differ no more than before.
const aheadMost = 15 * time.Second

// Load implements Loader.
func (a *Ahead) Load(ctx context.Context, dir string, g gate.Generation) error {
	s := a.Standing
	if now, ok := s.Matcher.Generation(); ok && liftedTo(now) != liftedTo(g) && s.SweepGrace > 0 {
		waiting, stop := context.WithTimeout(ctx, min(aheadMost, s.SweepGrace))
		if active, _, err := a.Active(waiting); err == nil && liftedTo(active) == liftedTo(g) {
			a.lift(waiting, g)
		}
		stop()
		s.newer.begin(now.Content, g)
	}
	return a.Loader.Load(ctx, dir, g)
}

// lift waits for a lift until ctx ends, also where that is to be made behind another one:
// which is waited for with no end, because another process may be at it.
func (a *Ahead) lift(ctx context.Context, g gate.Generation) {
	made, lift := make(chan struct{}), a.Lift
	go func() { // which may begin after this call has ended
		defer close(made)
		_ = lift(ctx, g) // who sweeps says why there is none
	}()
	select {
	case <-made:
	case <-ctx.Done():
	}
}

// Await loads the lift of a generation as soon as another process has made it. Errors:
// gate.ErrTimeout when ctx ends before.
func (l *Lifts) Await(ctx context.Context, store agree.Settings, g gate.Generation, matcher string) error {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		_ = l.loadOf(ctx, store, g, matcher) // one that is being written, or a store that does not answer
		if l.of(g, matcher) != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return gate.ErrTimeout
		case <-tick.C:
		}
	}
}

// awaitEvery is how often it is looked for a lift that is waited for: one small value.
const awaitEvery = 500 * time.Millisecond
