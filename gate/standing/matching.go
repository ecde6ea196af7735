package standing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// matching bounds what questions match: as much at a time as a sweep (see computing), in
// a pool of its own, so that neither waits for the other; a sweep lets what a review waits
// for go first (see calm). After an update of the advisories every image that starts may
// need a match. The zero value is usable.
type matching struct {
	once           sync.Once
	slots, keepers chan struct{}

	mu     sync.Mutex
	images map[gate.Digest]int // that wait for a match or are matched
	wait   int
	calmed chan struct{} // closed when nothing waits any more
	// reviewed are the images for whose match reviews wait, with their number, and turned
	// is when the last review was turned away.
	reviewed map[gate.Digest]int
	turned   time.Time
	kept     sync.WaitGroup // what is written back
	keeps    int
}

const (
	// matchWaiting is how many matches may wait; more could not be made in the time of a
	// review.
	matchWaiting = 2000
	// matchCrowd is how many may wait for a match while former findings may decide instead:
	// a Pod or a few that start on a machine that has time for them, 0.1 to 0.3 s of
	// matches. What starts a hundred Pods a second would wait for minutes in all.
	matchCrowd = 32
	// crowdedFor is how long after the last that was turned away only as many are let in
	// as can be matched at once: else the same number would wait again as soon as the
	// former ones are served.
	crowdedFor = 2 * time.Second
	// keepWaiting is how many findings may wait to be written back. What is not is the
	// work of the sweep.
	keepWaiting = 64
	// keepTime ends a store that does not answer.
	keepTime = 30 * time.Second
	// calmMost is how long a sweep lets reviews go first before each image, so that it
	// comes to an end.
	calmMost = 100 * time.Millisecond
)

func (m *matching) begin() {
	m.once.Do(func() { m.slots, m.keepers = make(chan struct{}, computing()), make(chan struct{}, computing()) })
}

// crowded reports whether the matches of so many images are waited for that a review of
// another which can do without should.
func (m *matching) crowded(d gate.Digest, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.full(d, now)
}

// full is crowded with mu held. Each that is turned away is noted.
func (m *matching) full(d gate.Digest, now time.Time) bool {
	n := len(m.reviewed)
	if m.reviewed[d] > 0 || n < computing() || n < matchCrowd && now.Sub(m.turned) >= crowdedFor {
		return false
	}
	m.turned = now
	return true
}

// enter lets a review wait for a match; unless must, not when too many are waited for.
func (m *matching) enter(d gate.Digest, now time.Time, must bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !must && m.full(d, now) {
		return false
	}
	if m.reviewed == nil {
		m.reviewed = map[gate.Digest]int{}
	}
	m.reviewed[d]++
	return true
}

func (m *matching) leave(d gate.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reviewed[d]--; m.reviewed[d] == 0 {
		delete(m.reviewed, d)
	}
}

// calm waits while questions wait for a match, at most calmMost.
func (m *matching) calm(ctx context.Context) {
	m.mu.Lock()
	calmed := m.calmed
	m.mu.Unlock()
	if calmed == nil {
		return
	}
	timer := time.NewTimer(calmMost)
	defer timer.Stop()
	select {
	case <-calmed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take waits for a place to match an image in. Errors: ErrPending when too many wait;
// ErrTimeout when ctx ends.
func (m *matching) take(ctx context.Context, d gate.Digest) (done func(), err error) {
	m.begin()
	m.mu.Lock()
	if m.wait >= matchWaiting {
		m.mu.Unlock()
		return nil, fmt.Errorf("%d images wait to be matched: %w", matchWaiting, errUnmatched)
	}
	if m.wait++; m.calmed == nil {
		m.calmed = make(chan struct{})
	}
	if m.images == nil {
		m.images = map[gate.Digest]int{}
	}
	m.images[d]++
	m.mu.Unlock()
	over := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.wait--; m.wait == 0 {
			close(m.calmed)
			m.calmed = nil
		}
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

// aside calls work beside the answer, a few at a time and behind what reviews wait for;
// false when too much is under way.
func (m *matching) aside(work func(context.Context)) bool {
	m.begin()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keeps >= keepWaiting {
		return false
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
		m.calm(ctx)
		m.keepers <- struct{}{}
		defer func() { <-m.keepers }()
		work(context.WithValue(ctx, placeKey{}, m.keepers))
	})
	return true
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
	f, _, err := s.findings(ctx, inv, e.Record.InventoryID, nil)
	if err != nil {
		return nil, nil, err
	}
	f.CarryFirstSeen(older, s.Now())
	s.noteNewer(f)
	if keep && !e.Copied && !s.matching.aside(func(ctx context.Context) { s.keep(ctx, gate.Known{Entry: e, Inventory: inv, Findings: older}, f) }) {
		s.front.add(d)
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
