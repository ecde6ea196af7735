package gate_test

import (
	"context"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/pipeline"
)

// toldScheduler tells which digests were queued.
type toldScheduler struct {
	pipeline.Scheduler
	queued chan gate.Digest
}

func (q toldScheduler) Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	defer func() { q.queued <- req.Digest }()
	return q.Scheduler.Enqueue(ctx, req)
}

// TestScansOfAPodAreWaitedForTogether: the scan of an image by tag, which the registry
// is asked for first, is queued before anybody waits for that of another image.
func TestScansOfAPodAreWaitedForTogether(t *testing.T) {
	s := newSite(t, month(0))
	a, b := s.push("team/a", "v1", 1), s.push("team/b", "v1", 2)
	told := toldScheduler{s.Scheduler, make(chan gate.Digest, 1000)}
	s.Scheduler = told
	l := s.lookup(lookup.Options{Wait: 5 * time.Second})
	reviewer := admission.NewReviewer(admission.Default(), l, admission.Options{})
	done := make(chan admission.Response, 1)
	go func() {
		resp, err := reviewer.Review(s.ctx, review(t, s.at("team/a", "@"+string(a)), s.at("team/b", ":v1")), "default")
		if err != nil {
			t.Error(err)
		}
		done <- resp
	}()
	for missing := map[gate.Digest]bool{a: true, b: true}; len(missing) > 0; {
		select {
		case d := <-told.queued:
			delete(missing, d)
		case resp := <-done:
			t.Fatalf("answered before both scans were queued: %+v", resp)
		}
	}
	for {
		s.work()
		select {
		case resp := <-done:
			if !resp.Allowed {
				t.Errorf("got %+v, want it admitted", resp)
			}
			l.Settle()
			return
		default:
		}
	}
}
