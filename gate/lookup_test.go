package gate_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func (s *site) lookup(o lookup.Options) *lookup.Lookup {
	if o.TagMaxAge == 0 {
		o.TagMaxAge, o.TagGrace = time.Minute, 10*time.Minute
	}
	return s.lookupOn(s.store, s.store, o, nil)
}

func (s *site) ask(l *lookup.Lookup, image string) gate.Answer {
	s.t.Helper()
	ref, err := gate.ParseReference(image)
	if err != nil {
		s.t.Fatal(err)
	}
	a := l.Decide(s.ctx, ref, gate.Request{Namespace: "team-a", Operation: "CREATE"})
	l.Settle() // what is written beside the answer
	s.standing.Settle()
	return a
}

func (s *site) at(repo, suffix string) string { return s.registry.Host + "/" + repo + suffix }

func TestUnknownDigestIsDeniedQueuedAndThenAllowed(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	image := s.at("team/app", "@"+string(d))

	a := s.ask(l, image)
	if a.Permits() || a.Code != gate.CodeUnscanned || !strings.Contains(english(a), "queued now") {
		t.Fatalf("first ask: got %+v, want UNSCANNED and queued", a)
	}
	s.work()
	if a = s.ask(l, image); !a.Permits() || a.Digest != d {
		t.Fatalf("after the scan: got %+v, want allow of %s", a, d)
	}
	s.matcher.bad[d] = gate.SeverityCritical
	s.matcher.activate(2)
	if _, err := s.sweeper(listed{d}).Rematch(s.ctx); err != nil {
		t.Fatal(err)
	}
	if a = s.ask(l, image); a.Permits() || a.Code != gate.CodePolicy || len(a.Reasons) == 0 {
		t.Errorf("after the advisories changed: got %+v, want POLICY with reasons", a)
	}
}

func TestPendingRaisesThePriority(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	job, err := s.store.Claim(s.ctx, s.claim()) // the resolve
	if err != nil {
		t.Fatal(err)
	}
	resolved := s.Handlers()[job.Kind](s.ctx, gate.NewRun(job))
	if _, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: resolved}); err != nil {
		t.Fatal(err)
	}
	a := s.ask(l, s.at("team/app", "@"+string(d)))
	if a.Permits() || a.Code != gate.CodePending || !strings.Contains(english(a), "a bare Pod must be applied again") {
		t.Errorf("while queued: got %+v, want PENDING", a)
	}
	if got := s.entry(d).Job.Priority; got != gate.PriorityInteractive {
		t.Errorf("priority after an admission asked: got %s, want interactive", got)
	}
}

func TestNamespaceBudgetBoundsWhatIsQueued(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{NewDigestsPerHour: 2})
	var queued, refused int
	for n := range int64(5) {
		a := s.ask(l, s.at("team/app", "@sha256:"+pad(n)))
		switch {
		case a.Permits():
			t.Fatalf("unknown digest permitted: %+v", a)
		case strings.Contains(english(a), "queued now"):
			queued++
		default:
			refused++
		}
	}
	if queued != 2 || refused != 3 {
		t.Errorf("with a budget of 2: %d queued, %d refused; want 2 and 3", queued, refused)
	}
	s.clock.Advance(time.Hour)
	if a := s.ask(l, s.at("team/app", "@sha256:"+pad(4))); !strings.Contains(english(a), "queued now") {
		t.Errorf("in the next hour: got %q", english(a))
	}
}

