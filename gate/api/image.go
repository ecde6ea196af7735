package api

import (
	"context"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

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
		Images []view.Image `json:"images"`
		Next   string       `json:"next" doc:"cursor of the next page, empty at the end"`
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
	out.Body.Images = []view.Image{}
	out.Body.Next = next
	for _, r := range rows {
		out.Body.Images = append(out.Body.Images, view.OfListed(r))
	}
	return out, nil
}

type imageInput struct {
	Digest string `path:"digest" maxLength:"80" example:"sha256:…"`
}

type getImageOutput struct{ Body view.ImageDetail }

func (s *server) getImage(ctx context.Context, in *imageInput) (*getImageOutput, error) {
	v, err := s.views().Image(ctx, in.Digest)
	if err != nil {
		return nil, s.problem(ctx, "reading the image", err)
	}
	charge, err := s.Usage.Charged(ctx, v.Digest)
	if err != nil {
		return nil, s.problem(ctx, "reading the image", err)
	}
	v.Charge = view.OfCharge(charge)
	return &getImageOutput{v}, nil
}
