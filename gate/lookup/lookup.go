// Package lookup answers "may it run?" for one image reference from stored facts: what a
// tag names, what is known of the digest, and what has to be queued when that is not
// enough. Local copies answer while the store does not.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/refusal"
)

// RepositoryRule says whether images of matching repositories may be admitted.
// Pattern is a doublestar pattern over "registry/repository" with the
// registry's configured name.
type RepositoryRule struct {
	Pattern string
	Allowed bool
}

// Options are the operator's rules for references.
type Options struct {
	RequireDigest bool
	TagMaxAge     time.Duration // a clean mapping this young needs no call
	TagGrace      time.Duration // and this young serves when the registry does not answer
	Wait          time.Duration // hold a request this long for an analysis in progress
	// NewDigestsPerHour is what admission misses of one namespace may queue.
	NewDigestsPerHour int
	// NewDigestsPerHourTotal is what those of all namespaces of a cluster may
	// queue together, half of it reserved for Established ones.
	NewDigestsPerHourTotal int
	// Established knows the namespaces that had an image admitted; nil: none.
	Established  *Established
	Repositories []RepositoryRule
}

// Budget takes from named budgets; see store.Charges.
type Budget interface {
	// Spend takes one of limit in a window and reports whether it was there. After an
	// error nothing is queued and admission refuses with STORE_UNAVAILABLE.
	Spend(ctx context.Context, budget string, limit int, window time.Duration) (bool, error)
}

// Standing makes and answers questions about stored digests; gate/standing
// implements it.
type Standing interface {
	// Question makes the question about a stored digest at a location. matched, unless
	// nil, is called with the outcome of each match that is made for it.
	Question(r gate.Reader, e gate.Entry, loc gate.Location, event gate.Event, matched func(error)) gate.Question
	// Evaluate answers it with the active policies.
	Evaluate(ctx context.Context, q gate.Question) gate.Decision
	// Loaded reports whether advisory data is loaded here.
	Loaded() bool
}

// Resolver reads tags; gate/pipeline implements it.
type Resolver interface {
	// HeadTag asks the registry, which is at host, which digest a tag names. The
	// answer counts only for a digest that was read before. Errors: those of the
	// registry, ErrNotFound when it has no such tag; ErrOtherHost when the registry
	// is at another host by now.
	HeadTag(ctx context.Context, key gate.TagKey, host string) (gate.Digest, error)
	// ReadTag reads the manifest that a tag names. Errors: those of HeadTag, and
	// those of what was read.
	ReadTag(ctx context.Context, key gate.TagKey, host string) (gate.Manifest, error)
	// Note records what a look found and asks for nothing. Errors: those of the
	// store.
	Note(ctx context.Context, found gate.Looked, loc gate.Location) error
	// UsualAnalysis is how long an analysis usually takes, if it is known.
	UsualAnalysis() (usual time.Duration, ok bool)
}

// Parts are what a lookup works with; all are needed but Platforms.
type Parts struct {
	// Reader is what decisions are read from: the store, or its decorator with a
	// local copy.
	Reader   gate.Reader
	Standing Standing
	Resolver Resolver
	Explain  *explain.Explainer
	Queue    interface {
		// Enqueue makes the scan of an unknown image durable, or joins the live job.
		// After an error admission refuses with STORE_UNAVAILABLE.
		Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)
	}
	Tags interface {
		// PutTag records what a read of a tag found and returns the mapping that stands.
		// After an error the reading may still decide, unrecorded (see unwritten.go).
		PutTag(ctx context.Context, key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error)
	}
	Budget     Budget
	Changed    func() <-chan struct{} // store.Feed's
	Registries *gate.Registries
	// Platforms reports whether a platform is among the configured ones, as of
	// now; nil trusts what was so when an index was read (Child.Judged).
	Platforms func(gate.Platform) bool
	Now       func() time.Time
	Log       *slog.Logger
}

// Lookup answers "may it run?" for one image reference of one request. It
// decides from stored facts; the registry is asked only for tags whose mapping
// is not fresh. It is safe for concurrent use.
type Lookup struct {
	parts    Parts
	options  Options
	metrics  *Metrics
	tags     singleflight.Group
	spending singleflight.Group
	// asked is when a namespace last paid for asking for something.
	asked    *otter.Cache[askedKey, time.Time]
	usedUp   usedUp
	silences silences
	writes   writeHealth
	writer   writer
	// kept are readings of tags that the store has not taken.
	kept *otter.Cache[gate.TagKey, keptReading]
	// heads are what registries have said last, by host and tag. events counts their
	// answers and the ends of writing them, which orders them and the reads.
	heads  *otter.Cache[string, *headed]
	events atomic.Int64
	// remembered says what to read ahead.
	remembered remembered
	current    *copies.Copies // that answer without a read; nil: there are none
	rules      *otter.Cache[gate.Location, ruling]
	matched    func(error)
}

