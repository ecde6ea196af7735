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
// matched first, it waits for that as long as its deadline allows. Where that does not
// fit, or so many images wait for a match that they would keep reviews for longer than
// their answers take, the former findings decide with a warning if they may (see
// [Standing.former]); else the answer is PENDING. The image is the next that a sweep
// takes.
func (s *Standing) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	if q.Former == nil {
		d := s.Evaluator.Evaluate(ctx, q)
		if d.Code == gate.CodeTimeout && s.matching.pending(q.Digest) { // its findings are lost
			return s.unmatched(q)
		}
		return d
	}
	may := s.former(q.Former.Record, q.Now)
	if !s.matching.enter(q.Digest, time.Now(), !may) {
		if d, ok := s.matchedBefore(q); ok {
			return d
		}
		return s.byFormer(ctx, q)
	}
	defer s.matching.leave(q.Digest)
	waiting, stop := patient(ctx)
	defer stop()
	d := s.Evaluator.Evaluate(waiting, q)
	if waiting.Err() != nil && ctx.Err() == nil && late(d) && !s.matching.pending(q.Digest) {
		d = s.Evaluator.Evaluate(ctx, q) // it was matched, and the policies take long
	}
	if d.Code != gate.CodePending && !(d.Code == gate.CodeTimeout && s.matching.pending(q.Digest)) {
		return d
	}
	if !s.former(q.Former.Record, q.Now) { // it may have been matched meanwhile
		s.front.add(q.Digest)
		return s.unmatched(q)
	}
	return s.byFormer(ctx, q)
}

// byFormer answers by the former findings, which may decide.
func (s *Standing) byFormer(ctx context.Context, q gate.Question) gate.Decision {
	s.front.add(q.Digest)
	return s.warned(q, s.Evaluator.Evaluate(ctx, formerQuestion(q)))
}

// matchedBefore is the answer by a match that this process has made before.
func (s *Standing) matchedBefore(q gate.Question) (d gate.Decision, ok bool) {
	if e, knows := s.Evaluator.(knowing); knows {
		return e.Known(q)
	}
	return d, false
}

// formerQuestion asks about the former findings.
func formerQuestion(q gate.Question) gate.Question {
	f := q.Former
	q.Record, q.Load, q.LoadFindings, q.Former = f.Record, f.Load, f.LoadFindings, nil
	return q
}

// warned is the answer to a question by its former findings.
func (s *Standing) warned(q gate.Question, d gate.Decision) gate.Decision {
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

// knowing is an Evaluator that knows answers which need nothing to be read or evaluated.
type knowing interface {
	// Known answers a question as Evaluate would; ok is false where that would need more.
	Known(q gate.Question) (d gate.Decision, ok bool)
}

// Known answers a question as Evaluate does, when that needs nothing to be read, matched
// or evaluated; ok is false otherwise.
func (s *Standing) Known(q gate.Question) (d gate.Decision, ok bool) {
	e, knows := s.Evaluator.(knowing)
	if !knows {
		return d, false
	}
	if d, ok = e.Known(q); ok || q.Former == nil {
		return d, ok
	}
	if !s.former(q.Former.Record, q.Now) || !s.matching.crowded(q.Digest, time.Now()) {
		return d, false
	}
	if d, ok = e.Known(formerQuestion(q)); !ok {
		return d, false
	}
	s.front.add(q.Digest)
	return s.warned(q, d), true
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
// data is in use here: they are of the same matcher, and a signed statement about what is
// different says that they were the image's of the generation before, and are touched;
// that was replaced less than SweepGrace ago, while this process ran, and this process
// has not seen newer findings of the image. Whatever is not known is a no.
func (s *Standing) former(rec gate.Record, now time.Time) bool {
	g, loaded := s.Matcher.Generation()
	age := now.Sub(g.ActivatedAt)
	if !loaded || s.Replaced == nil || age >= s.SweepGrace || age < -gate.ClockSkew || s.SweepGrace <= 0 {
		return false
	}
	if rec.FindingsID == "" || rec.FindingsOf != rec.InventoryID || rec.Matcher != s.Matcher.Version() || rec.Generation >= g.Number {
		return false
	}
	base, ok := s.Replaced(&rec, g)
	return ok && s.newer.knows(g, base) && !s.newer.has(g, rec.Digest)
}

// newer are the digests that have findings of the generation in use: former ones of
// these were put back. It holds them while former findings may decide.
type newer struct {
	mu   sync.RWMutex
	of   gate.Generation
	seen map[gate.Digest]struct{}
	// base is the data that the generation replaced in this process, "" when it did not
	// come into use here: then it is not known what others have matched before.
	base gate.Digest
}

// newerMost bounds what is remembered; with more, former findings decide nothing.
const newerMost = 200_000

// begin is called before a generation replaces the data that is in use here.
func (n *newer) begin(base gate.Digest, g gate.Generation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of != g {
		n.of, n.seen, n.base = g, map[gate.Digest]struct{}{}, base
	}
}

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
		n.of, n.seen, n.base = g, map[gate.Digest]struct{}{}, ""
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

// knows reports whether all that was read or matched here of a generation is remembered,
// since it replaced a content.
func (n *newer) knows(g gate.Generation, base gate.Digest) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.of == g && n.base == base && base != "" && len(n.seen) <= newerMost
}
