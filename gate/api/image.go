package api

import (
	"context"
	"errors"
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
	// Accessories are shown here and not as images of their own.
	Accessories []Accessory `json:"accessories" doc:"signatures, attestations and SBOMs that say they are about it"`
}

// Accessory is a manifest about another one. That it is about it is its own claim,
// or that of a tag.
type Accessory struct {
	Digest     gate.Digest       `json:"digest"`
	Kind       gate.ManifestKind `json:"kind"`
	Registry   string            `json:"registry"`
	Repository string            `json:"repository"`
	Tag        string            `json:"tag"`
}

func viewAccessories(list []gate.Accessory) []Accessory {
	out := []Accessory{}
	for _, a := range list {
		out = append(out, Accessory{a.Digest, a.Kind, a.Registry, a.Repository, a.Tag})
	}
	return out
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
	Kind       string `query:"kind" enum:"image,index,signature,attestation,sbom,chart,artifact" doc:"without it the list leaves out what is shown with its image: signatures, attestations, SBOMs and what names another manifest as its subject"`
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
			Accessories: viewAccessories(r.Accessories),
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
	Job        *Job              `json:"job" doc:"the live job, also the one that reads what a push or a scan has named; of a failed image the job that failed; else null"`
	Verdict    *Verdict          `json:"verdict" doc:"worst over the locations, for an index over its judged platforms; null while one of them was not evaluated and none is refused"`
	Advisories *Advisories       `json:"advisories"`
	AnalyzedAt *time.Time        `json:"analyzedAt"`
	Locations  []LocationDetail  `json:"locations"`
	Platforms  []PlatformDetail  `json:"platforms"`
	Counts     gate.Counts       `json:"counts"`
	Charge     *Charge           `json:"charge" doc:"null for a digest that was never charged, and for an index: its platforms are"`
	// Subject is what an accessory is about.
	Subject     gate.Digest `json:"subject" doc:"what a signature, attestation or SBOM says that it is about; empty for others"`
	Accessories []Accessory `json:"accessories" doc:"signatures, attestations and SBOMs that say they are about it; at most 100"`
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
	if err != nil && !errors.Is(err, gate.ErrNotFound) {
		return nil, s.problem(ctx, "reading the image", err)
	}
	view, err := s.shown(ctx, entry, err)
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

// shown is the view of a digest with the job that resolves it: from the moment in
// which a push or a scan is accepted the image is queued, also while nothing is
// recorded of it. missing is the error to answer for a digest of which there is
// neither a record nor such a job.
func (s *server) shown(ctx context.Context, e gate.Entry, missing error) (ImageDetail, error) {
	view, err := s.detail(ctx, e)
	settled := missing == nil && view.State != gate.StateNotScanned && view.State != gate.StateFailed
	if err != nil || settled || view.Job != nil && view.Job.State.Live() {
		return view, err
	}
	job, err := s.resolving(ctx, e.Record.Digest)
	switch {
	case err != nil:
		return view, err
	case job == nil && missing != nil:
		return view, s.unread(ctx, missing)
	case job == nil:
		return view, nil
	}
	state := gate.ImageState(gate.Record{}, job)
	switch {
	case job.State.Live():
		view.State = gate.StateQueued // also while it is read: its scan comes after that
	case missing == nil:
		return view, nil // what is recorded says more
	case job.State == gate.JobDone:
		return view, missing // it was known, and has been removed
	default:
		view.State = state
	}
	shown := s.jobs(ctx)(*job)
	view.Job = &shown
	return view, nil
}

// resolving is the job that resolves a digest, in any repository: a live one, else
// the last; nil when there is none.
func (s *server) resolving(ctx context.Context, d gate.Digest) (*gate.Job, error) {
	jobs, _, err := s.Lists.Jobs(ctx, gate.JobFilter{Kind: gate.JobResolve, Digest: d, Limit: gate.MaxPage})
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	if i := slices.IndexFunc(jobs, func(j gate.Job) bool { return j.State.Live() }); i >= 0 {
		return &jobs[i], nil
	}
	return &jobs[0], nil
}

// unread adds to the error for an unknown digest that tags are still to be read:
// one of them may name it.
func (s *server) unread(ctx context.Context, missing error) error {
	for _, state := range []gate.JobState{gate.JobQueued, gate.JobRunning} {
		jobs, _, err := s.Lists.Jobs(ctx, gate.JobFilter{Kind: gate.JobResolve, State: state, Limit: gate.MaxPage})
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.Digest == "" {
				return fmt.Errorf("tags are still to be read, such as %s, and one of them may name it: %w", gate.Quoted(j.Key, 300), missing)
			}
		}
	}
	return missing
}

// entry reads a digest; gate.ErrNotFound, with an entry of its digest alone, for an
// unknown one.
func (s *server) entry(ctx context.Context, text string) (gate.Entry, error) {
	d, err := gate.ParseDigest(text)
	if err != nil {
		return gate.Entry{}, err
	}
	res, err := s.Reader.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}})
	if err != nil {
		return gate.Entry{}, err
	}
	entry := res.Digests[d]
	if entry.Record.Known() {
		return entry, nil
	}
	entry.Record.Digest = d
	return entry, fmt.Errorf("image %s was never pushed, synchronised or asked for here by its digest: %w", d, gate.ErrNotFound)
}
