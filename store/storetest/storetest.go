// Package storetest is the conformance suite of the store contract: every
// implementation and every decorator passes it. A rule of DESIGN.md §5 that is
// not tested here is not kept; a bug found in one implementation becomes a
// case for all.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Harness is an empty store under test.
type Harness struct {
	Store store.Store
	// Advance moves the store's clock forward.
	Advance func(d time.Duration)
	// Reopen ends the store the way a crash would, as far as a test can, and
	// returns the store that comes up on what was durable. The former store is
	// not used any more. Nil for a store whose durability is not its own.
	Reopen func() store.Store
}

// Run runs the suite. open makes a fresh, empty store and registers its
// removal with t.Cleanup; it is called once for each case, and many times by
// the properties, which close their stores themselves.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"enqueue", enqueueCases},
		{"claim", claimCases},
		{"finish", finishCases},
		{"cancel", cancelCases},
		{"fairness", fairnessCases},
		{"sharing", sharingCases},
		{"limits", limitCases},
		{"quota", quotaCases},
		{"restore", restoreCases},
		{"budgets", budgetCases},
		{"records", recordCases},
		{"sightings", sightCases},
		{"values", valueCases},
		{"verdicts", verdictCases},
		{"history", historyCases},
		{"history_order", historyOrderCases},
		{"tags", tagCases},
		{"settings", settingCases},
		{"feed", feedCases},
		{"read", readCases},
		{"marks", markCases},
		{"forget", forgetCases},
		{"admission", admissionCases},
		{"crash", crashCases},
		{"concurrency", concurrencyCases},
		{"lifecycle", lifecycleCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newEnv(t, open(t))) })
			}
		})
	}
	t.Run("copy", func(t *testing.T) { RunCopy(t, open, open) })
	t.Run("properties", func(t *testing.T) { runProperties(t, open) })
}

// RunAdmission runs the cases about what reviews read alone, for stores in several
// processes.
func RunAdmission(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range admissionCases {
		t.Run(c.name, func(t *testing.T) { c.run(newEnv(t, open(t))) })
	}
}

type testCase struct {
	name string
	run  func(*env)
}

// env is a store under test and short words for what tests say often. Its
// methods end the test when the store answers with an error that the word does
// not expect.
type env struct {
	tb
	ctx     context.Context
	s       store.Store
	advance func(time.Duration)
	reopen  func() store.Store
}

// tb is what the cases need of a testing.T or a rapid.T.
type tb interface {
	Helper()                           // as testing.TB has it, like all of these
	Context() context.Context          // ends with the test
	Error(args ...any)                 // reports
	Errorf(format string, args ...any) // reports
	Fatal(args ...any)                 // reports and ends the test
	Fatalf(format string, args ...any) // reports and ends the test
	Skip(args ...any)                  // ends the test, which is not run here
}

func newEnv(t tb, h Harness) *env {
	return &env{tb: t, ctx: t.Context(), s: h.Store, advance: h.Advance, reopen: h.Reopen}
}

// crash reopens the store, or skips the test where that makes no sense.
func (e *env) crash() {
	e.Helper()
	if e.reopen == nil {
		e.Skip("this store cannot be reopened by the test")
	}
	e.s = e.reopen()
}

// digest is a valid digest made of a name.
func digest(name string) gate.Digest {
	sum := sha256.Sum256([]byte(name))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

var (
	app   = gate.Location{Registry: "harbor", Repository: "library/app"}
	web   = gate.Location{Registry: "harbor", Repository: "library/web"}
	other = gate.Location{Registry: "quay", Repository: "team/app"}
)

func analyze(name string, trigger gate.Trigger) gate.JobRequest {
	return gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: digest(name), Trigger: trigger}
}

func resolve(name, tag string, trigger gate.Trigger) gate.JobRequest {
	return gate.JobRequest{Kind: gate.JobResolve, Location: app, Digest: digest(name), Tag: tag, Trigger: trigger}
}

func (e *env) enqueue(req gate.JobRequest, want gate.Enqueued) gate.Job {
	e.Helper()
	job, outcome, err := e.s.Enqueue(e.ctx, req)
	if err != nil {
		e.Fatalf("Enqueue(%s %s): %v", req.Kind, req.Key(), err)
	}
	if outcome != want {
		e.Fatalf("Enqueue(%s %s, %s): got %q, want %q", req.Kind, req.Key(), req.Trigger, outcome, want)
	}
	return job
}

const (
	testLease    = 30 * time.Second
	testAttempts = 3
)

func claimRequest() gate.ClaimRequest {
	return gate.ClaimRequest{Worker: "w1", Lease: testLease, MaxAttempts: testAttempts, Period: gate.Period{Key: "2026-11"}}
}

