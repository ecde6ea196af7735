package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Image is one row of the list of images.
type Image struct {
	Digest     gate.Digest       `json:"digest"`
	Kind       gate.ManifestKind `json:"kind"`
	Platform   string            `json:"platform"`
	State      gate.State        `json:"state"`
	Decision   gate.Outcome      `json:"decision"`
	Counts     gate.Counts       `json:"counts"`
	Size       int64             `json:"size" doc:"compressed layers in bytes"`
	AnalyzedAt *time.Time        `json:"analyzedAt"`
	SeenAt     time.Time         `json:"seenAt"`
	Locations  []Place           `json:"locations"`
}

// Place is where an image lies.
type Place struct {
	Registry   string   `json:"registry"`
	Repository string   `json:"repository"`
	Tags       []string `json:"tags"`
	Gone       bool     `json:"gone"`
}

type listImagesInput struct {
	State      string `query:"state" enum:"scanned,not_scanned,queued,scanning,failed,cancelled,unassessable,quota_exhausted"`
	Decision   string `query:"decision" enum:"allow,warn,deny,none"`
	Kind       string `query:"kind" enum:"image,index,signature,attestation,sbom,chart,artifact"`
	Registry   string `query:"registry" maxLength:"200"`
	Repository string `query:"repository" maxLength:"255"`
	Keyword    string `query:"q" maxLength:"255" doc:"part of a repository, a tag or a digest"`
	Cursor     string `query:"cursor" maxLength:"400"`
	Limit      int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type listImagesOutput struct {
	Body struct {
		Images []Image `json:"images"`
		Next   string  `json:"next" doc:"cursor of the next page, empty at the end"`
	}
}

func (s *server) listImages(ctx context.Context, in *listImagesInput) (*listImagesOutput, error) {
	rows, next, err := s.Lists.Images(ctx, gate.ImageFilter{
		State: gate.State(in.State), Decision: gate.Outcome(in.Decision), Kind: gate.ManifestKind(in.Kind),
		Registry: in.Registry, Repository: in.Repository, Keyword: in.Keyword, Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, s.problem(ctx, "listing images", err)
	}
	out := &listImagesOutput{}
	out.Body.Images = []Image{}
	out.Body.Next = next
	for _, r := range rows {
		image := Image{
			Digest: r.Digest, Kind: r.Kind, Platform: r.Platform, State: r.State, Decision: r.Decision, Counts: r.Counts,
			Size: r.Size, AnalyzedAt: optional(r.AnalyzedAt), SeenAt: r.SeenAt, Locations: []Place{},
		}
		for _, l := range r.Places {
			image.Locations = append(image.Locations, Place{l.Registry, l.Repository, l.Tags, l.Gone})
		}
		out.Body.Images = append(out.Body.Images, image)
	}
	return out, nil
}

// optional is nil for a time that never was.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ImageDetail is one image (DESIGN.md §7). For an index, state, verdict and
// counts are computed from its judged children.
type ImageDetail struct {
	Digest     gate.Digest       `json:"digest"`
	Kind       gate.ManifestKind `json:"kind"`
	State      gate.State        `json:"state"`
	Job        *Job              `json:"job"`
	Verdict    *Verdict          `json:"verdict" doc:"worst over the locations; null before the first evaluation"`
	Advisories *Advisories       `json:"advisories"`
	AnalyzedAt *time.Time        `json:"analyzedAt"`
	Locations  []LocationDetail  `json:"locations"`
	Platforms  []PlatformDetail  `json:"platforms"`
	Counts     gate.Counts       `json:"counts"`
	// Unassessable says why no verdict is possible, "" when one is.
	Unassessable string `json:"unassessable"`
}

// Verdict is a standing verdict.
type Verdict struct {
	Decision       gate.Outcome  `json:"decision"`
	Code           gate.Code     `json:"code"`
	Reasons        []gate.Reason `json:"reasons"`
	PolicyRevision string        `json:"policyRevision"`
	EvaluatedAt    time.Time     `json:"evaluatedAt"`
}

// Advisories says which advisory data the findings are from.
type Advisories struct {
	Generation int64     `json:"generation"`
	UpdatedAt  time.Time `json:"updatedAt"`
}

// LocationDetail is one location with its verdict.
type LocationDetail struct {
	Place
	Verdict *Verdict `json:"verdict"`
}

// PlatformDetail is one platform of an image.
type PlatformDetail struct {
	Platform string      `json:"platform"`
	Digest   gate.Digest `json:"digest"`
	State    gate.State  `json:"state"`
	Judged   bool        `json:"judged" doc:"false: no configured platform matches it and it does not count"`
}

type imageInput struct {
	Digest string `path:"digest" maxLength:"80" example:"sha256:…"`
}

type getImageOutput struct{ Body ImageDetail }

func (s *server) getImage(ctx context.Context, in *imageInput) (*getImageOutput, error) {
	entry, err := s.entry(ctx, in.Digest)
	if err != nil {
		return nil, s.problem(ctx, "reading the image", err)
	}
	view, err := View(ctx, s.Reader, s.Lists, entry)
	if err != nil {
		return nil, s.problem(ctx, "reading the image", err)
	}
	return &getImageOutput{view}, nil
}

// entry reads a known digest; gate.ErrNotFound for an unknown one.
func (s *server) entry(ctx context.Context, text string) (gate.Entry, error) {
	d, err := gate.ParseDigest(text)
	if err != nil {
		return gate.Entry{}, err
	}
	res, err := s.Reader.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}})
	if err != nil {
		return gate.Entry{}, err
	}
	if entry := res.Digests[d]; entry.Record.Known() {
		return entry, nil
	}
	return gate.Entry{}, fmt.Errorf("image %s was never pushed, synchronised or asked for here: %w", d, gate.ErrNotFound)
}

