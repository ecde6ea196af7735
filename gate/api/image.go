package api

import (
	"context"
	"fmt"
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
			image.Locations = append(image.Locations, Place{l.Registry, l.Repository, orEmpty(l.Tags), l.Gone})
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
	Verdict    *Verdict          `json:"verdict" doc:"worst over the locations, for an index over its judged platforms; null while one of them was not evaluated and none is refused"`
	Advisories *Advisories       `json:"advisories"`
	AnalyzedAt *time.Time        `json:"analyzedAt"`
	Locations  []LocationDetail  `json:"locations"`
	Platforms  []PlatformDetail  `json:"platforms"`
	Counts     gate.Counts       `json:"counts"`
	Charge     *Charge           `json:"charge" doc:"null for a digest that was never charged, and for an index: its platforms are"`
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
	charge, err := s.Usage.Charged(ctx, entry.Record.Digest)
	if err != nil {
		return nil, s.problem(ctx, "reading the image", err)
	}
	view.Charge = viewCharge(charge)
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
