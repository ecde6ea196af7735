package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestReview_faults is the fault matrix (A32): whatever a decider does wrong,
// at whichever of three calls, a Pod is never admitted and a template only
// where the code is lenient.
func TestReview_faults(t *testing.T) {
	digest := gate.Digest("sha256:" + goodHex)
	allow := gate.Answer{Outcome: gate.OutcomeAllow, Digest: digest}
	with := func(change func(*gate.Answer)) func(context.Context) gate.Answer {
		return func(context.Context) gate.Answer { a := allow; change(&a); return a }
	}
	faults := map[string]struct {
		decide func(context.Context) gate.Answer
		code   gate.Code
	}{
		"zero_value": {func(context.Context) gate.Answer { return gate.Answer{} }, gate.CodeInternal},
		"panic":      {func(context.Context) gate.Answer { panic("boom") }, gate.CodeInternal},
		"nil_dereference": {func(context.Context) gate.Answer {
			var l *lookup
			return l.Decide(context.Background(), gate.Reference{}, gate.Request{})
		}, gate.CodeInternal},
		"hangs":                 {func(ctx context.Context) gate.Answer { <-ctx.Done(); time.Sleep(time.Second); return allow }, gate.CodeTimeout},
		"error_untyped":         {func(context.Context) gate.Answer { return refusedFor(errors.New("x")) }, gate.CodeInternal},
		"error_timeout":         {func(context.Context) gate.Answer { return refusedFor(context.DeadlineExceeded) }, gate.CodeTimeout},
		"error_beside_allow":    {with(func(a *gate.Answer) { a.Err = gate.ErrStoreUnavailable }), gate.CodeInternal},
		"code_beside_allow":     {with(func(a *gate.Answer) { a.Code = gate.CodePending }), gate.CodeInternal},
		"allow_without_digest":  {with(func(a *gate.Answer) { a.Digest = "" }), gate.CodeInternal},
		"allow_of_broken":       {with(func(a *gate.Answer) { a.Digest = "sha256:1" }), gate.CodeInternal},
		"allow_of_other":        {with(func(a *gate.Answer) { a.Digest = "sha256:" + badHex }), gate.CodeInternal},
		"deny_without_code":     {with(func(a *gate.Answer) { a.Outcome = gate.OutcomeDeny }), gate.CodeInternal},
		"none_without_code":     {with(func(a *gate.Answer) { a.Outcome = gate.OutcomeNone }), gate.CodeInternal},
		"unknown_code":          {with(func(a *gate.Answer) { a.Outcome, a.Code = gate.OutcomeDeny, "NEW" }), gate.CodeInternal},
		"unknown_outcome":       {with(func(a *gate.Answer) { a.Outcome = "ALLOW" }), gate.CodeInternal},
		"code_without_outcome":  {with(func(a *gate.Answer) { a.Outcome, a.Code = "", gate.CodeStale }), gate.CodeStale},
		"store_unavailable":     {func(context.Context) gate.Answer { return refusedFor(gate.ErrStoreUnavailable) }, gate.CodeStoreUnavailable},
		"policy_without_reason": {with(func(a *gate.Answer) { a.Outcome, a.Code = gate.OutcomeDeny, gate.CodePolicy }), gate.CodePolicy},
	}
	for _, class := range gate.Errors() {
		faults["class_"+class.Label] = struct {
			decide func(context.Context) gate.Answer
			code   gate.Code
		}{func(context.Context) gate.Answer { return refusedFor(fmt.Errorf("x: %w", class.Err)) }, class.Code}
	}
	images := []string{"reg.example.com/a@" + string(digest), "reg.example.com/b@" + string(digest), "reg.example.com/c@" + string(digest)}
	for name, fault := range faults {
		for call := range images {
			t.Run(fmt.Sprintf("%s_%d", name, call), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := deciderFunc(func(ctx context.Context, ref gate.Reference, _ gate.Request) gate.Answer {
						if strings.HasSuffix(ref.Repository, string(rune('a'+call))) {
							return fault.decide(ctx)
						}
						return allow
					})
					got, resp := answer(t, reviewer(d), review(pod(images...), nil))
					if got.Allowed || resp.Code != fault.code {
						t.Errorf("Pod: got allowed %v, code %q, want %q: %s", got.Allowed, resp.Code, fault.code, resp.Message)
					}
					got, resp = answer(t, reviewer(d), review(workloads(images...)["Job"], nil))
					if got.Allowed == rowOf(fault.code).template || resp.Code != fault.code {
						t.Errorf("template: got allowed %v, code %q, want %q", got.Allowed, resp.Code, fault.code)
					}
					time.Sleep(time.Minute) // fake: late deciders end
				})
			})
		}
	}
}

