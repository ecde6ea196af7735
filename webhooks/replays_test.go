package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// identified is a format of this test: one event with an identity.
var identified = Receiver{Type: "identified", Parse: func(d Delivery) ([]gate.Push, error) {
	var v struct {
		ID  string `json:"id"`
		Tag string `json:"tag"`
	}
	if err := Decode(d.Body, &v); err != nil {
		return nil, err
	}
	return []gate.Push{{Kind: gate.PushArrived, Repository: "team/app", Digest: digest, Tag: v.Tag, EventID: v.ID}}, nil
}}

func TestReplays(t *testing.T) {
	clock := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	taken, fail, ignore := 0, false, false
	take := func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
		if fail && len(pushes) > 0 {
			return nil, gate.ErrStoreUnavailable
		}
		taken += len(pushes)
		results, err := queueAll(ctx, registry, pushes)
		for i := range results {
			if ignore {
				results[i].State, results[i].Reason = gate.PushNotActedOn, "left out"
			}
		}
		return results, err
	}
	h, err := NewHandler([]Endpoint{
		{Name: "one", Receiver: identified, Auth: authenticator(t, Config{Auth: AuthNone})},
		{Name: "two", Receiver: identified, Auth: authenticator(t, Config{Auth: AuthNone})},
	}, takerFunc(take), Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	post := func(name, id, tag string, status int, state gate.PushState, reaches bool) {
		t.Helper()
		before := taken
		w := serve(h, "POST", "/webhooks/"+name, fmt.Sprintf(`{"id":%q,"tag":%q}`, id, tag))
		var a Answer
		if err := json.Unmarshal(w.Body.Bytes(), &a); w.Code != status || err != nil || a.State != state {
			t.Errorf("event %q, tag %q at %s: got %d %s, want %d %q", id, tag, name, w.Code, w.Body, status, state)
		}
		if (taken > before) != reaches {
			t.Errorf("event %q, tag %q at %s: reached the intake: %t, want %t", id, tag, name, taken > before, reaches)
		}
		if state == gate.PushDuplicate && (a.Reason != replayReason || len(a.Images) != 1 || a.Images[0].Tag != tag || a.Images[0].Reason != replayReason) {
			t.Errorf("event %q: got %+v, want the image and the reason", id, a)
		}
	}
	fail = true
	post("one", "a", "1", 503, "", false)
	fail = false
	post("one", "a", "1", 202, gate.PushQueued, true) // what failed was not taken
	post("one", "a", "1", 202, gate.PushDuplicate, false)
	fail = true
	post("one", "a", "1", 202, gate.PushDuplicate, false) // needs no store
	fail = false
	post("one", "a", "2", 202, gate.PushQueued, true) // one identity, two events
	post("one", "b", "1", 202, gate.PushQueued, true)
	post("two", "a", "1", 202, gate.PushQueued, true) // each endpoint for itself
	post("one", "", "1", 202, gate.PushQueued, true)
	post("one", "", "1", 202, gate.PushQueued, true) // no identity, no memory
	ignore = true
	post("one", "c", "1", 202, gate.PushNotActedOn, true)
	ignore = false
	post("one", "c", "1", 202, gate.PushQueued, true) // what was left out was not taken
	clock = clock.Add(replayWindow - time.Second)
	post("one", "a", "1", 202, gate.PushDuplicate, false)
	clock = clock.Add(time.Second)
	post("one", "a", "1", 202, gate.PushQueued, true)
	post("one", "a", "1", 202, gate.PushDuplicate, false)
}

// TestReplaysAreBounded: a flood of identities takes a bounded memory, and what
// is forgotten is taken once more.
func TestReplaysAreBounded(t *testing.T) {
	r := newReplays()
	now := time.Now()
	push := func(i int) []gate.Push {
		return []gate.Push{{Kind: gate.PushArrived, Repository: "a", Tag: "1", EventID: fmt.Sprint(i)}}
	}
	results := []gate.PushResult{{State: gate.PushQueued}}
	for i := range 3 * maxReplays {
		r.taken(push(i), results, now)
	}
	if len(r.at) != maxReplays || len(r.order) != maxReplays {
		t.Errorf("memory: got %d and %d, want %d", len(r.at), len(r.order), maxReplays)
	}
	for i, want := range map[int]bool{0: false, 2*maxReplays - 1: false, 2 * maxReplays: true, 3*maxReplays - 1: true} {
		if _, seen := r.split(push(i), now); seen[0] != want {
			t.Errorf("event %d: got known %t, want %t", i, seen[0], want)
		}
	}
}

// TestMixedDelivery: repeated and new events of one delivery keep their order.
func TestMixedDelivery(t *testing.T) {
	r := newReplays()
	now := time.Now()
	push := func(id string) gate.Push {
		return gate.Push{Kind: gate.PushArrived, Repository: id, Tag: "1", EventID: id}
	}
	r.taken([]gate.Push{push("b")}, []gate.PushResult{{State: gate.PushQueued}}, now)
	pushes := []gate.Push{push("a"), push("b"), push("c")}
	fresh, seen := r.split(pushes, now)
	results, err := queueAll(t.Context(), "one", fresh)
	if err != nil {
		t.Fatal(err)
	}
	got := merge("one", pushes, seen, results)
	for i, want := range []gate.PushState{gate.PushQueued, gate.PushDuplicate, gate.PushQueued} {
		if len(got) != 3 || got[i].State != want || got[i].Repository != pushes[i].Repository {
			t.Fatalf("result %d: got %+v, want %s of %s", i, got, want, pushes[i].Repository)
		}
	}
}
