package gate

import (
	"context"
	"log/slog"
	"time"
)

// Matcher matches inventories against the active advisory generation;
// scanner/match implements it. Errors: ErrAdvisoriesUnavailable, ErrTimeout.
// A distribution release that the data does not know is not an error but
// Findings.Unassessable.
type Matcher interface {
	Match(ctx context.Context, inv *Inventory) (*Findings, error)
	// Generation is the active generation; ok is false when none is loaded.
	Generation() (g Generation, ok bool)
	// Version identifies the linked detectors; an upgrade matches again.
	Version() string
}

// Evaluator answers questions with the active policy set; policy implements
// it. It never returns an error: a policy that fails is a deny with
// CodePolicyError, an evaluation over its budget too.
type Evaluator interface {
	Evaluate(ctx context.Context, q Question) Decision
	// Revision identifies the active policies, exceptions and options.
	Revision() string
}

// StandingRecords is the part of the store that findings and verdicts are kept in;
// see store.Records.
type StandingRecords interface {
	Reader
	PutFindings(ctx context.Context, f *Findings) error
	PutVerdicts(ctx context.Context, d Digest, verdicts []Verdict) error
}

// Standing keeps the findings and the standing verdicts of known digests current,
// and makes the questions that verdicts answer. Its methods are safe for concurrent
// use.
type Standing struct {
	Records    StandingRecords
	Matcher    Matcher
	Evaluator  Evaluator
	Registries *Registries
	// Tags lists the tags that are known to name a digest at a location, for
	// standing verdicts; nil lists none.
	Tags func(ctx context.Context, d Digest, loc Location) []string
	// For, unless nil, is the request that standing verdicts are evaluated for, as
	// admission would: for a command that decides once and keeps nothing. In a server
	// it is nil.
	For *Request
	Now func() time.Time
	Log *slog.Logger

	// matching bounds what questions match; see Question.
	matching matchSlots
}

// Evaluate answers a question with the active policies.
func (s *Standing) Evaluate(ctx context.Context, q Question) Decision {
	return s.Evaluator.Evaluate(ctx, q)
}

// Loaded reports whether an advisory generation is loaded here.
func (s *Standing) Loaded() bool {
	_, ok := s.Matcher.Generation()
	return ok
}
