package standing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// What becomes of a review of an image whose findings are of former advisory data, and
// that cannot be matched in time (docs/adr/0033-reviews-while-a-sweep-runs.md).

// errUnmatched ends the wait of a review for a match: the rest of its time is for the
// answer.
var errUnmatched = fmt.Errorf("the image is not matched in time: %w", gate.ErrPending)

// answerTime is what a review keeps of its time for the answer, at most a quarter: with
// former findings the policies are evaluated after the wait, and a review may have
// other images to wait for.
const answerTime = 2 * time.Second

// patient is a context that ends while there is still time to answer.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithDeadlineCause(ctx, deadline.Add(-min(answerTime, left/4)), errUnmatched)
}

// Evaluate answers a question with the active policies. Where the question has to be
// matched first, it waits for that as long as its deadline allows. Otherwise the former
// findings decide with a warning if they may (see [Standing.former]), or the answer is
// PENDING; the match is finished aside, and a sweep takes the image next.
func (s *Standing) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	if q.Former == nil {
		d := s.Evaluator.Evaluate(ctx, q)
		if d.Code == gate.CodeTimeout && s.matching.pending(q.Digest) { // its findings are lost
			return s.unmatched(q)
		}
		return d
	}
	waiting, stop := patient(ctx)
	defer stop()
	d := s.Evaluator.Evaluate(waiting, q)
	if waiting.Err() != nil && ctx.Err() == nil && late(d) && !s.matching.pending(q.Digest) {
		d = s.Evaluator.Evaluate(ctx, q) // it was matched, and the policies take long
	}
	if d.Code != gate.CodePending && !(d.Code == gate.CodeTimeout && s.matching.pending(q.Digest)) {
		return d
	}
	s.front.add(q.Digest)
	if !s.former(q.Former.Record, q.Now) {
		return s.unmatched(q)
	}
	former := q
	former.Record, former.Load, former.LoadFindings, former.Former = q.Former.Record, q.Former.Load, q.Former.LoadFindings, nil
	d = s.Evaluator.Evaluate(ctx, former)
	d.Unmatched, d.Former, d.Until = true, q.Former.Record.Generation, time.Time{}
	text := refusal.Say(refusal.PendingFormer, refusal.P{"former": q.Former.Record.Generation, "now": q.Record.Generation})
	d.Reasons = append(slices.Clip(d.Reasons), gate.Reason{
		Action: gate.OutcomeWarn, Code: gate.CodePending, Msg: refusal.English(text), Text: text, Findings: []string{},
	})
	if d.Outcome == gate.OutcomeAllow {
		d.Outcome = gate.OutcomeWarn
	}
	return d
}

// late reports whether an answer may be so because the time was over.
func late(d gate.Decision) bool {
	return d.Code == gate.CodePending || d.Code == gate.CodeTimeout || d.Code == gate.CodePolicyError
}

// unmatched is the answer while nothing may decide.
func (s *Standing) unmatched(q gate.Question) gate.Decision {
	text := refusal.Say(refusal.PendingMatch, nil)
	if q.Former != nil {
		text = refusal.Say(refusal.PendingRematch, refusal.P{"former": q.Former.Record.Generation, "now": q.Record.Generation})
	}
	return gate.Decision{
		Outcome: gate.OutcomeNone, Code: gate.CodePending, PolicyRevision: s.Evaluator.Revision(), EvaluatedAt: q.Now, Unmatched: true,
		Reasons: []gate.Reason{{Action: gate.OutcomeDeny, Code: gate.CodePending, Msg: refusal.English(text), Text: text, Findings: []string{}}},
	}
}

// former reports whether the findings of a record may decide although newer advisory
// data is in use here: they are of the same matcher and exactly of the generation
// before, that was replaced less than SweepGrace ago, what is different since is known,
// and this process has not seen newer findings of the image. Whatever is not known is
// a no.
func (s *Standing) former(rec gate.Record, now time.Time) bool {
	g, loaded := s.Matcher.Generation()
	age := now.Sub(g.ActivatedAt)
	if !loaded || s.Difference == nil || age >= s.SweepGrace || age < -gate.ClockSkew || s.SweepGrace <= 0 {
		return false
	}
	if rec.FindingsID == "" || rec.FindingsOf != rec.InventoryID || rec.Matcher != s.Matcher.Version() {
		return false
	}
	number, content, known := s.Difference(g, s.Matcher.Version())
	return known && rec.Generation == number && rec.Advisories == content && s.newer.knows(g) && !s.newer.has(g, rec.Digest)
}

// newer are the digests that have findings of the generation in use: former ones of
// these were put back. It holds them while former findings may decide.
type newer struct {
	mu   sync.RWMutex
	of   gate.Generation
	seen map[gate.Digest]struct{}
}

// newerMost bounds what is remembered; with more, former findings decide nothing.
const newerMost = 200_000

// note remembers that a digest has findings of a generation. A question that began
// before the present one came must not have that forgotten.
func (n *newer) note(g gate.Generation, d gate.Digest) {
	if n.has(g, d) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of.Number > g.Number {
		return
	}
	if n.of != g || n.seen == nil {
		n.of, n.seen = g, map[gate.Digest]struct{}{}
	}
	if len(n.seen) <= newerMost {
		n.seen[gate.Digest(strings.Clone(string(d)))] = struct{}{}
	}
}

// noteNewer remembers whose findings these are, while former ones may decide.
func (s *Standing) noteNewer(f *gate.Findings) {
	g, ok := s.Matcher.Generation()
	if ok && f.Generation == g.Number && s.Now().Sub(g.ActivatedAt) < s.SweepGrace {
		s.newer.note(g, f.Digest)
	}
}

func (n *newer) has(g gate.Generation, d gate.Digest) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, there := n.seen[d]
	return there && n.of == g
}

// knows reports whether all that was noted of a generation is remembered.
func (n *newer) knows(g gate.Generation) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.of != g {
		return n.of.Number <= g.Number
	}
	return len(n.seen) <= newerMost
}