func TestTags(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	image := s.at("team/app", ":v1")
	key := gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: "v1"}
	expect := func(what string, wantCalls int, want func(gate.Answer) bool) {
		t.Helper()
		s.registry.Reset()
		a := s.ask(l, image)
		if n := len(s.registry.Requests()); n != wantCalls {
			t.Errorf("%s: %d calls to the registry, want %d: %v", what, n, wantCalls, s.registry.Requests())
		}
		if !want(a) {
			t.Errorf("%s: got %+v", what, a)
		}
	}
	allowed := func(a gate.Answer) bool { return a.Permits() && a.Digest == d && len(a.Warnings) == 0 }

	expect("fresh mapping", 0, allowed)
	s.clock.Advance(2 * time.Minute)
	expect("old mapping, known digest", 1, allowed) // one HEAD

	if err := s.store.MarkDirty(s.ctx, key); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Millisecond)
	expect("dirty mapping", 1, allowed)

	s.clock.Advance(2 * time.Minute)
	outage := fake.Fault{Status: 503}
	s.registry.Reset()
	s.registry.Fail(outage)
	a := s.ask(l, image)
	if !a.Permits() || a.Digest != d || len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], string(d)) {
		t.Errorf("registry down within the grace: got %+v, want allow with a warning that names the digest", a)
	}
	if err := s.store.MarkDirty(s.ctx, key); err != nil {
		t.Fatal(err)
	}
	if a := s.ask(l, image); a.Permits() {
		t.Errorf("registry down and the mapping dirty: got %+v, want a refusal", a)
	}
	s.registry.Reset()
	s.clock.Advance(20 * time.Minute)
	if a := s.ask(l, image); !a.Permits() {
		t.Errorf("registry back: got %+v", a)
	}
	s.registry.Fail(outage)
	s.clock.Advance(20 * time.Minute)
	if a := s.ask(l, image); a.Permits() || a.Code != gate.CodeTimeout {
		t.Errorf("registry down beyond the grace: got %+v, want TIMEOUT", a)
	}
}

func TestMovedTagIsNotJudgedByItsOldDigest(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	good := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", good)
	s.work()
	if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() {
		t.Fatalf("clean image: %+v", a)
	}
	bad := s.push("team/app", "v1", 2) // the tag moves
	s.event("team/app", "v1", bad)
	s.clock.Advance(time.Millisecond)
	if a := s.ask(l, s.at("team/app", ":v1")); a.Permits() || a.Digest != bad {
		t.Errorf("after the tag moved: got %+v, want a refusal for %s", a, bad)
	}
}

func TestMovedTagWithoutAnEventIsSeenAfterMaxAge(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	moved := s.push("team/app", "v1", 2)
	s.clock.Advance(61 * time.Second)
	if a := s.ask(l, s.at("team/app", ":v1")); a.Permits() || a.Digest != moved {
		t.Errorf("got %+v, want a refusal for %s", a, moved)
	}
	if s.entry(moved).Record.Manifest.Kind != gate.KindImage {
		t.Error("the manifest behind the tag was not read and hashed")
	}
}

func TestOneCallForATagThatManyWaitFor(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.clock.Advance(2 * time.Minute)
	s.registry.Reset()
	s.registry.Fail(fake.Fault{Method: "HEAD", After: 0, Drip: time.Millisecond})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() {
				t.Errorf("got %+v", a)
			}
		})
	}
	wg.Wait()
	// Requests that begin after the first answer find a fresh mapping.
	if n := len(s.registry.Requests()); n != 1 {
		t.Errorf("%d calls for 50 requests, want 1", n)
	}
}

func TestReferencesThatAreNotTrusted(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{Repositories: []lookup.RepositoryRule{{Pattern: "hub/team/**", Allowed: true}, {Pattern: "hub/team/secret", Allowed: false}}})
	d := "@sha256:" + pad(1)
	for image, code := range map[string]gate.Code{
		"evil.example.com/team/app" + d:  gate.CodeRegistryNotTrusted,
		"127.0.0.1.evil.example/app" + d: gate.CodeRegistryNotTrusted,
		s.at("other/app", d):             gate.CodeRegistryNotTrusted,
		s.at("team/secret", d):           gate.CodeRegistryNotTrusted,
		s.at("team/app", d):              gate.CodeUnscanned,
		s.at("team/app", ":no-such-tag"): gate.CodeUnscanned,
	} {
		if a := s.ask(l, image); a.Permits() || a.Code != code {
			t.Errorf("%s: got %s (%s), want %s", image, a.Code, english(a), code)
		}
	}
	strict := s.lookup(lookup.Options{RequireDigest: true})
	if a := s.ask(strict, s.at("team/app", ":v1")); a.Code != gate.CodeDigestRequired {
		t.Errorf("tag where a digest is required: got %+v", a)
	}
}