// rememberAsked bounds asked, in bytes. All entries weigh the same, because the keys
// are hashes; there is room for 50,000. What is forgotten is paid for again.
const rememberAsked = 12 << 20

// New makes a lookup.
func New(parts Parts, o Options, m *Metrics) *Lookup {
	l := &Lookup{
		parts: parts, options: o, metrics: m, matched: m.matched,
		asked: copies.Weighed(rememberAsked, func(askedKey, time.Time) int64 { return 0 }),
		kept:  newKeptReadings(), heads: newHeads(), current: currentOf(parts.Reader), rules: newRulings(),
	}
	if l.current == nil {
		l.remembered = newRemembered()
	}
	return l
}

func notYet(a gate.Answer) bool { return a.Code == gate.CodePending || a.Code == gate.CodeUnscanned }

// lookEvery is how often a request that waits looks again at most, however much
// is stored meanwhile: a thousand may wait at once.
const lookEvery = 250 * time.Millisecond

// wait repeats the decision after changes until it is another than "not yet", for
// at most the configured time.
func (l *Lookup) wait(ctx context.Context, ref gate.Reference, req gate.Request, a gate.Answer, changed <-chan struct{}) gate.Answer {
	reg, _ := l.parts.Registries.ByHost(ref.Host)
	limit, first := time.After(l.options.Wait), true
	for notYet(a) {
		over := false
		err := gate.Aside(ctx, reg.Name, func() {
			for _, next := range []<-chan struct{}{after(lookEvery), changed} {
				select {
				case <-ctx.Done():
					over = true
				case <-limit:
					over = true
				case <-next:
				}
				if over {
					return
				}
			}
		})
		switch {
		case errors.Is(err, gate.ErrBusy) && first:
			busy := refusedFor(fmt.Errorf("waiting for the scan of %s: %w", a.Digest, err))
			busy.Digest = a.Digest
			busy.Text = refusal.Say(refusal.BusyScans, refusal.P{"registry": reg.Name})
			return busy
		case over || err != nil:
			return a
		}
		first, changed = false, l.parts.Changed()
		next := l.lookAgain(ctx, ref, req)
		if ctx.Err() != nil {
			return a
		}
		a = next
	}
	return a
}

// after is closed once d has passed.
func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// look is a lookup that reads from what was read for its review.
type look struct {
	*Lookup
	reader *ahead
	hand   *atHand // nil: whatever the answer takes is done
}

// locate finds the configured registry of a reference and applies the rules
// about repositories. host is where that registry is read.
func (l *Lookup) locate(ref gate.Reference) (loc gate.Location, host string, refused *gate.Answer) {
	no := func(text gate.Text) (gate.Location, string, *gate.Answer) {
		a := refuse(gate.ErrRegistryNotTrusted, text)
		return gate.Location{}, "", &a
	}
	reg, ok := l.parts.Registries.ByHost(ref.Host)
	if !ok {
		return no(refusal.Say(refusal.RegistryNotConfigured, refusal.P{"host": ref.Host}))
	}
	loc = gate.Location{Registry: reg.Name, Repository: ref.Repository}
	switch l.ruling(loc) {
	case ruledOut:
		return no(refusal.Say(refusal.RepositoryDenied, refusal.P{"repository": loc}))
	case unlisted:
		return no(refusal.Say(refusal.RepositoryUnlisted, refusal.P{"repository": loc}))
	}
	return loc, gate.CanonicalHost(reg.Host), nil
}

// answer is for what a digest turned out to be.
func (l look) answer(ctx context.Context, entry *gate.Entry, digest gate.Digest, loc gate.Location, ref gate.Reference, req *gate.Request) gate.Answer {
	m := &entry.Record.Manifest
	if l.hand.leaves(entry, req) {
		return l.hand.leave()
	}
	l.readAgain(entry, digest, loc, req)
	switch {
	case m.Unassessable != "" || m.Kind == gate.KindImage:
		return l.image(ctx, entry, digest, loc, ref, req)
	case m.Kind == gate.KindIndex:
		return l.index(ctx, m, loc, ref, req)
	case m.Kind == gate.KindUnknown && l.hand != nil:
		return l.hand.leave()
	case m.Kind == gate.KindUnknown:
		return l.miss(ctx, gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: digest, Trigger: gate.TriggerAdmission, Cluster: req.Cluster, Namespace: req.Namespace}, *entry, req.DryRun)
	}
	return refuse(gate.ErrUnassessable, refusal.Say(refusal.UnassessableKind, refusal.P{"kind": m.Kind}))
}

