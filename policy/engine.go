package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"golang.org/x/sync/singleflight"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Engine decides with one set of policies after the other. It implements
// standing.Evaluator; all methods are safe for concurrent use. Which set is in force
// is [Active]'s to know.
type Engine struct {
	options Options
	risks   []gate.Risk
	allowed []allowance
	log     *slog.Logger

	active atomic.Pointer[activeSet]
	pool   *pool
	inputs *lru[inputKey, *facts]
	memos  *lru[memoKey, memo]
	loads  singleflight.Group
	evals  singleflight.Group
}

// activeSet is a set with the identity under which decisions name it.
type activeSet struct {
	*Set
	revision string
}

// inputKey names the large values of a digest.
type inputKey struct{ inventoryID, findingsID string }

// engineWith has no set yet; o is complete.
func engineWith(o Options) *Engine {
	return &Engine{
		options: o,
		risks:   sortedRisks(o.Risks),
		allowed: o.Config.allowances(),
		log:     o.Log,
		pool:    newPool(o.Slots, o.Budget),
		inputs:  newLRU[inputKey, *facts](inputCacheBytes),
		memos:   newLRU[memoKey, memo](memoCacheBytes),
	}
}

// use decides with a set from now on, and returns its revision.
func (e *Engine) use(set *Set) string {
	next := &activeSet{set, e.revisionOf(set)}
	e.active.Store(next)
	return next.revision
}

// revisionOf is the hash of everything that decides besides the question.
func (e *Engine) revisionOf(set *Set) string {
	o := e.options
	return contentHash(canonical(set.files),
		fmt.Sprint("input ", InputVersion), fmt.Sprint("risks ", e.risks), fmt.Sprint("allowIncomplete ", o.Config.AllowIncomplete),
		fmt.Sprint("maxAge ", o.MaxAge, " deny ", o.DenyStale), fmt.Sprint("budget ", o.Budget))
}

// Revision identifies the active policies and the options that decide with
// them ("sha256:…").
func (e *Engine) Revision() string { return e.active.Load().revision }

// Healthy is nil while evaluations can run. It is an error when every slot of
// the pool is held by an evaluation over its budget: nothing can be decided
// any more, and only a restart gives the slots back.
func (e *Engine) Healthy() error {
	if lost, all := e.pool.lostSlots(); lost >= all {
		return fmt.Errorf("all %d evaluation slots are held by evaluations that do not end: %w", all, gate.ErrPolicyFailed)
	}
	return nil
}

// Evaluate answers one question; see standing.Evaluator. The outcome is none for
// an image without usable findings, and deny for everything that is refused,
// whether by a condition, a rule or a failure.
func (e *Engine) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	set := e.active.Load()
	if reason, ok := noVerdict(q); ok {
		d := e.decision(set, q, []gate.Reason{reason})
		d.Outcome = gate.OutcomeNone
		return d
	}
	fs, err := e.facts(ctx, q)
	if err != nil {
		return e.decision(set, q, []gate.Reason{e.failure(q, "reading the findings of the image", err)})
	}
	found := e.conditions(q, fs)
	if len(found) > 0 && found[0].Action == gate.OutcomeDeny {
		return e.decision(set, q, found)
	}
	reasons, err := e.rules(ctx, set, q, fs)
	if err != nil {
		return e.decision(set, q, []gate.Reason{e.failure(q, "evaluating the policies", err)})
	}
	return e.decision(set, q, append(slices.Clone(reasons), found...))
}

// decision makes the answer from reasons.
func (e *Engine) decision(set *activeSet, q gate.Question, reasons []gate.Reason) gate.Decision {
	return decide(gate.Decision{PolicyRevision: set.revision, EvaluatedAt: q.Now}, reasons)
}

// decide completes a decision: the worst action is the outcome, and the first
// deny gives the code.
func decide(d gate.Decision, reasons []gate.Reason) gate.Decision {
	d.Outcome, d.Reasons = gate.OutcomeAllow, reasons
	if reasons == nil {
		d.Reasons = []gate.Reason{}
	}
	for _, r := range reasons {
		switch {
		case r.Action == gate.OutcomeDeny && d.Outcome != gate.OutcomeDeny:
			d.Outcome, d.Code = gate.OutcomeDeny, r.Code
		case r.Action == gate.OutcomeWarn && d.Outcome == gate.OutcomeAllow:
			d.Outcome = gate.OutcomeWarn
		}
	}
	return d
}

