package standing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Holdings say what stored images hold; gate/catalog implements it.
type Holdings interface {
	// CatchUp brings them up to date with the store. After an error, or when ctx ends,
	// what is missing counts as touched.
	CatchUp(ctx context.Context) error
	// Sequence is how far the change feed is followed. An error ends the work; what
	// would have been lifted is matched.
	Sequence(ctx context.Context) (int64, error)
	// Untouched calls fn for each image whose present findings are known. An error ends
	// the work, as for Sequence.
	Untouched(ctx context.Context, touched gate.Touched, fn func(gate.Holding) error) error
}

// Lifter makes the lift of each new generation. All fields are needed; use it by
// pointer. Its methods are safe for concurrent use.
type Lifter struct {
	Lifts    *Lifts
	Matcher  Matcher
	Holdings Holdings
	// Active is the generation in force and, as far as the store remembers, the one
	// before it, zero for none. Errors: those of the store.
	Active func(ctx context.Context) (now, former gate.Generation, err error)
	// Touched compares two contents. gate.ErrNotFound: one of them is not here any more,
	// so that everything is matched.
	Touched func(ctx context.Context, former, now gate.Digest) (gate.Touched, error)
	// Store is where lifts are kept; Shared says that there may be other processes on it.
	Store  agree.TimedSettings
	Shared bool
	Now    func() time.Time
	Log    *slog.Logger

	mu   sync.Mutex // one at a time; guards said
	said liftGeneration
}

// holdingsWait is how long a lift waits for what images hold. After a catalog was built
// again it would be minutes: then those that are not known are matched, which reads the
// same values.
const holdingsWait = 20 * time.Second

// Lift makes the lift of the generation in use here, unless there is one; in a shared
// store one process does, and the others wait for it. Without a lift every image is
// matched. Errors: those of the store and of the comparison.
func (l *Lifter) Lift(ctx context.Context) error {
	g, ok := l.Matcher.Generation()
	if !ok {
		return nil
	}
	return l.LiftTo(ctx, g)
}

// LiftTo is Lift for a generation that is in force and need not be in use here yet.
// Errors: as for Lift.
func (l *Lifter) LiftTo(ctx context.Context, g gate.Generation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	version := l.Matcher.Version()
	if err := l.Lifts.loadOf(ctx, l.Store, g, version); err != nil && !errors.Is(err, gate.ErrConflict) {
		return err
	}
	if l.Lifts.of(g, version) != nil {
		return nil
	}
	make := func(ctx context.Context) error { return l.make(ctx, g) }
	if !l.Shared {
		return l.done(g, make(ctx))
	}
	about := fmt.Sprintf("%d %s %s", g.Number, g.Content, version)
	// What was done and is not to be found is done again.
	here, err := agree.NewTurn(l.Store, "lift").Do(ctx, about, liftEvery, make)
	if err == nil && !here {
		err = l.Lifts.loadOf(ctx, l.Store, g, version)
	}
	return l.done(g, err)
}

// Run makes the lift of each new generation as soon as it is in use here, also while a
// sweep runs, until ctx ends. changed is closed when other data is loaded.
func (l *Lifter) Run(ctx context.Context, changed func() <-chan struct{}) {
	for ctx.Err() == nil {
		next := changed() // before the work, which may not see what changes meanwhile
		if err := l.Lift(ctx); err != nil && ctx.Err() == nil {
			l.Log.Warn("every stored image is matched again, comparing the advisory data with the former failed", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-next:
		}
	}
}

// done says why there is no lift. That the data to compare with is gone is no failure:
// a process that has just started, or the first data.
func (l *Lifter) done(g gate.Generation, err error) error {
	if errors.Is(err, gate.ErrNotFound) {
		if l.said == liftedTo(g) {
			return nil
		}
		l.said = liftedTo(g)
		l.Log.Info("every stored image is matched again, there is nothing to compare the advisory data with", "reason", err)
		return nil
	}
	return err
}

func (l *Lifter) make(ctx context.Context, g gate.Generation) error {
	started := time.Now()
	active, former, err := l.Active(ctx)
	if err != nil {
		return err
	}
	if liftedTo(active) != liftedTo(g) {
		return fmt.Errorf("this process has generation %d, but generation %d is in force: %w", g.Number, active.Number, gate.ErrNotFound)
	}
	last, err := readLift(ctx, l.Store)
	if err != nil {
		return err
	}
	base, stand, err := l.base(ctx, last, former)
	if err != nil {
		return err
	}
	stand = l.Lifts.same.with(stand, base, l.Matcher.Version())
	touched, err := l.Touched(ctx, base.Content, g.Content)
	if err != nil {
		return err
	}
	if touched.Release != nil {
		defer touched.Release()
	}
	wait, cancel := context.WithTimeout(ctx, holdingsWait)
	err = l.Holdings.CatchUp(wait)
	cancel()
	if err != nil && ctx.Err() != nil {
		return err
	}
	// Whatever is written from here on is not in the lift: its findings have another id.
	seq, err := l.Holdings.Sequence(ctx)
	if err != nil {
		return err
	}
	images := 0
	var lifted, replaced []findingsKey
	err = l.Holdings.Untouched(ctx, touched, func(h gate.Holding) error {
		images++
		key := keyFrom(h.Findings[:])
		own := h.Generation == base.Number && h.Advisories == base.Content
		switch {
		case !own && !stand.has(key): // not those of the base
		case h.Touched:
			replaced = append(replaced, key)
		default:
			lifted = append(lifted, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	made, err := writeLift(ctx, l.Store, liftHeader{Base: base, Now: liftedTo(g), Matcher: l.Matcher.Version(), Sequence: seq, MadeAt: l.Now().UTC()},
		sortFindings(lifted), sortFindings(replaced))
	if err != nil {
		return err
	}
	l.Lifts.add(made)
	l.Log.Info("advisory data compared with the former", "generation", g.Number, "former", base.Number, "images", images,
		"unchanged", made.Findings, "packages", len(touched.Packages), "vulnerabilities", len(touched.Vulnerabilities), "duration", time.Since(started).Round(time.Millisecond))
	return nil
}

// base is the generation to compare with: the one before, with the findings that stand
// in it by the last lift, if that leads to it. Every step from the generation of
// findings to the present one is then known.
func (l *Lifter) base(ctx context.Context, last liftHeader, former gate.Generation) (base liftGeneration, stand findingsSet, err error) {
	base = liftedTo(former)
	if base.Content == "" {
		return base, nil, fmt.Errorf("there is no earlier generation: %w", gate.ErrNotFound)
	}
	if last.Now != base || last.Matcher != l.Matcher.Version() {
		return base, nil, nil
	}
	stand, err = readParts(ctx, l.Store, last, last.Parts, 0)
	if errors.Is(err, gate.ErrConflict) {
		return base, nil, nil // they are matched
	}
	return base, stand, err
}
