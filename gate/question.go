package gate

import (
	"context"
	"errors"
	"time"
)

// newQuestion asks about a stored digest at a location. The large values are
// read only when the evaluator does not have them.
func newQuestion(r Reader, regs *Registries, m Matcher, e Entry, loc Location, event Event, now func() time.Time) Question {
	q := Question{
		Event: event, Now: now(), Digest: e.Record.Digest, Location: loc, Record: e.Record, State: e.State(),
	}
	if reg, ok := regs.ByName(loc.Registry); ok {
		q.Host = reg.Host
	}
	q.Advisories, _ = m.Generation()
	q.Load = func(ctx context.Context) (*Inventory, *Findings, error) {
		inv, err := r.Inventory(ctx, e.Record.Digest)
		if err != nil {
			return nil, nil, err
		}
		f, err := r.Findings(ctx, e.Record.Digest)
		if errors.Is(err, ErrNotFound) {
			return inv, nil, nil
		}
		return inv, f, err
	}
	return q
}
