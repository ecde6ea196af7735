package api

import (
	"context"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

type getFindingsInput struct {
	// Not embedded: huma does not look into unexported types.
	Digest   string `path:"digest" maxLength:"80" example:"sha256:…"`
	Severity string `query:"severity" enum:"CRITICAL,HIGH,MEDIUM,LOW,UNKNOWN" doc:"only vulnerabilities of this severity"`
}

type getFindingsOutput struct{ Body view.FindingsDetail }

func (s *server) getFindings(ctx context.Context, in *getFindingsInput) (*getFindingsOutput, error) {
	v, err := s.views().Findings(ctx, in.Digest, gate.Severity(in.Severity))
	if err != nil {
		return nil, s.problem(ctx, "reading the findings", err)
	}
	return &getFindingsOutput{v}, nil
}
