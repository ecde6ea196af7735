package standing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// evaluateEvery is how often standing verdicts are evaluated again, for the
	// policies that depend on the time (DESIGN.md §2).
	evaluateEvery = 5 * time.Minute
	// evaluateSlack is how much sooner than that a process may sweep again for
	// all: its ticker and the store's clock are not the same.
	evaluateSlack = 10 * time.Second
)

// Advisories says when other advisory data is in force; scanner/advisory implements
// it.
type Advisories interface {
	// Changed is closed when other data is loaded here.
	Changed() <-chan struct{}
	// Refresh looks for new data now and reports whether it was loaded.
	Refresh(ctx context.Context) (changed bool, err error)
}

// Policies says which policies are in force; policy implements it.
type Policies interface {
	// Revision identifies the policies in force here, and the options that decide with
	// them.
	Revision() string
	// Follow takes over what another process has put in force. Errors:
	// ErrStoreUnavailable, and those of policies that cannot be used here.
	Follow(ctx context.Context) error
}

// Current sweeps whenever stored answers may not be current any more. All fields but
// Lift, FullEvery and Metrics are needed.
type Current struct {
	Sweeper    *Sweeper
	Advisories Advisories
	Policies   Policies
	// Store is where processes agree on who sweeps; Shared says that there may be
	// others on it.
	Store  agree.TimedSettings
	Shared bool
	// Ready brings what a sweep lists up to date with the store. After an error the sweep
	// waits: it would miss images.
	Ready func(ctx context.Context) error
	// Lift finds out which findings stand in new advisory data, so that a sweep leaves
	// them alone; nil does not. After an error the sweep matches every image.
	Lift func(ctx context.Context) error
	// FullEvery is how often images are matched that new data has left alone; 0 is never.
	FullEvery time.Duration
	Metrics   *Metrics // nil counts nothing
	Log       *slog.Logger
}

// Run sweeps when the advisories or the policies changed, and now and then for
// what depends on the time, until ctx ends. The first sweep waits for a list of all
// images.
func (c *Current) Run(ctx context.Context) {
	if !c.ready(ctx) {
		return
	}
	repeat(ctx, c.Advisories.Changed, c.revision, evaluateEvery, c.rematch)
}

// revision names the policies and what is joined to findings.
func (c *Current) revision() string {
	r := c.Policies.Revision()
	if j := c.Sweeper.standing.Joined; j != nil {
		r += " " + j.Revision()
	}
	return r
}

// repeat runs work now, and again after each change, each new revision and
// each interval, until ctx ends.
func repeat(ctx context.Context, changes func() <-chan struct{}, revision func() string, every time.Duration, work func(context.Context)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	compare := time.NewTicker(time.Second) // two strings
	defer compare.Stop()
	for {
		// Read before the work, which may not see what changes meanwhile.
		changed, done := changes(), revision()
		work(ctx)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				waiting = false
			case <-ticker.C:
				waiting = false
			case <-compare.C:
				waiting = revision() == done
			}
		}
	}
}

// readyWait is how long the first sweep waits after a list that could not be built; it
// doubles with each time, up to readyMost.
const (
	readyWait = time.Second
	readyMost = time.Minute
)

// ready waits until the list of images is complete as of its call; false when ctx ends
// before. Until then stored verdicts stand, and admission matches by itself.
func (c *Current) ready(ctx context.Context) bool {
	for wait := readyWait; ; wait = min(2*wait, readyMost) {
		err := c.Ready(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		c.Log.Error("the list of stored images is not complete, the sweep waits for it", "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

func (c *Current) lift(ctx context.Context) {
	if c.Lift == nil {
		return
	}
	if err := c.Lift(ctx); err != nil && ctx.Err() == nil {
		c.Log.Warn("every stored image is matched again, comparing the advisory data with the former failed", "error", err)
	}
}

func (c *Current) rematch(ctx context.Context) {
	// What was put in force elsewhere a moment ago would have to be swept for
	// twice. If the store does not say, the sweep cannot continue either.
	_ = c.Policies.Follow(ctx)
	started := time.Now()
	var swept Swept
	sweep := func(ctx context.Context) (err error) {
		c.lift(ctx)
		swept, err = c.Sweeper.Rematch(ctx)
		return err
	}
	here, err := true, error(nil)
	if c.Shared {
		here, err = agree.NewTurn(c.Store, "sweep").Do(ctx, c.sweepsFor(), evaluateEvery-evaluateSlack, sweep)
	} else {
		err = sweep(ctx)
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, gate.ErrAdvisoriesUnavailable):
	case err != nil:
		c.Log.Error("matching stored images again", "error", err)
	case swept.Matched > 0 || swept.Failed > 0 || swept.Charged > 0:
		c.Log.Info("stored images matched again", "images", swept.Seen, "matched", swept.Matched, "failed", swept.Failed,
			"charged", swept.Charged, "duration", time.Since(started).Round(time.Millisecond))
	}
	if err == nil && here {
		c.Log.Debug("stored images looked at", "images", swept.Seen, "skipped", swept.Skipped, "evaluated", swept.Evaluated,
			"matched", swept.Matched, "duration", time.Since(started).Round(time.Millisecond))
	}
	// What is new has its verdicts by now; nobody waits for this one.
	if err == nil && here {
		c.fullSweep(ctx)
	}
}

// sweepsFor is what a sweep here would bring the stored answers to; one of all
// processes that would do the same is enough.
func (c *Current) sweepsFor() string {
	m := c.Sweeper.standing.Matcher
	g, _ := m.Generation()
	return fmt.Sprintf("%d %s %s %s", g.Number, g.Content, m.Version(), c.revision())
}
