package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

func (s *server) registerHistory(api huma.API) {
	if s.Histories != nil {
		huma.Register(api, operation(http.MethodGet, "/images/{digest}/history", "get-history", "The changes of one image, newest first",
			"digestgate images history, reports"), s.getHistory)
	}
	if s.Holdings != nil {
		huma.Register(api, operation(http.MethodGet, "/vulnerabilities/{id}", "get-vulnerability", "The images that a vulnerability affects",
			"digestgate vulnerability, reports"), s.getVulnerability)
	}
}

type getHistoryInput struct {
	Digest string    `path:"digest" maxLength:"80" example:"sha256:…"`
	Since  time.Time `query:"since" doc:"only changes at or after this time"`
	Before int64     `query:"before" minimum:"0" doc:"only changes with a lower number: the next of the previous page"`
	Limit  int       `query:"limit" minimum:"1" maximum:"199" default:"50"`
}

type getHistoryOutput struct{ Body view.History }

func (s *server) getHistory(ctx context.Context, in *getHistoryInput) (*getHistoryOutput, error) {
	v, err := s.views().History(ctx, in.Digest, gate.HistoryQuery{Since: in.Since, Before: in.Before, Limit: in.Limit})
	if err != nil {
		return nil, s.problem(ctx, "reading the history", err)
	}
	return &getHistoryOutput{v}, nil
}

type getVulnerabilityInput struct {
	ID         string `path:"id" maxLength:"200" example:"CVE-2021-44228"`
	Registry   string `query:"registry" maxLength:"200"`
	Repository string `query:"repository" maxLength:"255"`
	Severity   string `query:"severity" enum:"CRITICAL,HIGH,MEDIUM,LOW,UNKNOWN"`
	Decision   string `query:"decision" enum:"allow,warn,deny,none" doc:"only images with this standing verdict, the worst of their locations"`
	Running    bool   `query:"running" doc:"only images that admission was asked for lately"`
	Fixed      bool   `query:"fixed" doc:"only packages for which a version with a fix is known"`
	Cursor     string `query:"cursor" maxLength:"400"`
	Limit      int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type getVulnerabilityOutput struct{ Body view.VulnerabilityDetail }

func (s *server) getVulnerability(ctx context.Context, in *getVulnerabilityInput) (*getVulnerabilityOutput, error) {
	v, err := s.views().Vulnerability(ctx, view.VulnerabilityQuery{
		ID: in.ID, Registry: in.Registry, Repository: in.Repository, Severity: gate.Severity(in.Severity), Decision: gate.Outcome(in.Decision),
		Running: in.Running, Fixed: in.Fixed, Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, s.problem(ctx, "listing the images with a vulnerability", err)
	}
	return &getVulnerabilityOutput{v}, nil
}