func TestIndexIsRefusedForItsWorstPlatform(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	index, children := s.pushIndex("team/app", "multi")
	s.event("team/app", "multi", index)
	s.matcher.bad[children[1]] = gate.SeverityCritical
	s.work()
	a := s.ask(l, s.at("team/app", "@"+string(index)))
	if a.Permits() || a.Code != gate.CodePolicy || a.Platform != "linux/arm64" || a.Digest != index {
		t.Errorf("index with one bad platform: got %+v", a)
	}
	if a := s.ask(l, s.at("team/app", "@"+string(children[0]))); !a.Permits() {
		t.Errorf("its clean platform by digest: got %+v", a)
	}
}

func TestWaitHoldsARequestUntilTheScanIsDone(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{Wait: 20 * time.Second})
	d := s.push("team/app", "v1", 1)
	done := make(chan gate.Answer)
	go func() { done <- s.ask(l, s.at("team/app", "@"+string(d))) }()
	for s.entry(d).Record.InventoryID == "" {
		s.work()
	}
	if a := <-done; !a.Permits() {
		t.Errorf("after waiting: got %+v, want allow", a)
	}
}

func TestCancelledStaysCancelledAtAdmission(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	image := s.at("team/app", "@"+string(d))
	s.ask(l, image)
	job, err := s.store.Claim(s.ctx, s.claim())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Handlers()[job.Kind](s.ctx, gate.NewRun(job)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Cancel(s.ctx, s.entry(d).Job.ID); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a := s.ask(l, image); a.Permits() || a.Code != gate.CodeUnscanned || !strings.Contains(english(a), "cancelled") {
			t.Errorf("cancelled: got %+v", a)
		}
	}
	if s.entry(d).State() != gate.StateCancelled {
		t.Errorf("an admission restarted a cancelled scan: %s", s.entry(d).State())
	}
}

// failingReader is a store that does not answer.
type failingReader struct {
	gate.Reader
	down bool
}

func (f *failingReader) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	if f.down {
		return gate.ReadResult{}, errors.Join(gate.ErrStoreUnavailable, errors.New("connection refused"))
	}
	return f.Reader.Read(ctx, req)
}

func TestLocalCopyServesForTheGraceOnly(t *testing.T) {
	s := newSite(t, month(0))
	reader := &failingReader{Reader: s.store}
	records := lookup.NewRecordCopy(reader, 5*time.Minute, s.clock.Now, nil, slog.New(slog.DiscardHandler))
	l := s.lookupOn(records, s.store, lookup.Options{TagMaxAge: time.Minute}, nil)
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	image := s.at("team/app", "@"+string(d))
	if a := s.ask(l, image); !a.Permits() {
		t.Fatalf("store up: %+v", a)
	}
	reader.down = true
	if a := s.ask(l, image); !a.Permits() {
		t.Errorf("store down, known digest: got %+v, want the decision from the copy", a)
	}
	if a := s.ask(l, s.at("team/app", "@sha256:"+pad(3))); a.Permits() || a.Code != gate.CodeStoreUnavailable {
		t.Errorf("store down, unknown digest: got %+v, want STORE_UNAVAILABLE", a)
	}
	s.clock.Advance(5*time.Minute + time.Second)
	if a := s.ask(l, image); a.Permits() || a.Code != gate.CodeStoreUnavailable {
		t.Errorf("after the grace: got %+v, want STORE_UNAVAILABLE", a)
	}
}
