package standing

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// tries bounds how often a renewal repeats itself because the record or the
// generation moved under it; each is rare, three in a row is not a race.
const tries = 3

// Match matches the inventory of a digest against the active generation, stores the
// findings and renews the standing verdicts. It pulls nothing and charges nothing.
// What is known is taken for what is stored until a write says otherwise: then it is
// read again. If the generation moves meanwhile it matches again.
//
// Errors: ErrNotFound without an inventory, ErrAdvisoriesUnavailable, ErrBusy when
// others keep changing the digest, those of the store.
func (s *Standing) Match(ctx context.Context, k gate.Known, o gate.Occasion) error {
	_, err := s.matchAll(ctx, k, o, nil)
	return err
}

// matchAll is Match; fresh, unless nil, is what a match has given already. It is shared
// and not changed.
func (s *Standing) matchAll(ctx context.Context, k gate.Known, o gate.Occasion, fresh *gate.Findings) (renewed renewal, err error) {
	err = s.repeat(ctx, k, "matching", func(k *gate.Known) (done bool, err error) {
		c := s.change(k, o)
		defer func() { s.tell(ctx, *c) }()
		if !s.current(k.Record) && !s.overtaken(k.Record) {
			if err := s.match(ctx, k, c, fresh); err != nil {
				return false, err
			}
			if !s.current(k.Record) && !s.overtaken(k.Record) {
				return false, nil // the generation has moved
			}
		}
		renewed, err = s.evaluate(ctx, k, o, c)
		return true, err
	})
	return renewed, err
}

// repeat calls pass until it is done. After a conflict, another has written what
// k does not show, and k is read again.
func (s *Standing) repeat(ctx context.Context, k gate.Known, doing string, pass func(*gate.Known) (done bool, err error)) error {
	d := k.Record.Digest
	for range tries {
		done, err := pass(&k)
		switch {
		case errors.Is(err, gate.ErrConflict):
			if err := s.again(ctx, &k); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("%s %s: %w", doing, d, err)
		case done:
			return nil
		}
	}
	return fmt.Errorf("%s %s: inventory and advisories keep changing: %w", doing, d, gate.ErrBusy)
}

// again reads the record again. Large values that it still names stay in hand.
func (s *Standing) again(ctx context.Context, k *gate.Known) error {
	entry, err := gate.ReadEntry(ctx, s.Records, k.Record.Digest)
	if err != nil {
		return err
	}
	if entry.Record.InventoryID != k.Record.InventoryID {
		k.Inventory = nil
	}
	if entry.Record.FindingsID != k.Record.FindingsID {
		k.Findings = nil
	}
	digest := k.Record.Digest
	k.Entry = entry
	k.Record.Digest = digest // of a record that was lost
	return nil
}

// overtaken reports whether the findings of a record are of a later generation
// than the one loaded here: another replica has newer data, or the data was
// rolled back there. Those findings stand; this process does not overwrite them.
func (s *Standing) overtaken(rec gate.Record) bool {
	g, ok := s.Matcher.Generation()
	return ok && rec.FindingsID != "" && rec.FindingsOf == rec.InventoryID && rec.Generation > g.Number
}

// outdated reports whether the findings of a record have to be computed again. Without
// advisory data here they stand.
func (s *Standing) outdated(rec gate.Record) bool {
	_, loaded := s.Matcher.Generation()
	return loaded && !s.current(rec) && !s.overtaken(rec)
}

// current reports whether the findings of a record are those of the active
// generation and the linked matcher, or stand in it.
func (s *Standing) current(rec gate.Record) bool {
	g, ok := s.Matcher.Generation()
	return ok && rec.FindingsID != "" && (rec.Generation == g.Number && s.matched(rec, g) || s.lifted(&rec, g))
}

// matched reports whether the findings of a record are what would come out now,
// whatever number the generation had. The content counts, not the number alone:
// a store that loses or is given back an older setting might issue one again.
func (s *Standing) matched(rec gate.Record, g gate.Generation) bool {
	return rec.FindingsOf == rec.InventoryID && rec.Advisories == g.Content && rec.Matcher == s.Matcher.Version()
}

// match stores new findings and makes k what is stored then. An inventory that is not
// the one that k names any more is refused by the write.
func (s *Standing) match(ctx context.Context, k *gate.Known, c *gate.StandingChange, fresh *gate.Findings) (err error) {
	rec, inv, older := k.Record, k.Inventory, k.Findings
	if inv == nil {
		if inv, err = s.Records.Inventory(ctx, rec.Digest); err != nil {
			return err
		}
	}
	f, ready, err := s.findings(ctx, inv, rec.InventoryID, fresh)
	if err != nil {
		return err
	}
	if s.gaveAgain(&rec, f) {
		s.noteNewer(f)
		k.Inventory = inv
		return nil
	}
	if older == nil && rec.FindingsID != "" {
		if older, err = s.Records.Findings(ctx, rec.Digest); err != nil && !errors.Is(err, gate.ErrNotFound) {
			return err
		}
		if err != nil {
			older = nil
		}
	}
	if !ready {
		f.CarryFirstSeen(older, s.Now())
	}
	if !rec.InventorySummarized() {
		f.Matched = inv.Summarize(rec.InventoryID)
	}
	fc := compare(rec, older, inv, f)
	if !fc.First && !fc.Lost && fc.Found.Total.Total() > 0 && s.seenBefore(ctx, rec.Digest, f, ready) {
		fc = compare(rec, older, inv, f)
	}
	if !fc.Same() {
		f.Change = &gate.StandingChange{Digest: rec.Digest, At: c.At, Event: c.Event, Generation: f.Generation, Findings: fc}
	}
	var written gate.Written
	writing(ctx, func() { written, err = s.Records.PutFindings(ctx, f, rec.FindingsID) })
	f.Change = nil // it is written, and the findings are shared from here on
	if err != nil {
		return err
	}
	s.noteNewer(f)
	if s.Stored != nil && !written.Same {
		s.Stored(written.ID, f)
	}
	k.Record.TakeFindings(written.ID, f)
	k.Inventory, k.Findings = inv, f
	if c.Generation = f.Generation; !written.Same && !fc.Same() {
		fc.After.ID = written.ID
		c.Findings = fc
	}
	if !written.Follows(rec.Version) {
		return s.again(ctx, k) // a location may have come since
	}
	k.Record.Version = written.Version
	return nil
}