// TestReview_deadline: a decider that ignores its context costs the caller
// nothing but the budget, and the review's place until it returns.
func TestReview_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		d := deciderFunc(func(context.Context, gate.Reference, gate.Request) gate.Answer {
			<-hang
			return gate.Answer{}
		})
		r := NewReviewer(Default(), d, Options{MaxInFlight: 2})
		for range 2 {
			start := time.Now()
			got, resp := answer(t, r, review(pod(good, pending), nil))
			if took := time.Since(start); took != 8500*time.Millisecond {
				t.Errorf("Review of a hanging decider: answered after %s, want 8.5s", took)
			}
			if got.Allowed || resp.Code != gate.CodeTimeout || got.Result.Code != 503 {
				t.Errorf("Review: got %s", resp.JSON())
			}
		}
		start := time.Now()
		got, resp := answer(t, r, review(pod(good), nil))
		if took := time.Since(start); took != slotWait || got.Allowed || resp.Code != gate.CodeBusy {
			t.Errorf("Review without a place: got %q after %s, want BUSY after %s", resp.Code, took, slotWait)
		}
		got, resp = answer(t, r, review(workloads(bad)["Job"], nil))
		if !got.Allowed || resp.Code != gate.CodeBusy || len(got.Warnings) != 1 {
			t.Errorf("Review of a template without a place: got %s", resp.JSON())
		}
		// Nobody waits for the lookup where nothing depends on it.
		if got, _ := answer(t, r, review(pod(bad), nil, namespace("kube-system"))); !got.Allowed {
			t.Error("Review of an exempt namespace: refused while busy")
		}
		close(hang)
		synctest.Wait()
		if len(r.slots) != 0 {
			t.Errorf("%d places are still taken", len(r.slots))
		}
	})
}

// TestReview_unchangedHangs: an update that leaves its images does not wait.
func TestReview_unchangedHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		d := deciderFunc(func(context.Context, gate.Reference, gate.Request) gate.Answer { <-hang; return gate.Answer{} })
		start := time.Now()
		got, resp := answer(t, reviewer(d), review(pod(bad), pod(bad)))
		if took := time.Since(start); !got.Allowed || took != unchangedBudget || len(got.Warnings) != 0 {
			t.Errorf("Review: got allowed %v after %s, %s", got.Allowed, took, resp.JSON())
		}
		close(hang)
		synctest.Wait()
	})
}

func TestReview_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := deciderFunc(func(ctx context.Context, _ gate.Reference, _ gate.Request) gate.Answer {
		cancel()
		<-ctx.Done()
		return refusedFor(ctx.Err())
	})
	resp, err := reviewer(d).Review(ctx, encode(t, review(pod(good), nil)), "default")
	if err != nil || resp.Allowed || resp.Code != gate.CodeTimeout {
		t.Errorf("Review: got %+v, %v", resp, err)
	}
}

// TestReview_sameReference: a reference that occurs several times is resolved
// once; every container is judged, all by the same digest (A27).
func TestReview_sameReference(t *testing.T) {
	var calls atomic.Int32
	var mu sync.Mutex
	asked := map[string]string{}
	d := deciderFunc(func(_ context.Context, ref gate.Reference, req gate.Request) gate.Answer {
		mu.Lock()
		asked[req.Container] = ref.String()
		mu.Unlock()
		if ref.Digest == "" {
			// The tag moves with every look at it.
			ref.Digest = gate.Digest(fmt.Sprintf("sha256:%064d", calls.Add(1)))
		}
		a := gate.Answer{Outcome: gate.OutcomeAllow, Digest: ref.Digest}
		if req.Container == "c2" {
			a.Outcome, a.Code = gate.OutcomeDeny, gate.CodePolicy
		}
		return a
	})
	const tag = "reg.example.com/a:1"
	got, resp := answer(t, reviewer(d), review(pod(tag, tag, tag), nil))
	if got.Allowed || !strings.Contains(resp.Message, "spec.containers[2].image") {
		t.Errorf("Review: got %s, want the third container refused", resp.JSON())
	}
	if calls.Load() != 1 {
		t.Errorf("the tag was resolved %d times, want once", calls.Load())
	}
	pinned := fmt.Sprintf("reg.example.com/a@sha256:%064d", 1)
	if asked["c0"] != tag || asked["c1"] != pinned || asked["c2"] != pinned {
		t.Errorf("asked %v", asked)
	}
}

// TestReview_parallel bounds what one review asks at once.
func TestReview_parallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		d := deciderFunc(func(_ context.Context, ref gate.Reference, _ gate.Request) gate.Answer {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return gate.Answer{Outcome: gate.OutcomeAllow, Digest: "sha256:" + goodHex}
		})
		images := make([]string, maxImages)
		for i := range images {
			images[i] = fmt.Sprintf("reg.example.com/a%d:1", i)
		}
		start := time.Now()
		got, _ := answer(t, reviewer(d), review(pod(images...), nil))
		if !got.Allowed || most.Load() > parallel || time.Since(start) > 100*time.Millisecond {
			t.Errorf("Review of %d images: allowed %v, %d at once, %s", maxImages, got.Allowed, most.Load(), time.Since(start))
		}
	})
}

// TestReview_many runs many reviews at once, for the race detector (A35).
func TestReview_many(t *testing.T) {
	known := &lookup{}
	r := reviewer(known)
	allowed, denied := encode(t, review(pod(good, warns), nil)), encode(t, review(pod(good, bad, pending), nil))
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			body, want := allowed, true
			if i%2 == 0 {
				body, want = denied, false
			}
			resp, err := r.Review(t.Context(), body, "default")
			if err != nil || resp.Allowed != want && resp.Code != gate.CodeBusy {
				t.Errorf("Review %d: got %v, %q, %v, want %v", i, resp.Allowed, resp.Code, err, want)
			}
		})
	}
	wg.Wait()
}

// hanging answers nothing until it is stopped.
type hanging struct{ stop chan struct{} }

func (h *hanging) Decide(context.Context, gate.Reference, gate.Request) gate.Answer {
	<-h.stop
	return gate.Answer{}
}
