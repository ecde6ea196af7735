package view

import (
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

// OfListed is the view of a row.
func OfListed(r gate.ListedImage) Image {
	v := Image{
		Digest: r.Digest, Kind: r.Kind, Platform: r.Platform, State: r.State, Decision: r.Decision, Counts: r.Counts,
		Size: r.Size, AnalyzedAt: optional(r.AnalyzedAt), SeenAt: r.SeenAt, Locations: []Place{},
		Accessories: ofAccessories(r.Accessories),
	}
	for _, l := range r.Places {
		v.Locations = append(v.Locations, Place{l.Registry, l.Repository, orEmpty(l.Tags), l.Gone})
	}
	return v
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

func ofAccessories(list []gate.Accessory) []Accessory {
	out := []Accessory{}
	for _, a := range list {
		out = append(out, Accessory{a.Digest, a.Kind, a.Registry, a.Repository, a.Tag})
	}
	return out
}

// Place is where an image is located.
type Place struct {
	Registry   string   `json:"registry"`
	Repository string   `json:"repository"`
	Tags       []string `json:"tags"`
	Gone       bool     `json:"gone"`
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

// Advisories says by which advisory data the findings are those of the image: the newest in
// which a match would give them again.
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
