package gate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/scanner/registry"
)

// blackHole is a registry that accepts connections and never answers.
func blackHole(t *testing.T) (host string, accepted *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int64)
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			accepted.Add(1)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return l.Addr().String(), accepted
}

// stalled is a site with one more registry, "stall", which never answers.
func stalled(t *testing.T) (s *site, host string, accepted *atomic.Int64) {
	t.Helper()
	s = newSite(t, month(0))
	host, accepted = blackHole(t)
	c := registry.DefaultConfig()
	c.Name, c.Type, c.Host, c.PlainHTTP = "stall", "distribution", host, true
	hole, err := registry.New(registry.Options{Registries: []registry.Config{c}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hole.Close() })
	here, _ := s.Registries.ByName(hub)
	if s.Registries, err = gate.NewRegistries([]gate.Registry{here, c.Registry()}); err != nil {
		t.Fatal(err)
	}
	s.Source = split{s.Source, hole}
	return s, host, accepted
}

// split sends what is asked about the registry "stall" there.
type split struct {
	gate.Source
	hole gate.Source
}

func (s split) Head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error) {
	if loc.Registry == "stall" {
		return s.hole.Head(ctx, loc, tag)
	}
	return s.Source.Head(ctx, loc, tag)
}

// review is the AdmissionReview of a Pod.
func review(t testing.TB, images ...string) []byte {
	t.Helper()
	var containers []map[string]string
	for i, image := range images {
		containers = append(containers, map[string]string{"name": fmt.Sprintf("c%d", i), "image": image})
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "operation": "CREATE", "namespace": "team-a", "name": "web",
			"kind":     map[string]string{"group": "", "version": "v1", "kind": "Pod"},
			"resource": map[string]string{"group": "", "version": "v1", "resource": "pods"},
			"userInfo": map[string]string{"username": "anna"},
			"object": map[string]any{
				"apiVersion": "v1", "kind": "Pod", "metadata": map[string]string{"name": "web", "namespace": "team-a"},
				"spec": map[string]any{"containers": containers},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// begun counts the questions about images of a registry that does not answer.
type begun struct {
	admission.Decider
	stalled atomic.Int64
}

func (b *begun) Decide(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
	if ref.Tag != "" {
		b.stalled.Add(1)
	}
	return b.Decider.Decide(ctx, ref, req)
}

// TestSilentRegistryPushesNobodyOut: 300 reviews of tags that a registry is asked
// for and never answers wait, more than there are places; a scanned image by
// digest is admitted every time meanwhile.
func TestSilentRegistryPushesNobodyOut(t *testing.T) {
	s, host, accepted := stalled(t)
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	began := &begun{Decider: s.lookup(lookup.Options{NewDigestsPerHour: 60})}
	r := admission.NewReviewer(admission.Default(), began, admission.Options{MaxInFlight: 16})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // until the end of the test
	var answered atomic.Int64
	var waiting sync.WaitGroup
	for i := range 300 {
		body := review(t, fmt.Sprintf("%s/team/app:v%d", host, i), s.at("team/app", "@"+string(d)))
		waiting.Go(func() {
			resp, err := r.Review(ctx, body, "default")
			for err == nil && resp.Code == gate.CodeBusy && ctx.Err() == nil { // no place for the burst itself
				resp, err = r.Review(ctx, body, "default")
			}
			if err != nil || resp.Allowed {
				t.Errorf("review of a tag that nobody knows: allowed %t, %v", resp.Allowed, err)
			}
			answered.Add(1)
		})
	}
	// The burst is over: far more calls than there are places have arrived, every
	// review has had its place, and the last have given it back.
	known := review(t, s.at("team/app", "@"+string(d)))
	for settled := false; !settled; {
		if t.Context().Err() != nil {
			t.Fatalf("%d reviews have begun, %d calls have arrived", began.stalled.Load(), accepted.Load())
		}
		time.Sleep(time.Millisecond)
		if began.stalled.Load() >= 300 && accepted.Load() >= 100 {
			resp, err := r.Review(t.Context(), known, "default")
			settled = err != nil || resp.Code != gate.CodeBusy
		}
	}
	for i := range 100 {
		resp, err := r.Review(t.Context(), known, "default")
		if err != nil || !resp.Allowed {
			t.Fatalf("review %d of a scanned image by digest: %+v, %v", i, resp, err)
		}
	}
	if n := answered.Load(); n != 0 {
		t.Errorf("%d of 300 reviews did not wait", n)
	}
	cancel()
	waiting.Wait()
}

// TestTenPodsInARow: a registry that does not answer is waited for once; then a
// clean mapping within tags.grace serves at once, and one that is not clean never.
func TestTenPodsInARow(t *testing.T) {
	s, host, accepted := stalled(t)
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	loc := gate.Location{Registry: "stall", Repository: "team/app"}
	now, err := s.store.Now(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "v2"} {
		if _, err := s.store.PutTag(s.ctx, gate.TagKey{Location: loc, Tag: tag}, d, now, ""); err != nil {
			t.Fatal(err)
		}
	}
	s.clock.Advance(2 * time.Minute)
	r := admission.NewReviewer(admission.Default(), s.lookup(lookup.Options{}), admission.Options{})
	ask := func(tag string) admission.Response {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		resp, err := r.Review(ctx, review(t, host+"/team/app:"+tag), "default")
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	for i := range 10 {
		resp := ask([]string{"v1", "v2"}[i%2])
		if !resp.Allowed || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "the registry did not answer") {
			t.Errorf("Pod %d: %+v, want it admitted with a warning", i, resp)
		}
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("the registry was asked %d times by ten Pods in a row, want once", n)
	}
	s.clock.Advance(10 * time.Second)
	if resp := ask("v2"); !resp.Allowed { // the read of v1 still hangs
		t.Errorf("after the 10 s: %+v", resp)
	}
	if n := accepted.Load(); n != 2 {
		t.Errorf("after the 10 s the registry was asked %d times, want once more", n-1)
	}
	if err := s.store.MarkDirty(s.ctx, gate.TagKey{Location: loc, Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	if resp := ask("v1"); resp.Allowed || resp.Code != gate.CodeTimeout {
		t.Errorf("a dirty tag of a registry that does not answer: %+v, want TIMEOUT", resp)
	}
}

// TestWaitHoldsNoPlace: with admission.wait a review that waits for a scan holds
// no place, and is answered when the scan is done; one that finds no room to wait
// is BUSY, and its scan is queued all the same.
func TestWaitHoldsNoPlace(t *testing.T) {
	s := newSite(t, month(0))
	known := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", known)
	s.work()
	r := admission.NewReviewer(admission.Default(), s.lookup(lookup.Options{Wait: time.Minute}), admission.Options{MaxInFlight: 1, MaxWaiting: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	first, second := s.push("team/app", "v2", 2), s.push("team/app", "v3", 3)
	answers := make(chan admission.Response, 1)
	body := review(t, s.at("team/app", "@"+string(first)))
	go func() {
		resp, err := r.Review(ctx, body, "default")
		for err == nil && resp.Code == gate.CodeBusy && ctx.Err() == nil { // the other one was first
			resp, err = r.Review(ctx, body, "default")
		}
		if err != nil {
			t.Error(err)
		}
		answers <- resp
	}()
	resp := admission.Response{Code: gate.CodePending}
	for resp.Code != gate.CodeBusy || !strings.Contains(resp.Message, "too many reviews wait for scans") { // once the first waits
		var err error
		short, stop := context.WithTimeout(ctx, time.Second)
		if resp, err = r.Review(short, review(t, s.at("team/app", "@"+string(second))), "default"); err != nil || resp.Allowed || ctx.Err() != nil {
			t.Fatalf("a review without room to wait: %+v, %v", resp, err)
		}
		stop()
	}
	if resp, err := r.Review(ctx, review(t, s.at("team/app", "@"+string(known))), "default"); err != nil || !resp.Allowed {
		t.Errorf("a scanned image by digest: %+v, %v", resp, err)
	}
	for s.entry(first).Record.InventoryID == "" || s.entry(second).Record.InventoryID == "" {
		if ctx.Err() != nil {
			t.Fatal("a scan was not queued")
		}
		s.work()
	}
	if resp := <-answers; !resp.Allowed {
		t.Errorf("after its scan: %+v", resp)
	}
}
