package standing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/digestgate/digestgate/gate"
)

// Question makes the question about a stored digest at a location. The large values
// are read only when the evaluator does not have them.
//
// Where the stored findings are of an older generation than the one that this process
// has loaded, or of another matcher, or cannot be read, the stored inventory is matched
// in process and the answer is from that: new advisories decide at once, before the
// sweep has reached the image, and a record that was put back decides nothing that the
// present data would not (docs/adr/0008). Findings that stand in our generation although
// they are of an older one are those of ours (see [Lifts]). Findings of a newer generation than ours
// stay: a replica that lags must not replace them. matched, unless nil, is called with
// the outcome of each match.
func (s *Standing) Question(r gate.Reader, e gate.Entry, loc gate.Location, event gate.Event, matched func(error)) gate.Question {
	q := gate.Question{
		Event: event, Now: s.Now(), Digest: e.Record.Digest, Location: loc, Record: e.Record, State: e.State(),
	}
	if reg, ok := s.Registries.ByName(loc.Registry); ok {
		q.Host = reg.Host
	}
	if event == gate.EventAdmission {
		s.Asked.Note(e.Record.Digest, q.Now)
	}
	g, loaded := s.Matcher.Generation()
	q.Advisories = g
	rec := e.Record
	may := loaded && rec.Generation <= g.Number
	lifted := may && s.lifted(&rec, g)
	if lifted { // what came out of a match then comes out of one now
		q.Record.Generation, q.Record.Advisories = g.Number, g.Content
	}
	outdated := may && !lifted && rec.FindingsID != "" && !s.matched(rec, g)
	if outdated {
		// Caches must not take the answer for that of the stored findings.
		q.Record.FindingsID = fmt.Sprintf("%s, matched again with %s by %s", rec.FindingsID, g.Content, s.Matcher.Version())
		q.Record.FindingsOf, q.Record.Generation, q.Record.Advisories, q.Record.Matcher = rec.InventoryID, g.Number, g.Content, s.Matcher.Version()
	}
	if !outdated {
		q.LoadFindings = func(ctx context.Context) (*gate.Findings, error) { return r.Findings(ctx, rec.Digest) }
	}
	q.Load = func(ctx context.Context) (*gate.Inventory, *gate.Findings, error) {
		inv, err := r.Inventory(ctx, rec.Digest)
		if err != nil {
			return nil, nil, err
		}
		f, err := r.Findings(ctx, rec.Digest)
		if err != nil && !errors.Is(err, gate.ErrNotFound) {
			return nil, nil, err
		}
		lost := err != nil
		if lost {
			f = nil
		}
		if !outdated && !(lost && may) {
			return inv, f, nil
		}
		f, err = s.rematch(ctx, inv, f, rec.InventoryID)
		if matched != nil {
			matched(err)
		}
		return inv, f, err
	}
	return q
}

// rematch matches an inventory without storing anything; older, which may be
// nil, knows when findings were first seen.
func (s *Standing) rematch(ctx context.Context, inv *gate.Inventory, older *gate.Findings, id string) (*gate.Findings, error) {
	done, err := s.matching.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	f, err := s.Matcher.Match(ctx, inv)
	if err != nil {
		return nil, err
	}
	f.InventoryID = id
	f.CarryFirstSeen(older, s.Now())
	return f, nil
}

// matchSlots bounds how many matches run for questions at a time, one for each
// processor: after an update of the advisories every image that starts needs
// one, of 15 to 35 ms. The zero value is usable.
type matchSlots struct {
	once  sync.Once
	slots chan struct{}
}

func (s *matchSlots) take(ctx context.Context) (done func(), err error) {
	s.once.Do(func() { s.slots = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to match: %w", errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	}
}
