package policy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

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
	inputs *lru[memoKey, *facts]
	memos  *lru[memoKey, memo]
	// judged holds what is against images of which the summary does not say that
	// nothing is.
	judged *lru[imageKey, judgement]
	joined *lru[memoKey, joined]
	aged   atomic.Pointer[agedSaid]
	tables atomic.Pointer[Tables]
	// marks and joints are what is known of findings for the tables; see joint.go.
	marks  *lru[string, mark]
	joints *lru[memoKey, keptJoint]
	shared sharing
	loads  singleflight.Group
	evals  singleflight.Group
}

// activeSet is a set with the identity under which decisions name it.
type activeSet struct {
	*Set
	revision string
	id       [sha256.Size]byte // the revision's, of one length
	// watched: what is known of namespaces is handed to questions of admission.
	watched bool
}

// imageKey names the large values of a digest.
type imageKey struct{ inventoryID, findingsID string }

// engineWith has no set yet; o is complete.
func engineWith(o Options) *Engine {
	return &Engine{
		options: o,
		risks:   sortedRisks(o.Risks),
		allowed: o.Config.allowances(),
		log:     o.Log,
		pool:    newPool(o.Slots, o.Budget),
		inputs:  newLRU[memoKey, *facts](inputCacheBytes),
		memos:   newLRU[memoKey, memo](memoCacheBytes),
		judged:  newLRU[imageKey, judgement](judgedCacheBytes),
		joined:  newLRU[memoKey, joined](joinedCacheBytes),
		shared:  newSharing(),
		marks:   newLRU[string, mark](markCacheBytes),
		joints:  newLRU[memoKey, keptJoint](jointCacheBytes),
	}
}

// use decides with a set from now on, and returns its revision.
func (e *Engine) use(set *Set) string {
	revision := e.revisionOf(set)
	next := &activeSet{set, revision, sha256.Sum256([]byte(revision)), e.options.Watched}
	e.active.Store(next)
	return next.revision
}

// revisionOf is the hash of everything that decides besides the question.
func (e *Engine) revisionOf(set *Set) string {
	o := e.options
	ages := fmt.Sprint("maxAge ", o.MaxAge, " deny ", o.DenyStale)
	if o.RefuseAge > 0 { // without it the revision is that of earlier versions
		ages += fmt.Sprint(" refuse ", o.RefuseAge)
	}
	return contentHash(canonical(set.files),
		fmt.Sprint("input ", InputVersion), fmt.Sprint("risks ", e.risks), fmt.Sprint("allowIncomplete ", o.Config.AllowIncomplete),
		ages, fmt.Sprint("budget ", o.Budget))
}

// Revision identifies the active policies and the options that decide with
// them ("sha256:…").
func (e *Engine) Revision() string { return e.active.Load().revision }

// ReadsNamespace reports whether the policies in force can see the labels or annotations
// of a namespace, so that a caller has to find them out. The next question may be answered
// by others: see [gate.Request.NamespaceUnknown].
func (e *Engine) ReadsNamespace() bool {
	set := e.active.Load()
	return set.watched && set.visible.request.watched()
}

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
//
// What was decided before is answered from the record alone: neither the inventory nor
// the findings are read then.
func (e *Engine) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	set := e.active.Load()
	if d, ok := e.known(set, &q); ok {
		return d
	}
	return e.evaluate(ctx, set, q)
}

// Known answers a question as Evaluate would, when its answer follows from the record or
// was given before: nothing is read, evaluated or waited for. ok is false otherwise.
func (e *Engine) Known(q gate.Question) (d gate.Decision, ok bool) {
	return e.known(e.active.Load(), &q)
}

func (e *Engine) known(set *activeSet, q *gate.Question) (d gate.Decision, ok bool) {
	if reason, none := noVerdict(q); none {
		d = decision(set, q.Now, []gate.Reason{reason})
		d.Outcome = gate.OutcomeNone
		return d, true
	}
	j, ok := e.judgementOf(&q.Record)
	if !ok {
		return d, false
	}
	t := e.joinedTables()
	found, holds := e.conditions(q, j, set, t)
	if denies(found) {
		return lasting(decision(set, q.Now, found), holds), true
	}
	if code, _ := set.unread(q); code != "" {
		return d, false
	}
	jn, ok := e.jointOf(set, q, t)
	if !ok {
		return d, false
	}
	key := set.key(q, j.own, t, &jn)
	m, ok := e.memos.get(key) // the answer that the rules gave before
	if !ok || !m.fresh(q.Now) {
		return d, false
	}
	return lasting(decision(set, q.Now, e.join(key, m.reasons, found)), holds.meet(m.holds).meet(jn.period())), true
}