// image evaluates one platform's image and queues what is missing.
func (l look) image(ctx context.Context, entry *gate.Entry, digest gate.Digest, loc gate.Location, ref gate.Reference, req *gate.Request) gate.Answer {
	if l.hand != nil {
		return l.hand.image(entry, digest, loc, ref, req)
	}
	named := *entry
	named.Record.Digest = digest
	return l.evaluated(ctx, named, digest, loc, ref, *req)
}

// evaluated is image with whatever the answer takes.
func (l look) evaluated(ctx context.Context, entry gate.Entry, digest gate.Digest, loc gate.Location, ref gate.Reference, req gate.Request) gate.Answer {
	q := l.parts.Standing.Question(l.reader, entry, loc, gate.EventAdmission, l.matched)
	q.Host, q.Request = ref.Host, &req
	if ref.Tag != "" { // our own reading, also when the digest is known by now
		q.Tags = []string{ref.Tag}
	}
	d := l.parts.Standing.Evaluate(ctx, q)
	generation := q.Record.Generation
	if d.Unmatched {
		if l.metrics.unmatched(d.Former); d.Former > 0 {
			generation = d.Former
		}
	}
	a := decided(d, digest, generation)
	switch q.State {
	case gate.StateNotScanned, gate.StateFailed, gate.StateQueued, gate.StateScanning, gate.StateQuotaExhausted:
		job := gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: digest, Trigger: gate.TriggerAdmission, Cluster: req.Cluster, Namespace: req.Namespace}
		queued := l.miss(ctx, job, entry, req.DryRun)
		switch {
		case notYet(a), a.Code == gate.CodeQuotaExhausted:
			queued.Digest = digest
			return queued
		case a.Code == gate.CodeScanFailed:
			a.Text = l.scanFailed(entry.Job, loc, queued)
		}
	case gate.StateScanned:
		if a.Code == gate.CodeUnscanned { // the inventory that the record names is lost
			job := gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: digest, Trigger: gate.TriggerAdmission, Cluster: req.Cluster, Namespace: req.Namespace, Force: true}
			queued := l.miss(ctx, job, entry, req.DryRun)
			queued.Digest = digest
			return queued
		}
		if a.Code == gate.CodePending && !l.parts.Standing.Loaded() {
			a.Text = refusal.Say(refusal.PendingAdvisories, nil)
		}
		if _, seen := entry.Record.At(loc); !seen && !req.DryRun && !entry.Copied {
			l.noteLocation(loc, digest, req)
		}
	case gate.StateCancelled:
		a.Text = refusal.Say(refusal.UnscannedCancelled, nil)
	case gate.StateUnassessable:
		if entry.Record.Manifest.Unassessable == "" && a.Code == gate.CodeUnassessable && entry.Job != nil {
			a.Text = refusal.Say(refusal.UnassessableBecause, refusal.P{"why": l.failed(*entry.Job, loc)})
		}
	}
	return a
}

// decided is the answer of a decision about a digest.
func decided(d gate.Decision, digest gate.Digest, generation int64) gate.Answer {
	return gate.Answer{
		Outcome: d.Outcome, Code: d.Code, Reasons: d.Reasons, Text: describe(d), Digest: digest, Warns: d.Warns(),
		PolicyRevision: d.PolicyRevision, Generation: generation,
	}
}

// refusedFor turns an error into an answer, which is never an allow and leaves the
// words to the code's usual sentence, unless a store has its own.
func refusedFor(err error) gate.Answer {
	a := gate.Answer{Outcome: gate.OutcomeNone, Code: gate.CodeOf(err), Err: err}
	if fault := new(gate.StoreFault); a.Code == gate.CodeStoreUnavailable && errors.As(err, &fault) {
		a.Text = refusal.Say(refusal.StoreFault, refusal.P{"why": fault.Words})
	}
	return a
}

// refuse is the answer with a text of our own for the refused person; the
// same text and the sentinel make the error for the operator.
func refuse(sentinel error, text gate.Text) gate.Answer {
	a := refusedFor(fmt.Errorf("%s: %w", refusal.English(text), sentinel))
	a.Text = text
	return a
}

// describe is the text for a refused person when no rule spoke: the conditions
// that the evaluator found.
func describe(d gate.Decision) gate.Text {
	var parts []gate.Text
	for i := range d.Reasons {
		switch r := &d.Reasons[i]; {
		case r.Action != gate.OutcomeDeny || r.Rule != "":
		case r.Text.IsZero():
			parts = append(parts, refusal.Say(refusal.Detail, refusal.P{"text": r.Msg}))
		default:
			parts = append(parts, r.Text)
		}
	}
	return refusal.All(parts...)
}
