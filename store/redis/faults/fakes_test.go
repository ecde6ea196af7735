package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// analyzer makes an inventory that names the claim that it was made for, so that
// a stored one can be traced to it.
type analyzer struct {
	name string
	took func() time.Duration
	gone map[gate.Digest]bool
}

func (a analyzer) Set() string { return a.name }

// Analyze takes as long as a real one in the tenth part: the leases are shorter
// by the same.
func (a analyzer) Analyze(ctx context.Context, req gate.AnalyzeRequest) (*gate.Inventory, error) {
	if a.gone[req.Digest] {
		return nil, gate.ErrNotFound
	}
	if err := req.BeforePull(ctx); err != nil {
		return nil, err
	}
	select {
	case <-time.After(a.took()):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &gate.Inventory{
		Format: gate.InventoryFormat, Digest: req.Digest, AnalyzedAt: time.Now().UTC(),
		AnalyzerSet: fmt.Sprint(a.name, "/", rand.Uint64()), PackageDatabase: true,
	}, nil
}

// matcher finds what world says.
type matcher struct{}

func (matcher) Version() string { return "scripted" }

func (matcher) Generation() (gate.Generation, bool) {
	return gate.Generation{Number: 1, Content: world{}.digest(-1), UpdatedAt: time.Unix(1_790_000_000, 0).UTC()}, true
}

func (m matcher) Match(_ context.Context, inv *gate.Inventory) (*gate.Findings, error) {
	g, _ := m.Generation()
	f := &gate.Findings{Digest: inv.Digest, Generation: g.Number, Advisories: g.Content, UpdatedAt: g.UpdatedAt, Matcher: m.Version()}
	if bad(inv.Digest) {
		f.Vulnerabilities = []gate.Vulnerability{{ID: "CVE-2026-0001", Package: "curl", Severity: gate.SeverityCritical}}
	}
	return f, nil
}

// evaluator allows what has findings without a critical vulnerability. The
// revision that it claims is the inventory that it believed.
type evaluator struct{}

func (evaluator) Revision() string { return "scripted" }

func (evaluator) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	none := func(code gate.Code) gate.Decision { return gate.Decision{Outcome: gate.OutcomeNone, Code: code} }
	switch q.State {
	case gate.StateScanned:
	case gate.StateQueued, gate.StateScanning:
		return none(gate.CodePending)
	default:
		return none(gate.CodeUnscanned)
	}
	inv, f, err := q.Load(ctx)
	if err != nil {
		return none(gate.CodeOf(err))
	}
	if f == nil || f.InventoryID != q.Record.InventoryID || inv.Digest != q.Digest {
		return none(gate.CodePending)
	}
	d := gate.Decision{Outcome: gate.OutcomeAllow, PolicyRevision: q.Record.InventoryID}
	if len(f.Vulnerabilities) > 0 {
		d.Outcome, d.Code = gate.OutcomeDeny, gate.CodePolicy
	}
	return d
}