// evaluate is Evaluate for what is not remembered.
func (e *Engine) evaluate(ctx context.Context, set *activeSet, q gate.Question) gate.Decision {
	v := &values{q: &q}
	j, ok := e.judgementOf(&q.Record)
	if !ok {
		l, err := e.get(ctx, v, true, true)
		if err != nil {
			return e.failed(set, &q, "reading the findings of the image", err)
		}
		if j = e.judge(l); !l.of(&q.Record) {
			return e.afresh(ctx, set, &q, l)
		}
		e.judged.put(imageKey{q.Record.InventoryID, q.Record.FindingsID}, j, j.bytes())
	}
	t := e.joinedTables()
	found, holds := e.conditions(&q, j, set, t)
	if denies(found) {
		return lasting(decision(set, q.Now, found), holds)
	}
	if code, text := set.unread(&q); code != "" {
		return decision(set, q.Now, append([]gate.Reason{none(code, text)}, found...))
	}
	jn, ok := e.jointOf(set, &q, t)
	if !ok {
		l, err := e.get(ctx, v, false, true)
		if err != nil {
			return e.failed(set, &q, "reading the findings of the image", err)
		}
		if l.f.InventoryID != "" && !l.of(&q.Record) {
			if l, err = e.get(ctx, v, true, true); err != nil {
				return e.failed(set, &q, "reading the findings of the image", err)
			}
			return e.afresh(ctx, set, &q, l)
		}
		jn = e.noteJoint(set, &q, t, l.f)
	}
	fs, err := e.facts(ctx, set, v, &jn)
	switch {
	case errors.Is(err, errNewer):
		l, err := e.get(ctx, v, true, true)
		if err != nil {
			return e.failed(set, &q, "reading the findings of the image", err)
		}
		return e.afresh(ctx, set, &q, l)
	case err != nil:
		return e.failed(set, &q, "reading the findings of the image", err)
	}
	m, err := e.rules(ctx, set, &q, fs, j.own, t, &jn)
	if err != nil {
		return e.failed(set, &q, "evaluating the policies", err)
	}
	return lasting(decision(set, q.Now, both(m.reasons, found)), holds.meet(m.holds).meet(jn.period()))
}

// afresh decides from large values that are not those that the record names: another
// write was faster than the reading. Nothing of it is kept.
func (e *Engine) afresh(ctx context.Context, set *activeSet, q *gate.Question, l large) gate.Decision {
	j := e.judge(l)
	own := *q
	own.Record.Summary = gate.Summary{} // it is of other values
	q = &own
	t := e.joinedTables()
	found, _ := e.conditions(q, j, set, t)
	if denies(found) {
		return decision(set, q.Now, found)
	}
	jn := set.joint(q, t, l.f)
	fs, err := buildFacts(set.visible.document, newMaterial(basicsOf(l.inv, l.f), l.inv.Named(l.f), l.f, &jn))
	var reasons []gate.Reason
	if err == nil {
		reasons, err = e.run(ctx, set, q, fs, j.own, t)
	}
	if err != nil {
		return e.failed(set, q, "evaluating the policies", err)
	}
	return decision(set, q.Now, both(reasons, found))
}

func denies(sorted []gate.Reason) bool {
	return len(sorted) > 0 && sorted[0].Action == gate.OutcomeDeny
}

// failed is the decision for an error.
func (e *Engine) failed(set *activeSet, q *gate.Question, doing string, err error) gate.Decision {
	return decision(set, q.Now, []gate.Reason{e.failure(q, doing, err)})
}

// decision makes the answer from reasons.
func decision(set *activeSet, now time.Time, reasons []gate.Reason) gate.Decision {
	return decide(gate.Decision{PolicyRevision: set.revision, EvaluatedAt: now}, reasons)
}

