package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestImageIsThereFromThe202: whoever has a 202 finds the image queued, in a whole
// server whose lists follow its store, and with what it waits for.
func TestImageIsThereFromThe202(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.start()
	s.registry.Fail(fake.Fault{Path: "/v2/**", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1200"}}})
	see := func(d gate.Digest) (v view.ImageDetail) {
		t.Helper()
		if err := s.client().Call(t.Context(), http.MethodGet, "/images/"+string(d), nil, &v); err != nil {
			t.Fatalf("%s: %v", d.Short(), err)
		}
		return v
	}
	for n := range 50 {
		d := gate.Digest(fmt.Sprintf("sha256:%064x", n))
		if status, body := s.deliver(hookSecret, "team/app", fmt.Sprint("v", n), d); status != http.StatusAccepted {
			t.Fatalf("delivery: got %d %s", status, body)
		}
		if v := see(d); v.State != gate.StateQueued || v.Job == nil {
			t.Fatalf("after the 202: got %+v, want queued with its job", v)
		}
	}
	waits := func(v view.ImageDetail) bool {
		return v.State == gate.StateQueued && v.Job != nil && v.Job.WaitsUntil != nil && strings.Contains(v.Job.Reason, `registry "hub" asked to wait until `)
	}
	s.until(gate.Digest(fmt.Sprintf("sha256:%064x", 0)), time.Minute, waits)
}