func (e *env) claim() gate.Job {
	e.Helper()
	return e.claimWith(claimRequest())
}

func (e *env) claimWith(req gate.ClaimRequest) gate.Job {
	e.Helper()
	job, err := e.s.Claim(e.ctx, req)
	if err != nil {
		e.Fatalf("Claim: %v", err)
	}
	if job.State != gate.JobRunning || job.Worker != req.Worker {
		e.Fatalf("Claim: got state %q of worker %q, want running by %q", job.State, job.Worker, req.Worker)
	}
	return job
}

func (e *env) claimNone() { e.Helper(); e.claimNoneWith(claimRequest()) }

func (e *env) claimNoneWith(req gate.ClaimRequest) {
	e.Helper()
	if job, err := e.s.Claim(e.ctx, req); !errors.Is(err, gate.ErrNoJob) {
		e.Fatalf("Claim: got job %s %q and %v, want ErrNoJob", job.Kind, job.Key, err)
	}
}

func (e *env) finish(job gate.Job, result error, want gate.JobState) gate.Job {
	e.Helper()
	return e.finishWith(job, gate.Result{Err: result, MaxAttempts: testAttempts}, want)
}

func (e *env) finishWith(job gate.Job, result gate.Result, want gate.JobState) gate.Job {
	e.Helper()
	after, err := e.s.Finish(e.ctx, job.Lease(), result)
	if err != nil {
		e.Fatalf("Finish(%v): %v", result.Err, err)
	}
	if after.State != want {
		e.Fatalf("Finish(%v): got state %q, want %q", result.Err, after.State, want)
	}
	return after
}

func (e *env) job(id string) gate.Job {
	e.Helper()
	job, err := e.s.Job(e.ctx, id)
	if err != nil {
		e.Fatalf("Job(%q): %v", id, err)
	}
	return job
}

func (e *env) wantState(id string, want gate.JobState) gate.Job {
	e.Helper()
	job := e.job(id)
	if job.State != want {
		e.Fatalf("Job(%q): got state %q, want %q", id, job.State, want)
	}
	return job
}

func (e *env) serve(job gate.Job) {
	e.Helper()
	if err := e.s.Serve(e.ctx, job.Lease()); err != nil {
		e.Fatalf("Serve: %v", err)
	}
}

func (e *env) wantUsed(period string, want int64) {
	e.Helper()
	use, err := e.s.Quota(e.ctx, period)
	if err != nil {
		e.Fatalf("Quota(%q): %v", period, err)
	}
	if use.Used != want {
		e.Fatalf("Quota(%q): got %d used, want %d", period, use.Used, want)
	}
}

func (e *env) wantCharged(name, want string) {
	e.Helper()
	got, err := e.s.Charged(e.ctx, digest(name))
	if err != nil {
		e.Fatalf("Charged: %v", err)
	}
	if got.Period != want || got.At.IsZero() != (want == "") {
		e.Fatalf("Charged(%s): got %+v, want period %q", name, got, want)
	}
	several, err := e.s.ChargesOf(e.ctx, []gate.Digest{digest("never charged"), digest(name)})
	one, there := several[digest(name)]
	if err != nil || one != got || there != (want != "") || len(several) > 1 {
		e.Fatalf("ChargesOf(%s): got %+v, %v, want %+v", name, several, err, got)
	}
}

func (e *env) now() time.Time {
	e.Helper()
	now, err := e.s.Now(e.ctx)
	if err != nil {
		e.Fatalf("Now: %v", err)
	}
	return now
}

func (e *env) record(name string) gate.Record {
	e.Helper()
	return e.entry(name).Record
}

func (e *env) entry(name string) gate.Entry {
	e.Helper()
	res, err := e.s.Read(e.ctx, gate.ReadRequest{Digests: []gate.Digest{digest(name)}, AllJobs: true})
	if err != nil {
		e.Fatalf("Read: %v", err)
	}
	entry, ok := res.Digests[digest(name)]
	if !ok {
		e.Fatalf("Read: the digest that was asked for has no entry")
	}
	return entry
}

func (e *env) no(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) want(err, sentinel error) {
	e.Helper()
	if !errors.Is(err, sentinel) {
		e.Fatalf("got error %v, want %v", err, sentinel)
	}
}

// wantClassified checks that an error of a store has its place in gate's table.
func (e *env) wantClassified(err error) {
	e.Helper()
	if _, ok := gate.Classify(err); err != nil && !ok {
		e.Fatalf("error %v wraps no sentinel of gate", err)
	}
}

func name(prefix string, i int) string { return fmt.Sprintf("%s-%04d", prefix, i) }
