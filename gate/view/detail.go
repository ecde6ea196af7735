package view

import (
	"context"
	"errors"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Detail is the view of a stored digest. Errors: those of the store and the lists.
func (s Views) Detail(ctx context.Context, e gate.Entry) (ImageDetail, error) {
	r := e.Record
	v := ImageDetail{
		Digest: r.Digest, Kind: r.Manifest.Kind, State: e.State(), AnalyzedAt: optional(r.AnalyzedAt), Counts: r.Counts,
		Locations: []LocationDetail{}, Platforms: []PlatformDetail{}, Unassessable: r.Manifest.Unassessable,
		Subject: r.Manifest.Subject,
	}
	if v.State == gate.StateUnassessable && v.Unassessable == "" && v.Kind != gate.KindImage {
		v.Unassessable = refusal.English(refusal.Say(refusal.CauseKind, refusal.P{"kind": v.Kind}))
	}
	if e.Job != nil && (e.Job.State.Live() || v.State == gate.StateFailed) {
		job := s.Job(ctx)(*e.Job)
		v.Job = &job
	}
	accessories, err := s.Lists.Accessories(ctx, r.Digest)
	if err != nil {
		return v, err
	}
	v.Accessories = ofAccessories(accessories)
	if r.FindingsID != "" {
		f, err := s.Reader.Findings(ctx, r.Digest)
		switch {
		case err == nil:
			v.Advisories = s.advisories(&r, f)
		case !errors.Is(err, gate.ErrNotFound): // lost since the record was read, it is matched again
			return v, err
		}
	}
	places, err := s.Lists.Places(ctx, r.Digest)
	if err != nil {
		return v, err
	}
	for _, l := range r.Locations {
		detail := LocationDetail{Place{l.Registry, l.Repository, []string{}, l.Gone}, ofVerdict(l.Verdict)}
		if i := slices.IndexFunc(places, func(p gate.Place) bool { return p.Location == l.Location }); i >= 0 {
			detail.Tags = orEmpty(places[i].Tags)
		}
		v.Locations = append(v.Locations, detail)
	}
	if r.Manifest.Kind == gate.KindIndex {
		return v, s.combine(ctx, r.Manifest, &v)
	}
	v.Verdict = overall(r)
	if r.Manifest.Kind == gate.KindImage {
		v.Platforms = append(v.Platforms, PlatformDetail{r.Manifest.Platform.String(), r.Digest, v.State, true})
	}
	return v, nil
}

// combine computes the view of an index from its children as they are now.
func (s Views) combine(ctx context.Context, m gate.Manifest, v *ImageDetail) error {
	var want []gate.Digest
	for _, c := range m.Children {
		if c.Digest.Valid() {
			want = append(want, c.Digest)
		}
	}
	res, err := s.Reader.Read(ctx, gate.ReadRequest{Digests: want})
	if err != nil {
		return err
	}
	judged := map[gate.Digest]bool{} // one digest may stand for several platforms
	var children []gate.Entry
	var states []gate.State
	for _, c := range m.Children {
		e := res.Digests[c.Digest]
		platform := c.Platform.String()
		if platform == "" {
			platform = e.Record.Manifest.Platform.String() // the index names none
		}
		v.Platforms = append(v.Platforms, PlatformDetail{platform, c.Digest, e.State(), c.Judged})
		if !c.Judged || judged[c.Digest] || m.Unassessable != "" {
			continue
		}
		judged[c.Digest] = true
		children = append(children, e)
		states = append(states, e.State())
		v.Counts = v.Counts.Plus(e.Record.Counts)
		if t := optional(e.Record.AnalyzedAt); t != nil && (v.AnalyzedAt == nil || t.After(*v.AnalyzedAt)) {
			v.AnalyzedAt = t
		}
	}
	v.State = gate.CombineStates(states)
	if v.Advisories, err = s.oldest(ctx, children); err != nil {
		return err
	}
	var verdicts []*Verdict
	for _, e := range children {
		verdicts = append(verdicts, overall(e.Record))
	}
	v.Verdict = worst(verdicts)
	for i := range v.Locations {
		l := &v.Locations[i]
		var here []*Verdict
		for _, e := range children {
			at, _ := e.Record.At(gate.Location{Registry: l.Registry, Repository: l.Repository})
			here = append(here, ofVerdict(at.Verdict))
		}
		l.Verdict = worst(here)
	}
	return nil
}

// oldest is the oldest advisory data that one of the children was compared with; nil
// while one was not compared.
func (s Views) oldest(ctx context.Context, children []gate.Entry) (*Advisories, error) {
	var first gate.Record
	for i, e := range children {
		if e.Record.FindingsID == "" {
			return nil, nil
		}
		if i == 0 || s.generation(&e.Record) < s.generation(&first) {
			first = e.Record
		}
	}
	if first.FindingsID == "" {
		return nil, nil
	}
	f, err := s.Reader.Findings(ctx, first.Digest)
	if errors.Is(err, gate.ErrNotFound) { // lost since the record was read
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.advisories(&first, f), nil
}

// overall is the worst verdict over the locations of an image.
func overall(r gate.Record) *Verdict {
	var verdicts []*Verdict
	for _, l := range r.Locations {
		verdicts = append(verdicts, ofVerdict(l.Verdict))
	}
	return worst(verdicts)
}

// ofVerdict is nil before the first evaluation.
func ofVerdict(d gate.Decision) *Verdict {
	if d.Outcome == "" {
		return nil
	}
	v := &Verdict{d.Outcome, d.Code, []gate.Reason{}, d.PolicyRevision, d.EvaluatedAt}
	for _, r := range d.Reasons {
		r.Findings = orEmpty(r.Findings)
		v.Reasons = append(v.Reasons, r)
	}
	return v
}

// worst is the verdict that counts: deny before none before warn before allow.
// What was not evaluated yet (nil) counts as none, so that nothing looks
// allowed of which a part is not known.
func worst(verdicts []*Verdict) *Verdict {
	outcome := func(v *Verdict) gate.Outcome {
		if v == nil {
			return gate.OutcomeNone
		}
		return v.Decision
	}
	var w *Verdict
	for i, v := range verdicts {
		worse := outcome(v).Worse(outcome(w))
		if i == 0 || worse || (w == nil && outcome(v) == gate.OutcomeNone) {
			w = v
		}
	}
	return w
}