// View computes what the API shows of a stored digest.
func View(ctx context.Context, r Reader, lists Lists, e gate.Entry) (ImageDetail, error) {
	return (&server{Options{Reader: r, Lists: lists}}).detail(ctx, e)
}

func (s *server) detail(ctx context.Context, e gate.Entry) (ImageDetail, error) {
	r := e.Record
	v := ImageDetail{
		Digest: r.Digest, Kind: r.Manifest.Kind, State: e.State(), AnalyzedAt: optional(r.AnalyzedAt), Counts: r.Counts,
		Locations: []LocationDetail{}, Platforms: []PlatformDetail{}, Unassessable: r.Manifest.Unassessable,
	}
	if e.Job != nil && e.Job.State.Live() {
		job := viewJob(*e.Job)
		v.Job = &job
	}
	if r.FindingsID != "" {
		f, err := s.Reader.Findings(ctx, r.Digest)
		if err != nil {
			return v, err
		}
		v.Advisories = &Advisories{f.Generation, f.UpdatedAt}
	}
	places, err := s.Lists.Places(ctx, r.Digest)
	if err != nil {
		return v, err
	}
	for _, l := range r.Locations {
		detail := LocationDetail{Place{l.Registry, l.Repository, []string{}, l.Gone}, viewVerdict(l.Verdict)}
		if i := slices.IndexFunc(places, func(p gate.Place) bool { return p.Location == l.Location }); i >= 0 {
			detail.Tags = places[i].Tags
		}
		v.Locations = append(v.Locations, detail)
		v.Verdict = worse(v.Verdict, detail.Verdict)
	}
	if r.Manifest.Kind == gate.KindIndex {
		return v, s.combine(ctx, r.Manifest, &v)
	}
	if r.Manifest.Kind == gate.KindImage {
		v.Platforms = append(v.Platforms, PlatformDetail{r.Manifest.Platform.String(), r.Digest, v.State, true})
	}
	return v, nil
}

// combine computes the view of an index from its children as they are now.
func (s *server) combine(ctx context.Context, m gate.Manifest, v *ImageDetail) error {
	var want []gate.Digest
	for _, c := range m.Children {
		want = append(want, c.Digest)
	}
	res, err := s.Reader.Read(ctx, gate.ReadRequest{Digests: want})
	if err != nil {
		return err
	}
	var states []gate.State
	v.Verdict = nil
	for _, c := range m.Children {
		e := res.Digests[c.Digest]
		p := PlatformDetail{c.Platform.String(), c.Digest, e.State(), c.Judged}
		v.Platforms = append(v.Platforms, p)
		if !c.Judged {
			continue
		}
		states = append(states, p.State)
		for _, l := range e.Record.Locations {
			verdict := viewVerdict(l.Verdict)
			v.Verdict = worse(v.Verdict, verdict)
			i := slices.IndexFunc(v.Locations, func(d LocationDetail) bool {
				return d.Registry == l.Registry && d.Repository == l.Repository
			})
			if i >= 0 {
				v.Locations[i].Verdict = worse(v.Locations[i].Verdict, verdict)
			}
		}
		v.Counts = v.Counts.Plus(e.Record.Counts)
		if t := optional(e.Record.AnalyzedAt); t != nil && (v.AnalyzedAt == nil || t.After(*v.AnalyzedAt)) {
			v.AnalyzedAt = t
		}
	}
	v.State = gate.CombineStates(states)
	return nil
}

// viewVerdict is nil before the first evaluation.
func viewVerdict(d gate.Decision) *Verdict {
	if d.Outcome == "" {
		return nil
	}
	return &Verdict{d.Outcome, d.Code, append([]gate.Reason{}, d.Reasons...), d.PolicyRevision, d.EvaluatedAt}
}

func worse(a, b *Verdict) *Verdict {
	if a == nil || (b != nil && b.Decision.Worse(a.Decision)) {
		return b
	}
	return a
}
