package api

import (
	"context"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// Policies shows what is in force; policy.Activations implements it.
// gate.ErrNotFound: nothing ever was.
type Policies interface {
	// InForce is the set in force with its files. gate.ErrNotFound: nothing ever was
	// in force, 404; gate.ErrStoreUnavailable: 503.
	InForce(ctx context.Context) (gate.PolicySet, error)
}

type policiesOutput struct{ Body view.PoliciesView }

func (s *server) getPolicies(ctx context.Context, _ *struct{}) (*policiesOutput, error) {
	const doing = "reading the policies in force"
	if s.Policies == nil {
		return nil, s.problem(ctx, doing, fmt.Errorf("no policies were ever in force here: %w", gate.ErrNotFound))
	}
	p, err := s.Policies.InForce(ctx)
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	return &policiesOutput{view.OfPolicies(p)}, nil
}