// lasting adds until when a decision holds as far as it depends on the time: the year
// 2200, which nanoseconds since 1970 can say, when it does not.
func lasting(d gate.Decision, holds period) gate.Decision {
	if d.Until = holds.end; d.Until.IsZero() {
		d.Until = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return d
}

// decide completes a decision: the worst action is the outcome, and the first
// deny gives the code.
func decide(d gate.Decision, reasons []gate.Reason) gate.Decision {
	d.Outcome, d.Reasons = gate.OutcomeAllow, reasons
	if reasons == nil {
		d.Reasons = []gate.Reason{}
	}
	for i := range reasons {
		r := &reasons[i]
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
func (e *Engine) failure(q *gate.Question, doing string, err error) gate.Reason {
	attrs := []any{"digest", string(q.Digest), "location", q.Location.String(), "error", err.Error()}
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, "panic", fmt.Sprint(p.value), "stack", string(p.stack))
	}
	class, known := gate.Classify(err)
	if attrs = append(attrs, "doing", doing); class.Code == gate.CodePending { // nothing is broken
		e.log.Debug("no decision yet", attrs...)
	} else {
		e.log.Error("decision failed", attrs...)
	}
	switch {
	case class.Code == gate.CodePolicyError:
		return condition(gate.OutcomeDeny, class.Code, refusal.Say(refusal.PolicyNoAnswer, refusal.P{"why": err}))
	case known && class.Code != gate.CodeInternal:
		return condition(gate.OutcomeDeny, class.Code, refusal.Say(refusal.While, refusal.P{"doing": doing, "why": refusal.Usual(class.Code)}))
	}
	return condition(gate.OutcomeDeny, gate.CodeInternal, refusal.Say(refusal.InternalLogged, refusal.P{"doing": doing}))
}

// errNewer says that a large value is not the one that the record names.
var errNewer = errors.New("what is stored is newer than the record")

// facts gets the shared part of the input, from the cache or from what is read for it.
func (e *Engine) facts(ctx context.Context, set *activeSet, v *values, j *joint) (*facts, error) {
	r := &v.q.Record
	key := set.imageKey(r, j)
	if fs, ok := e.inputs.get(key); ok {
		return fs, nil
	}
	inventory, findings := set.visible.needs(r, j)
	l, err := e.get(ctx, v, inventory, findings)
	if err != nil {
		return nil, err
	}
	if !l.of(r) {
		return nil, errNewer
	}
	fs, err := buildFacts(set.visible.document, newMaterial(basicsFrom(r, l), l.inv.Named(l.f), l.f, j))
	if err == nil {
		e.inputs.put(key, fs, fs.bytes)
	}
	return fs, err
}

// buildFacts turns a panic into an error.
func buildFacts(d *document, m *material) (fs *facts, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
	}()
	return d.facts(m), nil
}

// rules evaluates what is not remembered. Callers with the same key share one
// evaluation.
func (e *Engine) rules(ctx context.Context, set *activeSet, q *gate.Question, fs *facts, own origin, t Tables, j *joint) (memo, error) {
	key := set.key(q, own, t, j)
	result := e.evals.DoChan(string(key[:]), func() (any, error) {
		reasons, err := e.run(context.WithoutCancel(ctx), set, q, fs, own, t)
		if err != nil {
			return memo{}, err
		}
		shared, bytes := e.shared.share(reasons)
		m := memo{shared, set.visible.turn(q, fs, own, t), set.visible.spread(&key)}
		e.memos.put(key, m, bytes+memoBytes)
		return m, err
	})
	select {
	case r := <-result:
		m, _ := r.Val.(memo)
		if r.Err == nil && !m.fresh(q.Now) { // another's, at another time
			reasons, err := e.run(ctx, set, q, fs, own, t)
			return memo{reasons: reasons, holds: set.visible.turn(q, fs, own, t)}, err
		}
		return m, r.Err
	case <-ctx.Done():
		return memo{}, over(ctx, "policies")
	}
}

// run evaluates the rules in the pool.
func (e *Engine) run(ctx context.Context, set *activeSet, q *gate.Question, fs *facts, own origin, t Tables) ([]gate.Reason, error) {
	return e.pool.do(ctx, func(ctx context.Context) ([]gate.Reason, error) {
		return set.eval(ctx, set.visible.document.compose(q, fs, inForce(q, own), t))
	})
}

// eval runs the query of the set on one input.
func (s *Set) eval(ctx context.Context, input ast.Value) ([]gate.Reason, error) {
	results, err := s.query.Eval(withSpending(ctx), rego.EvalParsedInput(input))
	if err != nil {
		return nil, evalError(err)
	}
	return s.reasonsOf(results)
}