// failure is the deny for an error. What broke is in the log; the refused
// person learns what to do.
func (e *Engine) failure(q gate.Question, doing string, err error) gate.Reason {
	attrs := []any{"digest", string(q.Digest), "location", q.Location.String(), "error", err.Error()}
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, "panic", fmt.Sprint(p.value), "stack", string(p.stack))
	}
	e.log.Error("decision failed", append(attrs, "doing", doing)...)
	class, known := gate.Classify(err)
	switch {
	case class.Code == gate.CodePolicyError:
		return condition(gate.OutcomeDeny, class.Code, refusal.Say(refusal.PolicyNoAnswer, refusal.P{"why": err}))
	case known && class.Code != gate.CodeInternal:
		return condition(gate.OutcomeDeny, class.Code, refusal.Say(refusal.While, refusal.P{"doing": doing, "why": refusal.Usual(class.Code)}))
	}
	return condition(gate.OutcomeDeny, gate.CodeInternal, refusal.Say(refusal.InternalLogged, refusal.P{"doing": doing}))
}

// facts gets the shared part of the input, from the cache or by Load. Callers that miss
// at the same time share one Load, which continues when one of them gives up.
func (e *Engine) facts(ctx context.Context, q gate.Question) (*facts, error) {
	key := inputKey{q.Record.InventoryID, q.Record.FindingsID}
	if fs, ok := e.inputs.get(key); ok {
		return fs, nil
	}
	result := e.loads.DoChan(key.inventoryID+"\x00"+key.findingsID, func() (value any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("loading the findings panicked: %v", r)
			}
		}()
		inv, findings, err := q.Load(ctx)
		if err != nil {
			return nil, err
		}
		if inv == nil || findings == nil {
			return nil, fmt.Errorf("the record names findings that are not stored: %w", gate.ErrPending)
		}
		fs := newFacts(inv, findings)
		fs.incomplete = incomplete(e.risks, e.allowed, inv)
		// The values may be newer than the record that the caller has read;
		// then they answer this question and are not kept under its ids.
		if findings.InventoryID == "" || findings.InventoryID == key.inventoryID {
			e.inputs.put(key, fs, fs.bytes+int64(len(key.inventoryID)+len(key.findingsID)))
		}
		return fs, nil
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*facts), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the findings: %w", gate.ErrTimeout)
	}
}

// rules gives what the rules say, from the memo or by evaluating. Callers with
// the same key share one evaluation.
func (e *Engine) rules(ctx context.Context, set *activeSet, q gate.Question, fs *facts) ([]gate.Reason, error) {
	if r := q.Request; r != nil && r.LongUser > 0 && set.mentions.request["user"] {
		return []gate.Reason{none(gate.CodeReviewInvalid, refusal.Say(refusal.ReviewUser, refusal.P{"bytes": r.LongUser, "most": gate.MaxUser}))}, nil
	}
	key := set.mentions.key(set.revision, q, fs.advisories(q))
	if m, ok := e.memos.get(key); ok && m.fresh(q.Now, set.mentions.timed) {
		return m.reasons, nil
	}
	result := e.evals.DoChan(string(key[:]), func() (any, error) {
		reasons, err := e.pool.do(context.WithoutCancel(ctx), func(ctx context.Context) ([]gate.Reason, error) {
			return set.eval(ctx, compose(q, fs))
		})
		if err == nil {
			m := memo{reasons, q.Now}
			e.memos.put(key, m, m.bytes())
		}
		return reasons, err
	})
	select {
	case r := <-result:
		reasons, _ := r.Val.([]gate.Reason)
		return reasons, r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the policies: %w", gate.ErrTimeout)
	}
}

// eval runs the query of the set on one input.
func (s *Set) eval(ctx context.Context, input ast.Value) ([]gate.Reason, error) {
	results, err := s.query.Eval(withSpending(ctx), rego.EvalParsedInput(input))
	if err != nil {
		return nil, evalError(err)
	}
	return s.reasonsOf(results)
}