// findings matches an inventory with an id, unless fresh is what comes out, which is
// ready: it knows when findings were first seen.
func (s *Standing) findings(ctx context.Context, inv *gate.Inventory, id string, fresh *gate.Findings) (f *gate.Findings, ready bool, err error) {
	g, _ := s.Matcher.Generation()
	if fresh != nil && fresh.InventoryID == id && fresh.Generation == g.Number && fresh.Advisories == g.Content {
		f := *fresh
		return &f, true, nil
	}
	if f, err = s.Matcher.Match(ctx, inv); err != nil {
		return nil, false, err
	}
	f.InventoryID = id
	f.Hash()
	return f, false, nil
}

// Renew is Match for callers that can do nothing about missing advisories. The
// inventory is worth keeping: it is matched as soon as a generation is active.
// Until then the verdicts are those of the former findings, or PENDING.
func (s *Standing) Renew(ctx context.Context, k gate.Known, o gate.Occasion) error {
	err := s.Match(ctx, k, o)
	if errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		s.Log.Warn("image cannot be matched yet", "digest", k.Record.Digest, "error", err)
		return s.RenewVerdicts(ctx, k, o)
	}
	return err
}

// RenewVerdicts evaluates the standing verdict of each location of a digest. Errors:
// as for Match.
func (s *Standing) RenewVerdicts(ctx context.Context, k gate.Known, o gate.Occasion) error {
	_, err := s.evaluateAll(ctx, k, o)
	return err
}

func (s *Standing) evaluateAll(ctx context.Context, k gate.Known, o gate.Occasion) (renewed renewal, err error) {
	err = s.repeat(ctx, k, "evaluating", func(k *gate.Known) (done bool, err error) {
		c := s.change(k, o)
		defer func() { s.tell(ctx, *c) }()
		renewed, err = s.evaluate(ctx, k, o, c)
		return true, err
	})
	return renewed, err
}

// evaluate renews the verdicts of all locations, and writes those that differ.
func (s *Standing) evaluate(ctx context.Context, k *gate.Known, o gate.Occasion, c *gate.StandingChange) (renewed renewal, err error) {
	if kind := k.Record.Manifest.Kind; kind != gate.KindImage && k.Record.Manifest.Unassessable == "" {
		return renewed, nil // an index is computed from its children when it is read
	}
	var verdicts []gate.Verdict
	for _, l := range k.Record.Locations {
		q := s.question(k, l.Location, o.Event)
		q.Tags = s.tags(ctx, k.Record.Digest, l.Location, o)
		v := gate.Verdict{Decision: s.Evaluator.Evaluate(ctx, q), Location: l.Location}
		renewed.note(v, q.Tags)
		verdicts = append(verdicts, v)
	}
	changed := slices.DeleteFunc(slices.Clone(verdicts), func(v gate.Verdict) bool {
		l, ok := k.Record.At(v.Location)
		return ok && l.Verdict.Same(v.Decision)
	})
	if len(changed) > 0 {
		var replaced []gate.Verdict
		basis := k.Record.Basis()
		basis.Event = o.Event
		writing(ctx, func() { replaced, err = s.Records.PutVerdicts(ctx, k.Record.Digest, basis, changed) })
		renewed.wrote = true
		c.Verdicts, c.MoreVerdicts = gate.VerdictChanges(replaced, changed)
		k.Record.Locations = withVerdicts(k.Record.Locations, changed)
	}
	renewed.record = k.Record
	return renewed, err
}

// withVerdicts are the locations with new verdicts.
func withVerdicts(list []gate.LocationState, fresh []gate.Verdict) []gate.LocationState {
	list = slices.Clone(list)
	for i := range list {
		for _, v := range fresh {
			if v.Location == list[i].Location {
				list[i].Verdict = v.Decision
			}
		}
	}
	return list
}

// tags are those that are known to name a digest at a location.
func (s *Standing) tags(ctx context.Context, d gate.Digest, loc gate.Location, o gate.Occasion) []string {
	var tags []string
	if s.Tags != nil {
		tags = s.Tags(ctx, d, loc)
	}
	if loc == o.At {
		for _, t := range o.Tags {
			if !slices.Contains(tags, t) {
				tags = append(slices.Clone(tags), t)
			}
		}
		slices.Sort(tags)
	}
	return tags
}

// question asks about a digest at a location, without a request (see
// [Standing.For]), from what is in hand.
func (s *Standing) question(k *gate.Known, loc gate.Location, event gate.Event) gate.Question {
	q := s.Question(inHand{s.Records, k.Inventory, k.Findings}, k.Entry, loc, event, nil)
	if s.For != nil {
		q.Event, q.Request = gate.EventAdmission, s.For
	}
	return q
}

// inHand answers with the large values that need not be read.
type inHand struct {
	gate.Reader
	inventory *gate.Inventory
	findings  *gate.Findings
}

func (h inHand) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	if h.inventory != nil {
		return h.inventory, nil
	}
	return h.Reader.Inventory(ctx, d)
}

func (h inHand) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	if h.findings != nil {
		return h.findings, nil
	}
	return h.Reader.Findings(ctx, d)
}
