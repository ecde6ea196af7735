package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
)

// Advisories shows how the advisory data stands and takes orders about it; the adapter of
// the program implements it with scanner/advisory.
type Advisories interface {
	// Status is how it stands for all processes. gate.ErrStoreUnavailable: 503.
	Status(ctx context.Context) (gate.AdvisoryData, error)
	// Update has the repositories asked at once. gate.ErrStoreUnavailable: 503.
	Update(ctx context.Context, by string) error
	// Rollback puts the generation before in force. gate.ErrNotFound: there is none, or no
	// process keeps it, 404; gate.ErrConflict: another one came into force meanwhile, 409;
	// gate.ErrInvalid: the reason is too long, 422; gate.ErrStoreUnavailable: 503.
	Rollback(ctx context.Context, by, reason string) (gate.AdvisoryGeneration, error)
	// Accept overrides a refusal. gate.ErrInvalid: what is to be accepted, the time or the
	// reason, 422; gate.ErrConflict: too many, 409; gate.ErrStoreUnavailable: 503.
	Accept(ctx context.Context, what string, until time.Time, reason, by string) error
	// Explain says what a VEX document would hide of what is stored, in the repositories of
	// a configured source, or everywhere for "". gate.ErrInvalid: the document, or no source
	// has that name, 422; gate.ErrStoreUnavailable: 503.
	Explain(ctx context.Context, source string, document []byte) (gate.VEXEffect, error)
}

// registerAdvisories adds the operations about advisory data.
func (s *server) registerAdvisories(api huma.API) {
	huma.Register(api, operation(http.MethodGet, "/advisories", "get-advisories", "How the advisory data stands", "digestgate advisories status, dashboards"), s.getAdvisories)
	update := operation(http.MethodPost, "/advisories/update", "update-advisories", "Have the repositories of advisory data asked now", "digestgate advisories update")
	update.DefaultStatus = http.StatusAccepted
	huma.Register(api, update, s.updateAdvisories)
	huma.Register(api, operation(http.MethodPost, "/advisories/rollback", "rollback-advisories", "Put the generation before in force", "digestgate advisories rollback"), s.rollbackAdvisories)
	explain := operation(http.MethodPost, "/advisories/vex/explain", "explain-vex", "Explain which findings a VEX document would hide", "digestgate advisories vex --explain")
	explain.MaxBodyBytes = maxExplained
	huma.Register(api, explain, s.explainVEX)
	huma.Register(api, operation(http.MethodPost, "/advisories/accept", "accept-advisories", "Override a refusal of advisory data", "digestgate advisories accept"), s.acceptAdvisories)
}

type advisoriesOutput struct{ Body gate.AdvisoryData }

// advisories is what there is of them; ErrNotFound in a process without.
func (s *server) advisories() (Advisories, error) {
	if s.Advisories == nil {
		return nil, fmt.Errorf("this process knows nothing of advisory data: %w", gate.ErrNotFound)
	}
	return s.Advisories, nil
}

func (s *server) getAdvisories(ctx context.Context, _ *struct{}) (*advisoriesOutput, error) {
	return s.afterOrder(ctx, "reading how the advisory data stands", func(Advisories) error { return nil })
}

// afterOrder gives an order and answers how the data stands then.
func (s *server) afterOrder(ctx context.Context, doing string, order func(Advisories) error) (*advisoriesOutput, error) {
	a, err := s.advisories()
	if err == nil {
		err = order(a)
	}
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	v, err := a.Status(ctx)
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	return &advisoriesOutput{v}, nil
}

// orderedBy is who says that they order something: all callers have the same token.
func orderedBy(name string) string {
	if name == "" {
		return "admin"
	}
	return gate.Printable(name, 100)
}

type updateAdvisoriesInput struct {
	Body *struct {
		By string `json:"by,omitempty" maxLength:"100" doc:"who orders it, for audits"`
	} `required:"false"`
}

func (s *server) updateAdvisories(ctx context.Context, in *updateAdvisoriesInput) (*advisoriesOutput, error) {
	by := ""
	if in.Body != nil {
		by = in.Body.By
	}
	return s.afterOrder(ctx, "asking for an update of advisory data", func(a Advisories) error { return a.Update(ctx, orderedBy(by)) })
}

type rollbackAdvisoriesInput struct {
	Body *struct {
		By     string `json:"by,omitempty" maxLength:"100" doc:"who orders it, for audits"`
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"why, for audits"`
	} `required:"false"`
}

func (s *server) rollbackAdvisories(ctx context.Context, in *rollbackAdvisoriesInput) (*advisoriesOutput, error) {
	by, reason := "", ""
	if in.Body != nil {
		by, reason = in.Body.By, in.Body.Reason
	}
	return s.afterOrder(ctx, "rolling advisory data back", func(a Advisories) error {
		_, err := a.Rollback(ctx, orderedBy(by), reason)
		return err
	})
}

type acceptAdvisoriesInput struct {
	Body struct {
		What   string    `json:"what" minLength:"1" maxLength:"200" doc:"the digest or the bucket that was refused"`
		Until  time.Time `json:"until" doc:"when the override ends; within a year"`
		Reason string    `json:"reason" minLength:"1" maxLength:"500" doc:"why, for audits"`
		By     string    `json:"by,omitempty" maxLength:"100" doc:"who orders it, for audits"`
	}
}

func (s *server) acceptAdvisories(ctx context.Context, in *acceptAdvisoriesInput) (*advisoriesOutput, error) {
	return s.afterOrder(ctx, "accepting advisory data", func(a Advisories) error {
		return a.Accept(ctx, in.Body.What, in.Body.Until, in.Body.Reason, orderedBy(in.Body.By))
	})
}

// maxExplained bounds a document in a request: VEX documents are kept in the store, which
// takes less than a MiB of them, compressed.
const maxExplained = 32 << 20

type explainVEXInput struct {
	Body struct {
		Source   string `json:"source,omitempty" maxLength:"63" doc:"the entry of advisories.vex in whose repositories it would count; empty: everywhere"`
		Document string `json:"document" minLength:"2" doc:"the document, as the file holds it"`
	}
}

type explainVEXOutput struct{ Body gate.VEXEffect }

func (s *server) explainVEX(ctx context.Context, in *explainVEXInput) (*explainVEXOutput, error) {
	const doing = "explaining a VEX document"
	a, err := s.advisories()
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	v, err := a.Explain(ctx, in.Body.Source, []byte(in.Body.Document))
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	return &explainVEXOutput{v}, nil
}
