package api

import (
	"context"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Policies shows what is in force; policy.Activations implements it.
// gate.ErrNotFound: nothing ever was.
type Policies interface {
	// InForce is the set in force with its files. gate.ErrNotFound: nothing ever was
	// in force, 404; gate.ErrStoreUnavailable: 503.
	InForce(ctx context.Context) (gate.PolicySet, error)
}

// PoliciesView is the set of policies in force.
type PoliciesView struct {
	Activation  int64             `json:"activation" doc:"number of the activation; a later one has a higher number, also of a content that was in force before"`
	Content     gate.Digest       `json:"content" doc:"digest of the files"`
	ActivatedAt time.Time         `json:"activatedAt"`
	By          string            `json:"by" doc:"the process that activated it: host and process id"`
	Program     string            `json:"program" doc:"its version"`
	Files       []gate.PolicyFile `json:"files" doc:"without tests; names begin where the paths of the files differ"`
}

type policiesOutput struct{ Body PoliciesView }

func (s *server) getPolicies(ctx context.Context, _ *struct{}) (*policiesOutput, error) {
	const doing = "reading the policies in force"
	if s.Policies == nil {
		return nil, s.problem(ctx, doing, fmt.Errorf("no policies were ever in force here: %w", gate.ErrNotFound))
	}
	p, err := s.Policies.InForce(ctx)
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	return &policiesOutput{PoliciesView{
		Activation: p.Number, Content: p.Content, ActivatedAt: p.ActivatedAt.UTC(), By: p.By, Program: p.Program, Files: orEmpty(p.Files),
	}}, nil
}
