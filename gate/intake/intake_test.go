package intake

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

const (
	digestA = gate.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	digestB = gate.Digest("sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
	digestC = gate.Digest("sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc")
)

// intakeLog is a store that notes what it is asked for, in order.
type intakeLog struct {
	calls   []string
	records map[gate.Digest]gate.Record
	outcome gate.Enqueued
	failAt  string // the call that fails
}

func (l *intakeLog) note(call string) error {
	l.calls = append(l.calls, call)
	if l.failAt != "" && strings.HasPrefix(call, l.failAt) {
		return gate.ErrStoreUnavailable
	}
	return nil
}

func (l *intakeLog) Enqueue(_ context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	err := l.note("enqueue " + string(req.Kind) + " " + req.Key() + " tag=" + req.Tag + " " + string(req.Trigger))
	outcome := l.outcome
	if outcome == "" {
		outcome = gate.EnqueuedNew
	}
	return gate.Job{}, outcome, err
}

func (l *intakeLog) Avoid(_ context.Context, period string, n int64) error {
	return l.note("avoid " + period + " " + strings.Repeat("+", int(n)))
}

func (l *intakeLog) MarkDirty(_ context.Context, key gate.TagKey) error {
	return l.note("dirty " + key.String())
}

func (l *intakeLog) MarkGone(_ context.Context, d gate.Digest, loc gate.Location) error {
	return l.note("gone " + d.Short() + " " + loc.String())
}

func (l *intakeLog) Read(_ context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	res := gate.ReadResult{Digests: map[gate.Digest]gate.Entry{}, Now: time.Date(2026, 11, 7, 0, 0, 0, 0, time.UTC)}
	for _, d := range req.Digests {
		res.Digests[d] = gate.Entry{Record: l.records[d]}
	}
	if l.failAt == "read" {
		return res, gate.ErrStoreUnavailable
	}
	return res, nil
}

func testIntake(t *testing.T, store Store) *Intake {
	t.Helper()
	registries, err := gate.NewRegistries([]gate.Registry{{
		Name: "prod", Host: "Harbor.Example.com", Aliases: []string{"harbor.internal:8443"},
		Include: []string{"team/**"}, Exclude: []string{"team/private/**"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(gate.DefaultQuota())
	if err != nil {
		t.Fatal(err)
	}
	return New(registries, quota, store)
}

func TestIntakeTake(t *testing.T) {
	push := gate.Push{Kind: gate.PushArrived, Host: "harbor.example.com", Repository: "team/app", Digest: digestA, Tag: "1.0"}
	with := func(change func(*gate.Push)) gate.Push { p := push; change(&p); return p }
	image := func(d gate.Digest) gate.Record {
		return gate.Record{Digest: d, InventoryID: "i", Manifest: gate.Manifest{Kind: gate.KindImage}}
	}
	index := gate.Record{Manifest: gate.Manifest{Kind: gate.KindIndex, Children: []gate.Child{{Digest: digestB, Judged: true}, {Digest: digestC}}}}
	enqueue := "enqueue resolve prod/team/app@" + string(digestA) + " tag=1.0 push"
	dirty := "dirty prod/team/app:1.0"
	for name, c := range map[string]struct {
		push    gate.Push
		outcome gate.Enqueued
		records map[gate.Digest]gate.Record
		state   gate.PushState
		reason  string
		calls   []string
	}{
		"new":     {push: push, state: gate.PushQueued, calls: []string{dirty, enqueue}},
		"alias":   {push: with(func(p *gate.Push) { p.Host = "HARBOR.internal:8443" }), state: gate.PushQueued, calls: []string{dirty, enqueue}},
		"no_host": {push: with(func(p *gate.Push) { p.Host = "" }), state: gate.PushQueued, calls: []string{dirty, enqueue}},
		"by_digest": {push: with(func(p *gate.Push) { p.Tag = "" }), state: gate.PushQueued,
			calls: []string{"enqueue resolve prod/team/app@" + string(digestA) + " tag= push"}},
		"tag_is_the_digest": {push: with(func(p *gate.Push) { p.Tag = string(digestA) }), state: gate.PushQueued,
			calls: []string{"enqueue resolve prod/team/app@" + string(digestA) + " tag= push"}},
		"by_tag": {push: with(func(p *gate.Push) { p.Digest = "" }), state: gate.PushQueued,
			calls: []string{dirty, "enqueue resolve prod/team/app:1.0 tag=1.0 push"}},
		"tag_of_the_wrong_shape": {push: with(func(p *gate.Push) { p.Tag = "../x" }), state: gate.PushQueued, reason: "cannot be a tag",
			calls: []string{"enqueue resolve prod/team/app@" + string(digestA) + " tag= push"}},
		"joined": {push: push, outcome: gate.EnqueuedJoined, state: gate.PushDuplicate, calls: []string{dirty, enqueue, "avoid 2026-11 +"}},
		"known":  {push: push, records: map[gate.Digest]gate.Record{digestA: image(digestA)}, state: gate.PushKnown, calls: []string{dirty, enqueue}},
		"known_and_live": {push: push, outcome: gate.EnqueuedJoined, records: map[gate.Digest]gate.Record{digestA: image(digestA)}, state: gate.PushDuplicate,
			calls: []string{dirty, enqueue, "avoid 2026-11 +"}},
		"seen_but_not_analysed": {push: push, records: map[gate.Digest]gate.Record{digestA: {Manifest: gate.Manifest{Kind: gate.KindImage}}}, state: gate.PushQueued, calls: []string{dirty, enqueue}},
		"known_index":           {push: push, records: map[gate.Digest]gate.Record{digestA: index, digestB: image(digestB)}, state: gate.PushKnown, calls: []string{dirty, enqueue}},
		"index_in_part":         {push: push, records: map[gate.Digest]gate.Record{digestA: index, digestC: image(digestC)}, state: gate.PushQueued, calls: []string{dirty, enqueue}},
		"known_signature":       {push: push, records: map[gate.Digest]gate.Record{digestA: {Manifest: gate.Manifest{Kind: gate.KindSignature}}}, state: gate.PushKnown, calls: []string{dirty, enqueue}},
		"left":                  {push: push, outcome: gate.EnqueuedLeft, state: gate.PushNotActedOn, reason: "restarts", calls: []string{dirty, enqueue}},
		"delete": {push: with(func(p *gate.Push) { p.Kind = gate.PushDeleted }), state: gate.PushQueued,
			calls: []string{"gone sha256:aaaaaaaaaaaa prod/team/app", dirty, "enqueue resolve prod/team/app:1.0 tag=1.0 push"}},
		"delete_of_a_known_digest": {push: with(func(p *gate.Push) { p.Kind = gate.PushDeleted }), records: map[gate.Digest]gate.Record{digestA: image(digestA)}, state: gate.PushQueued,
			calls: []string{"gone sha256:aaaaaaaaaaaa prod/team/app", dirty, "enqueue resolve prod/team/app:1.0 tag=1.0 push"}},
		"delete_by_digest": {push: with(func(p *gate.Push) { p.Kind, p.Tag = gate.PushDeleted, "" }), state: gate.PushNotActedOn, reason: "recorded as gone",
			calls: []string{"gone sha256:aaaaaaaaaaaa prod/team/app"}},
		"delete_of_a_tag": {push: with(func(p *gate.Push) { p.Kind, p.Digest = gate.PushDeleted, "" }), state: gate.PushQueued,
			calls: []string{dirty, "enqueue resolve prod/team/app:1.0 tag=1.0 push"}},
		"ignored":          {push: gate.Ignored("a pull"), state: gate.PushNotActedOn, reason: "a pull"},
		"unknown_kind":     {push: with(func(p *gate.Push) { p.Kind = "move" }), state: gate.PushNotActedOn, reason: "not known"},
		"excluded":         {push: with(func(p *gate.Push) { p.Repository = "team/private/x" }), state: gate.PushNotActedOn, reason: "include and exclude"},
		"not_included":     {push: with(func(p *gate.Push) { p.Repository = "other/app" }), state: gate.PushNotActedOn, reason: "include and exclude"},
		"no_repository":    {push: with(func(p *gate.Push) { p.Repository = "" }), state: gate.PushNotActedOn, reason: "no repository"},
		"upper_case":       {push: with(func(p *gate.Push) { p.Repository = "team/App" }), state: gate.PushNotActedOn, reason: "cannot be the name"},
		"dots":             {push: with(func(p *gate.Push) { p.Repository = "team/../b" }), state: gate.PushNotActedOn, reason: "cannot be the name"},
		"long":             {push: with(func(p *gate.Push) { p.Repository = "team/" + strings.Repeat("a", 300) }), state: gate.PushNotActedOn, reason: "cannot be the name"},
		"neither":          {push: with(func(p *gate.Push) { p.Digest, p.Tag = "", "" }), state: gate.PushNotActedOn, reason: "neither"},
		"wrong_tag_alone":  {push: with(func(p *gate.Push) { p.Digest, p.Tag = "", "a b" }), state: gate.PushNotActedOn, reason: "cannot be a tag"},
		"foreign":          {push: with(func(p *gate.Push) { p.Host = "attacker.example" }), state: gate.PushNotActedOn, reason: "aliases"},
		"metadata_address": {push: with(func(p *gate.Push) { p.Host = "169.254.169.254" }), state: gate.PushNotActedOn, reason: "aliases"},
		"user_in_host":     {push: with(func(p *gate.Push) { p.Host = "harbor.example.com@evil" }), state: gate.PushNotActedOn, reason: "aliases"},
		"longer_host":      {push: with(func(p *gate.Push) { p.Host = "harbor.example.com.evil.io" }), state: gate.PushNotActedOn, reason: "aliases"},
		"other_port":       {push: with(func(p *gate.Push) { p.Host = "harbor.internal" }), state: gate.PushNotActedOn, reason: "aliases"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &intakeLog{records: c.records, outcome: c.outcome}
			got, err := testIntake(t, store).Take(t.Context(), "prod", []gate.Push{c.push})
			if err != nil {
				t.Fatal(err)
			}
			if got[0].State != c.state || !strings.Contains(got[0].Reason, c.reason) || (c.reason == "") != (got[0].Reason == "") {
				t.Errorf("got %s with reason %q, want %s with %q", got[0].State, got[0].Reason, c.state, c.reason)
			}
			if got[0].Foreign != strings.Contains(c.reason, "aliases") {
				t.Errorf("Foreign: got %v", got[0].Foreign)
			}
			if diff := cmp.Diff(c.calls, store.calls); diff != "" {
				t.Errorf("calls of the store (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIntakeErrors(t *testing.T) {
	push := gate.Push{Kind: gate.PushArrived, Repository: "team/app", Digest: digestA, Tag: "1.0"}
	gone := push
	gone.Kind = gate.PushDeleted
	for _, c := range []struct {
		fail string
		push gate.Push
	}{{"read", push}, {"dirty", push}, {"enqueue", push}, {"gone", gone}, {"avoid", push}} {
		store := &intakeLog{failAt: c.fail, outcome: gate.EnqueuedJoined}
		if got, err := testIntake(t, store).Take(t.Context(), "prod", []gate.Push{c.push}); !errors.Is(err, gate.ErrStoreUnavailable) {
			t.Errorf("%s fails: got %+v, %v, want ErrStoreUnavailable", c.fail, got, err)
		}
	}
	t.Run("unknown_registry", func(t *testing.T) {
		if _, err := testIntake(t, &intakeLog{}).Take(t.Context(), "other", []gate.Push{push}); !errors.Is(err, gate.ErrRegistryNotTrusted) {
			t.Errorf("got %v, want ErrRegistryNotTrusted", err)
		}
	})
	t.Run("digest_of_the_wrong_shape", func(t *testing.T) {
		for _, d := range []gate.Digest{"sha256:abc", "sha512:aa", "latest", gate.Digest(strings.ToUpper(string(digestA)))} {
			store := &intakeLog{}
			bad := push
			bad.Digest = d
			if _, err := testIntake(t, store).Take(t.Context(), "prod", []gate.Push{push, bad}); !errors.Is(err, gate.ErrDigestInvalid) || len(store.calls) > 0 {
				t.Errorf("digest %q: got %v after %q, want ErrDigestInvalid before anything is done", d, err, store.calls)
			}
		}
	})
	t.Run("ignored_events_need_no_store", func(t *testing.T) {
		if _, err := testIntake(t, &intakeLog{failAt: "read"}).Take(t.Context(), "prod", []gate.Push{gate.Ignored("a pull")}); err != nil {
			t.Error(err)
		}
	})
}

func TestIntakeTakesSeveral(t *testing.T) {
	store := &intakeLog{}
	got, err := testIntake(t, store).Take(t.Context(), "prod", []gate.Push{
		gate.Ignored("a pull"),
		{Kind: gate.PushArrived, Repository: "team/app", Digest: digestA, Tag: "1"},
		{Kind: gate.PushArrived, Host: "evil", Repository: "team/app", Digest: digestB},
		{Kind: gate.PushArrived, Repository: "team/app", Digest: digestC},
	})
	if err != nil {
		t.Fatal(err)
	}
	var states []gate.PushState
	for _, r := range got {
		states = append(states, r.State)
	}
	if diff := cmp.Diff([]gate.PushState{gate.PushNotActedOn, gate.PushQueued, gate.PushNotActedOn, gate.PushQueued}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if s := gate.DeliveryState(got); s != gate.PushQueued {
		t.Errorf("DeliveryState: got %s, want queued", s)
	}
	if s := gate.DeliveryState(nil); s != gate.PushNotActedOn {
		t.Errorf("DeliveryState of nothing: got %s, want ignored", s)
	}
	if len(store.calls) != 3 {
		t.Errorf("calls: got %q", store.calls)
	}
}

func TestDeliveryStateOrder(t *testing.T) {
	states := gate.PushStates()
	for i := range states {
		var results []gate.PushResult
		for _, s := range slices.Backward(states[i:]) {
			results = append(results, gate.PushResult{State: s})
		}
		if got := gate.DeliveryState(results); got != states[i] {
			t.Errorf("DeliveryState of %v: got %s, want %s", states[i:], got, states[i])
		}
	}
}

func TestValidNames(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "library/nginx": true, "a-b/c__d/e.f": true, "a--b": true, "": false, "/a": false, "a/": false, "a//b": false, "A": false,
		"a..b": false, "a/../b": false, "-a": false, "a_": false, "host:5000/a": false, "a\n": false, strings.Repeat("a", 256): false,
	} {
		if got := gate.ValidRepository(s); got != want {
			t.Errorf("ValidRepository(%.20q): got %v, want %v", s, got, want)
		}
	}
	for s, want := range map[string]bool{
		"latest": true, "v1.2-3_4": true, "_x": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
		"": false, ".a": false, "-a": false, "a:b": false, "a/b": false, "a\n": false,
	} {
		if got := gate.ValidTag(s); got != want {
			t.Errorf("ValidTag(%.20q): got %v, want %v", s, got, want)
		}
	}
}
