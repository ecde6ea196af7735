package standing

import (
	"context"
	"fmt"

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
// they are of an older one are those of ours (see [Lifts]). Findings of a newer
// generation than ours stay: a replica that lags must not replace them. matched, unless
// nil, is called with the outcome of each match. What an admission has matched is stored
// aside; one that has no time to match has [gate.Question.Former], see
// [Standing.Evaluate].
func (s *Standing) Question(r gate.Reader, e gate.Entry, loc gate.Location, event gate.Event, matched func(error)) gate.Question {
	q, may, outdated := s.ask(&e, loc, event)
	admission, rec := event == gate.EventAdmission, e.Record
	rematch := func(ctx context.Context) (*gate.Inventory, *gate.Findings, error) {
		inv, f, err := s.rematch(ctx, r, e, admission)
		if matched != nil {
			matched(err)
		}
		return inv, f, err
	}
	loadFindings := func(ctx context.Context) (*gate.Findings, error) { return r.Findings(ctx, rec.Digest) }
	load := func(ctx context.Context) (*gate.Inventory, *gate.Findings, error) {
		inv, f, err := stored(ctx, r, rec.Digest)
		if err == nil && f == nil && may {
			return rematch(ctx)
		}
		return inv, f, err
	}
	if !outdated {
		q.LoadFindings, q.Load = loadFindings, load
		return q
	}
	q.Load = rematch
	if admission {
		q.Former = &gate.Former{Record: rec, LoadFindings: loadFindings, Load: func(ctx context.Context) (*gate.Inventory, *gate.Findings, error) {
			return stored(ctx, r, rec.Digest)
		}}
	}
	return q
}

// Ask makes the question of an admission that Question makes, for [Standing.Known]:
// without what reads for it.
func (s *Standing) Ask(e *gate.Entry, loc gate.Location) gate.Question {
	q, _, _ := s.ask(e, loc, gate.EventAdmission)
	return q
}

// ask makes a question as far as nothing is read for it. may says that the present data
// may decide: the findings are not of newer data; outdated that it has to, in a match.
func (s *Standing) ask(e *gate.Entry, loc gate.Location, event gate.Event) (q gate.Question, may, outdated bool) {
	rec := &e.Record
	q = gate.Question{
		Event: event, Now: s.Now(), Digest: rec.Digest, Location: loc, Record: *rec, State: e.State(),
	}
	if reg, ok := s.Registries.ByName(loc.Registry); ok {
		q.Host = reg.Host
	}
	g, loaded := s.Matcher.Generation()
	q.Advisories = g
	if event == gate.EventAdmission {
		s.Asked.Note(rec.Digest, q.Now)
		if loaded && rec.Advisories == g.Content && q.Now.Sub(g.ActivatedAt) < s.SweepGrace && rec.Generation == g.Number {
			s.newer.note(g, rec.Digest)
		}
	}
	may = loaded && rec.Generation <= g.Number
	lifted := may && s.lifted(rec, g)
	if lifted { // what came out of a match then comes out of one now
		q.Record.Generation, q.Record.Advisories = g.Number, g.Content
	}
	if outdated = may && !lifted && rec.FindingsID != "" && !s.matched(*rec, g); outdated {
		// Caches must not take the answer for that of the stored findings.
		q.Record.FindingsID = fmt.Sprintf("%s, matched again with %s by %s", rec.FindingsID, g.Content, s.Matcher.Version())
		q.Record.FindingsOf, q.Record.Generation, q.Record.Advisories, q.Record.Matcher = rec.InventoryID, g.Number, g.Content, s.Matcher.Version()
	}
	return q, may, outdated
}
