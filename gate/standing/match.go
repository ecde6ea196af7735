package standing

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// matchTries bounds how often Match repeats itself because the inventory or the
// generation moved under it; each is rare, three in a row is not a race.
const matchTries = 3

// Match matches the stored inventory of a digest against the active generation,
// stores the findings and renews the standing verdicts. It pulls nothing and
// charges nothing. If the generation moves meanwhile it matches again.
//
// Errors: ErrNotFound without an inventory, ErrAdvisoriesUnavailable, those of
// the store.
func (s *Standing) Match(ctx context.Context, d gate.Digest, event gate.Event) error {
	for range matchTries {
		err := s.matchOnce(ctx, d)
		if errors.Is(err, gate.ErrConflict) {
			continue // another inventory or newer findings: look again
		}
		if err != nil {
			return fmt.Errorf("matching %s: %w", d, err)
		}
		entry, err := gate.ReadEntry(ctx, s.Records, d)
		if err != nil {
			return err
		}
		if s.current(entry.Record) || s.overtaken(entry.Record) {
			return s.RenewVerdicts(ctx, d, event)
		}
	}
	return fmt.Errorf("matching %s: inventory and advisories keep changing: %w", d, gate.ErrBusy)
}

// overtaken reports whether the findings of a record are of a later generation
// than the one loaded here: another replica has newer data, or the data was
// rolled back there. Those findings stand; this process does not overwrite them.
func (s *Standing) overtaken(rec gate.Record) bool {
	g, ok := s.Matcher.Generation()
	return ok && rec.FindingsID != "" && rec.FindingsOf == rec.InventoryID && rec.Generation > g.Number
}

// current reports whether the findings of a record are those of the active
// generation and the linked matcher.
func (s *Standing) current(rec gate.Record) bool {
	g, ok := s.Matcher.Generation()
	return ok && rec.FindingsID != "" && rec.Generation == g.Number && s.matched(rec, g)
}

// matched reports whether the findings of a record are what would come out now,
// whatever number the generation had. The content counts, not the number alone:
// a store that loses or is given back an older setting might issue one again.
func (s *Standing) matched(rec gate.Record, g gate.Generation) bool {
	return rec.FindingsOf == rec.InventoryID && rec.Advisories == g.Content && rec.Matcher == s.Matcher.Version()
}

func (s *Standing) matchOnce(ctx context.Context, d gate.Digest) error {
	// The record is read before the inventory: if a new inventory comes in
	// between, PutFindings sees that the ids differ.
	entry, err := gate.ReadEntry(ctx, s.Records, d)
	if err != nil {
		return err
	}
	if s.current(entry.Record) || s.overtaken(entry.Record) {
		return nil
	}
	inv, err := s.Records.Inventory(ctx, d)
	if err != nil {
		return err
	}
	f, err := s.Matcher.Match(ctx, inv)
	if err != nil {
		return err
	}
	older, err := s.Records.Findings(ctx, d)
	if err != nil && !errors.Is(err, gate.ErrNotFound) {
		return err
	}
	f.InventoryID = entry.Record.InventoryID
	f.CarryFirstSeen(older, s.Now())
	return s.Records.PutFindings(ctx, f)
}

// Refresh brings the findings and standing verdicts of a known image up to
// date with the least work.
func (s *Standing) Refresh(ctx context.Context, rec gate.Record, event gate.Event) error {
	if s.current(rec) || s.overtaken(rec) {
		return s.RenewVerdicts(ctx, rec.Digest, event)
	}
	return s.Renew(ctx, rec.Digest, event)
}

// Renew is Match for callers that can do nothing about missing advisories. The
// inventory is worth keeping: it is matched as soon as a generation is active.
// Until then the verdicts are those of the former findings, or PENDING.
func (s *Standing) Renew(ctx context.Context, d gate.Digest, event gate.Event) error {
	err := s.Match(ctx, d, event)
	if errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		s.Log.Warn("image cannot be matched yet", "digest", d, "error", err)
		return s.RenewVerdicts(ctx, d, event)
	}
	return err
}

// RenewVerdicts evaluates the standing verdict of each location of a digest.
func (s *Standing) RenewVerdicts(ctx context.Context, d gate.Digest, event gate.Event) error {
	return s.RenewVerdictsTagged(ctx, d, event, gate.Location{}, nil)
}

// RenewVerdictsTagged is RenewVerdicts when it is known that tags name the digest at loc: the lists
// that Tags reads may not show that yet.
func (s *Standing) RenewVerdictsTagged(ctx context.Context, d gate.Digest, event gate.Event, loc gate.Location, tags []string) error {
	entry, err := gate.ReadEntry(ctx, s.Records, d)
	if err != nil {
		return err
	}
	if kind := entry.Record.Manifest.Kind; kind != gate.KindImage && entry.Record.Manifest.Unassessable == "" {
		return nil // an index is computed from its children when it is read
	}
	var verdicts []gate.Verdict
	for _, l := range entry.Record.Locations {
		q := s.question(entry, l.Location, event)
		if s.Tags != nil {
			q.Tags = s.Tags(ctx, d, l.Location)
		}
		if l.Location == loc {
			for _, t := range tags {
				if !slices.Contains(q.Tags, t) {
					q.Tags = append(slices.Clone(q.Tags), t)
				}
			}
			slices.Sort(q.Tags)
		}
		verdicts = append(verdicts, gate.Verdict{Decision: s.Evaluator.Evaluate(ctx, q), Location: l.Location})
	}
	if len(verdicts) == 0 {
		return nil
	}
	return s.Records.PutVerdicts(ctx, d, verdicts)
}

// question asks about a digest at a location, without a request (see
// [Standing.For]).
func (s *Standing) question(entry gate.Entry, loc gate.Location, event gate.Event) gate.Question {
	q := s.Question(s.Records, entry, loc, event, nil)
	if s.For != nil {
		q.Event, q.Request = gate.EventAdmission, s.For
	}
	return q
}
