// Package standing keeps the findings and the standing verdicts of stored digests
// current, and makes the questions that policies answer.
package standing

import (
	"context"
	"log/slog"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Matcher matches inventories against the active advisory generation;
// scanner/match implements it. Errors: ErrAdvisoriesUnavailable, ErrTimeout.
// A distribution release that the data does not know is not an error but
// Findings.Unassessable.
type Matcher interface {
	// Match compares an inventory with the active generation; see Matcher for its
	// errors. After ErrAdvisoriesUnavailable admission refuses with the code of that name.
	Match(ctx context.Context, inv *gate.Inventory) (*gate.Findings, error)
	// Generation is the active generation; ok is false when none is loaded.
	Generation() (g gate.Generation, ok bool)
	// Version identifies the linked detectors; an upgrade matches again.
	Version() string
}

// Evaluator answers questions with the active policy set; policy implements
// it. It never returns an error: a policy that fails is a deny with
// CodePolicyError, an evaluation over its budget too.
type Evaluator interface {
	// Evaluate answers a question; a failure is a deny with its code.
	Evaluate(ctx context.Context, q gate.Question) gate.Decision
	// Revision identifies the active policies, exceptions and options.
	Revision() string
}

// Records is the part of the store that findings and verdicts are kept in;
// see store.Records.
type Records interface {
	gate.Reader
	// History returns what changed on a digest, the newest first. Errors: those of the
	// store; the findings are written without what it would have told.
	History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error)
	// PutFindings stores findings in place of those with the id replaces, "" for none.
	// gate.ErrConflict: others are stored, or they were computed from another inventory
	// or an older generation, read again; gate.ErrStoreUnavailable: the former ones
	// stay until the next sweep.
	PutFindings(ctx context.Context, f *gate.Findings, replaces string) (gate.Written, error)
	// PutVerdicts stores standing verdicts and returns those that they replace; unknown
	// locations are left out. gate.ErrConflict: the record has another basis by now,
	// read and evaluate again. Admission does not read standing verdicts.
	PutVerdicts(ctx context.Context, d gate.Digest, basis gate.Basis, verdicts []gate.Verdict) (replaced []gate.Verdict, err error)
}

// Standing keeps the findings and the standing verdicts of known digests current,
// and makes the questions that verdicts answer. Its methods are safe for concurrent
// use.
type Standing struct {
	Records    Records
	Matcher    Matcher
	Evaluator  Evaluator
	Registries *gate.Registries
	// Tags lists the tags that are known to name a digest at a location, for
	// standing verdicts; nil lists none.
	Tags func(ctx context.Context, d gate.Digest, loc gate.Location) []string
	// For, unless nil, is the request that standing verdicts are evaluated for, as
	// admission would: for a command that decides once and keeps nothing. In a server
	// it is nil.
	For *gate.Request
	// SweepGrace is how long after new advisory data came into force findings of the data
	// before may decide a review that cannot wait for a match; 0 is never.
	SweepGrace time.Duration
	// Replaced reports whether the findings that a record names were those of its image in
	// the generation directly before g, when g came into force, and are touched by what is
	// different in it, and the content of that generation; false while that is not known.
	// nil knows nothing; see [Lifts.Replaced].
	Replaced func(rec *gate.Record, g gate.Generation) (base gate.Digest, ok bool)
	// Joined are the tables that are joined to findings; nil is none.
	Joined Joined
	// Changes takes what became different; nil takes nothing.
	Changes Changes
	// Stored is called with findings that were just stored, and their id; nil is not. They
	// must not be changed.
	Stored func(id string, f *gate.Findings)
	// Lifts know which findings of a former generation stand in this one; nil knows none.
	Lifts *Lifts
	Now   func() time.Time
	Log   *slog.Logger
	// Asked remembers what admission asks for; nil remembers nothing.
	Asked *Asked

	// front is what the next step of a sweep is for.
	front front
	// matching bounds what questions match; see Question.
	matching matching
	// newer are images of which newer findings than the former ones are known.
	newer newer
}

// Loaded reports whether an advisory generation is loaded here.
func (s *Standing) Loaded() bool {
	_, ok := s.Matcher.Generation()
	return ok
}
