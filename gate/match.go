package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
func (p *Pipeline) Match(ctx context.Context, d Digest, event Event) error {
	for range matchTries {
		err := p.matchOnce(ctx, d)
		if errors.Is(err, ErrConflict) {
			continue // another inventory or newer findings: look again
		}
		if err != nil {
			return fmt.Errorf("matching %s: %w", d, err)
		}
		entry, err := p.entry(ctx, d)
		if err != nil {
			return err
		}
		if p.current(entry.Record) || p.overtaken(entry.Record) {
			return p.Judge(ctx, d, event)
		}
	}
	return fmt.Errorf("matching %s: inventory and advisories keep changing: %w", d, ErrBusy)
}

// overtaken reports whether the findings of a record are of a later generation
// than the one loaded here: another replica has newer data, or the data was
// rolled back there. Those findings stand; what is made here gives way.
func (p *Pipeline) overtaken(rec Record) bool {
	g, ok := p.Matcher.Generation()
	return ok && rec.FindingsID != "" && rec.FindingsOf == rec.InventoryID && rec.Generation > g.Number
}

// current reports whether the findings of a record are those of the active
// generation and the linked matcher.
func (p *Pipeline) current(rec Record) bool {
	g, ok := p.Matcher.Generation()
	return ok && rec.FindingsID != "" && rec.Generation == g.Number && p.matched(rec, g)
}

// matched reports whether the findings of a record are what would come out now,
// whatever number the generation had. The content counts, not the number alone:
// a store that loses or is given back an older setting might issue one again.
func (p *Pipeline) matched(rec Record, g Generation) bool {
	return rec.FindingsOf == rec.InventoryID && rec.Advisories == g.Content && rec.Matcher == p.Matcher.Version()
}

func (p *Pipeline) matchOnce(ctx context.Context, d Digest) error {
	// The record is read before the inventory: if a new inventory comes in
	// between, PutFindings sees that the ids differ.
	entry, err := p.entry(ctx, d)
	if err != nil {
		return err
	}
	if p.current(entry.Record) || p.overtaken(entry.Record) {
		return nil
	}
	inv, err := p.Records.Inventory(ctx, d)
	if err != nil {
		return err
	}
	f, err := p.Matcher.Match(ctx, inv)
	if err != nil {
		return err
	}
	older, err := p.Records.Findings(ctx, d)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	f.InventoryID = entry.Record.InventoryID
	f.CarryFirstSeen(older, p.Now())
	return p.Records.PutFindings(ctx, f)
}

// refresh brings the findings and standing verdicts of a known image up to
// date with the least work.
func (p *Pipeline) refresh(ctx context.Context, rec Record, event Event) error {
	if p.current(rec) || p.overtaken(rec) {
		return p.Judge(ctx, rec.Digest, event)
	}
	return p.renew(ctx, rec.Digest, event)
}

// renew is Match for callers that can do nothing about missing advisories. The
// inventory is worth keeping: it is matched as soon as a generation is active.
// Until then the verdicts are those of the former findings, or PENDING.
func (p *Pipeline) renew(ctx context.Context, d Digest, event Event) error {
	err := p.Match(ctx, d, event)
	if errors.Is(err, ErrAdvisoriesUnavailable) {
		p.Log.Warn("image cannot be matched yet", "digest", d, "error", err)
		return p.Judge(ctx, d, event)
	}
	return err
}

// Judge evaluates the standing verdict of each location of a digest.
func (p *Pipeline) Judge(ctx context.Context, d Digest, event Event) error {
	return p.judge(ctx, d, event, Location{}, nil)
}

// judge is Judge when it is known that tags name the digest at loc: the lists
// that Tags reads may not show that yet.
func (p *Pipeline) judge(ctx context.Context, d Digest, event Event, loc Location, tags []string) error {
	entry, err := p.entry(ctx, d)
	if err != nil {
		return err
	}
	if kind := entry.Record.Manifest.Kind; kind != KindImage && entry.Record.Manifest.Unassessable == "" {
		return nil // an index is computed from its children when it is read
	}
	var verdicts []Verdict
	for _, l := range entry.Record.Locations {
		q := p.question(entry, l.Location, event)
		if p.Tags != nil {
			q.Tags = p.Tags(ctx, d, l.Location)
		}
		if l.Location == loc {
			for _, t := range tags {
				if !slices.Contains(q.Tags, t) {
					q.Tags = append(slices.Clone(q.Tags), t)
				}
			}
			slices.Sort(q.Tags)
		}
		verdicts = append(verdicts, Verdict{Decision: p.Evaluator.Evaluate(ctx, q), Location: l.Location})
	}
	if len(verdicts) == 0 {
		return nil
	}
	return p.Records.PutVerdicts(ctx, d, verdicts)
}

// question asks about a digest at a location, without a request (see
// [Pipeline.For]).
func (p *Pipeline) question(entry Entry, loc Location, event Event) Question {
	q := p.ask(p.Records, entry, loc, event, nil)
	if p.For != nil {
		q.Event, q.Request = EventAdmission, p.For
	}
	return q
}
