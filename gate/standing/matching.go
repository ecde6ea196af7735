package standing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// matching bounds what questions match: as many at a time as there are processors.
// After an update of the advisories every image that starts may need one. The zero
// value is usable.
type matching struct {
	once  sync.Once
	slots chan struct{}

	mu     sync.Mutex
	images map[gate.Digest]int // that wait for a match or are matched
	wait   int
	kept   sync.WaitGroup // what is written back
	keeps  int
}

const (
	// matchWaiting is how many matches may wait; more could not be made in the time of a
	// review.
	matchWaiting = 2000
	// keepWaiting is how many findings may wait to be written back. What is not is the
	// work of the sweep.
	keepWaiting = 64
	// keepTime ends a store that does not answer.
	keepTime = 30 * time.Second
)

// take waits for a place to match an image in. Errors: ErrPending when too many wait;
// ErrTimeout when ctx ends.
func (m *matching) take(ctx context.Context, d gate.Digest) (done func(), err error) {
	m.once.Do(func() { m.slots = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	m.mu.Lock()
	if m.wait >= matchWaiting {
		m.mu.Unlock()
		return nil, fmt.Errorf("%d images wait to be matched: %w", matchWaiting, errUnmatched)
	}
	m.wait++
	if m.images == nil {
		m.images = map[gate.Digest]int{}
	}
	m.images[d]++
	m.mu.Unlock()
	over := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.wait--
		if m.images[d]--; m.images[d] == 0 {
			delete(m.images, d)
		}
	}
	select {
	case m.slots <- struct{}{}:
		return func() { <-m.slots; over() }, nil
	case <-ctx.Done():
		over()
		return nil, fmt.Errorf("waiting to match: %w", errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	}
}

// pending reports whether an image waits for a match or is matched.
func (m *matching) pending(d gate.Digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.images[d] > 0
}

// aside calls work beside the answer, unless too much is under way.
func (m *matching) aside(work func(context.Context)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keeps >= keepWaiting {
		return
	}
	m.keeps++
	m.kept.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), keepTime)
		defer cancel()
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.keeps--
		}()
		work(ctx)
	})
}

// Settle waits for the findings that reviews have led to and that are being stored.
func (s *Standing) Settle() { s.matching.kept.Wait() }

// stored reads the large values that a record names.
func stored(ctx context.Context, r gate.Reader, d gate.Digest) (inv *gate.Inventory, f *gate.Findings, err error) {
	if inv, err = r.Inventory(ctx, d); err != nil {
		return nil, nil, err
	}
	f, err = r.Findings(ctx, d)
	if err != nil && !errors.Is(err, gate.ErrNotFound) {
		return nil, nil, err
	}
	if err != nil {
		f = nil // they are lost
	}
	return inv, f, nil
}

// rematch matches the stored inventory of a record, for a question. What comes out is
// stored aside, so that the next question about the image, here and elsewhere, has it:
// a store that does not take it delays no answer.
func (s *Standing) rematch(ctx context.Context, r gate.Reader, e gate.Entry, keep bool) (*gate.Inventory, *gate.Findings, error) {
	d := e.Record.Digest
	done, err := s.matching.take(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	inv, older, err := stored(ctx, r, d)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.findings(ctx, inv, older, e.Record.InventoryID, nil)
	if err != nil {
		return nil, nil, err
	}
	s.noteNewer(f)
	if keep && !e.Copied {
		s.matching.aside(func(ctx context.Context) { s.keep(ctx, gate.Known{Entry: e, Inventory: inv, Findings: older}, f) })
	}
	return inv, f, nil
}

// keep stores findings that a question has led to, and renews the standing verdicts.
func (s *Standing) keep(ctx context.Context, k gate.Known, f *gate.Findings) {
	_, err := s.matchAll(ctx, k, gate.Occasion{Event: gate.EventRescan}, f)
	if err != nil && !errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		s.Log.Debug("findings of a review are not stored, the next sweep matches the image", "digest", k.Record.Digest, "error", err)
	}
}
