package gate_test

import (
	"errors"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func month(limit int64) gate.QuotaConfig {
	return gate.QuotaConfig{Limit: limit, Period: "month", TimeZone: "UTC"}
}

func TestOneDigestIsAnalysedAndChargedOnce(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.push("team/app", "latest", 1)
	s.push("team/copy", "v1", 1)
	states := []gate.PushState{s.event("team/app", "v1", d), s.event("team/app", "v1", d), s.event("team/app", "latest", d)}
	s.work()
	states = append(states, s.event("team/copy", "v1", d), s.event("team/app", "v1", d))
	s.work()

	want := []gate.PushState{gate.PushQueued, gate.PushDuplicate, gate.PushDuplicate, gate.PushKnown, gate.PushKnown}
	if fmt.Sprint(states) != fmt.Sprint(want) {
		t.Errorf("states of the deliveries: got %v, want %v", states, want)
	}
	if n := s.analyzer.count(); n != 1 {
		t.Errorf("analyses: got %d, want 1", n)
	}
	if use := s.used(); use.Used != 1 || use.Avoided != 4 {
		t.Errorf("quota after five deliveries of one digest: got %+v, want 1 used and 4 avoided", use)
	}
	if n := len(s.entry(d).Record.Locations); n != 2 {
		t.Errorf("locations: got %d, want 2", n)
	}
	for _, tag := range []string{"v1", "latest"} {
		key := gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: tag}
		res, err := s.store.Read(s.ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
		if err != nil || res.Tags[key].Digest != d || res.Tags[key].Dirty {
			t.Errorf("mapping of tag %s: got %+v, %v", tag, res.Tags[key], err)
		}
	}
	if got := s.verdict(d); got != gate.OutcomeAllow {
		t.Errorf("standing verdict: got %s, want allow", got)
	}
}

func TestIndexIsJudgedByItsConfiguredPlatforms(t *testing.T) {
	s := newSite(t, month(0))
	child := func(seed uint64, arch string) fake.Child {
		p := v1.Platform{OS: "linux", Architecture: arch}
		img, err := fake.RandomImage(seed, p, 50)
		if err != nil {
			t.Fatal(err)
		}
		return fake.Child{Add: img, Platform: &p}
	}
	amd, arm, power := child(1, "amd64"), child(2, "arm64"), child(3, "ppc64le")
	index, err := s.registry.PushIndex("team/app", "multi", fake.NewIndex(amd, arm, power))
	if err != nil {
		t.Fatal(err)
	}
	s.event("team/app", "multi", index)
	s.work()
	if n, use := s.analyzer.count(), s.used(); n != 2 || use.Used != 2 {
		t.Errorf("analyses %d and charges %d of an index with two configured platforms, want 2 and 2", n, use.Used)
	}
	record := s.entry(index).Record
	if record.Manifest.Kind != gate.KindIndex || len(record.Manifest.Children) != 3 {
		t.Fatalf("record of the index: %+v", record.Manifest)
	}
	for _, c := range record.Manifest.Children {
		if want := c.Platform.Architecture != "ppc64le"; c.Judged != want {
			t.Errorf("child %s judged: got %t, want %t", c.Platform, c.Judged, want)
		}
	}
}

func TestAccessoriesAreRecordedAndNotCharged(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	signature, err := s.registry.PushSignature("team/app", d)
	if err != nil {
		t.Fatal(err)
	}
	s.event("team/app", fake.CosignTag(d, "sig"), signature)
	s.work()
	if kind := s.entry(signature).Record.Manifest.Kind; kind != gate.KindSignature {
		t.Errorf("kind of a cosign signature: got %q", kind)
	}
	if n, use := s.analyzer.count(), s.used(); n != 0 || use.Used != 0 {
		t.Errorf("a signature was analysed (%d) or charged (%d)", n, use.Used)
	}
}

func TestDigestThatTheRegistryDoesNotHave(t *testing.T) {
	s := newSite(t, month(0))
	missing := gate.Digest("sha256:" + pad(7))
	s.event("team/app", "v1", missing)
	jobs := s.work()
	for key, job := range jobs {
		if job.State != gate.JobFailed || job.Reason != "not_found" {
			t.Errorf("job %s: got %s (%s), want failed (not_found)", key, job.State, job.Reason)
		}
	}
	if len(jobs) != 1 || s.used().Used != 0 {
		t.Errorf("jobs %v, used %d: want one job and no charge", jobs, s.used().Used)
	}
}

func TestImageIsPulledFromAnotherLocation(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.push("team/copy", "v1", 1)
	s.analyzer.fail = func(req gate.AnalyzeRequest) error {
		if req.Location.Repository == "team/app" {
			return fmt.Errorf("pulling: %w", gate.ErrNotFound)
		}
		return nil
	}
	s.event("team/app", "v1", d)
	s.event("team/copy", "v1", d)
	// Both resolves run before the analysis: they are older and of the same class.
	s.work()
	if s.entry(d).State() != gate.StateScanned {
		t.Errorf("state: got %s, want scanned from the second location", s.entry(d).State())
	}
	at, _ := s.entry(d).Record.At(gate.Location{Registry: hub, Repository: "team/app"})
	if !at.Gone {
		t.Error("the location that has lost the image is not marked gone")
	}
}

func TestUnassessableIsRememberedWithItsReason(t *testing.T) {
	s := newSite(t, month(0))
	s.analyzer.fail = func(gate.AnalyzeRequest) error {
		return fmt.Errorf("its layers are encrypted: %w", gate.ErrUnassessable)
	}
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	e := s.entry(d)
	if e.State() != gate.StateUnassessable || e.Record.Manifest.Unassessable == "" {
		t.Errorf("state %s, reason %q", e.State(), e.Record.Manifest.Unassessable)
	}
	if got := s.verdict(d); got == gate.OutcomeAllow || got == gate.OutcomeWarn {
		t.Errorf("standing verdict of an image that cannot be assessed: %s", got)
	}
	if s.used().Used != 0 {
		t.Error("the charge of an analysis that served no byte was kept")
	}
}

func TestFindingsFollowTheGeneration(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	if s.verdict(d) != gate.OutcomeAllow {
		t.Fatalf("verdict under generation 1: %s", s.verdict(d))
	}
	s.matcher.bad[d] = gate.SeverityCritical
	s.matcher.activate(2)
	sweeper := s.sweeper(listed{d})
	swept, err := sweeper.Rematch(s.ctx)
	if err != nil || swept.Matched != 1 {
		t.Fatalf("sweep: %+v, %v", swept, err)
	}
	if s.verdict(d) != gate.OutcomeDeny {
		t.Errorf("verdict under generation 2: got %s, want deny", s.verdict(d))
	}
	if n, use := s.analyzer.count(), s.used(); n != 1 || use.Used != 1 {
		t.Errorf("a re-match analysed (%d) or charged (%d)", n, use.Used)
	}
	again, err := sweeper.Rematch(s.ctx)
	if err != nil || again.Matched != 0 || again.Evaluated != 0 || again.Skipped != 1 {
		t.Errorf("second sweep: got %+v, %v; want nothing to match or evaluate", again, err)
	}
}

func TestGenerationThatMovesDuringAMatch(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.matcher.during = func() { s.matcher.activate(2) }
	s.event("team/app", "v1", d)
	s.work()
	if g := s.entry(d).Record.Generation; g != 2 {
		t.Errorf("findings are of generation %d, want the one that became active meanwhile", g)
	}
}

func TestNoAdvisoriesIsNeverNoFindings(t *testing.T) {
	s := newSite(t, month(0))
	s.matcher.loaded = false
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	at, _ := s.entry(d).Record.At(gate.Location{Registry: hub, Repository: "team/app"})
	if at.Verdict.Outcome == gate.OutcomeAllow || at.Verdict.Outcome == gate.OutcomeWarn {
		t.Errorf("verdict without advisories: %+v", at.Verdict)
	}
	s.matcher.activate(1)
	if _, err := s.sweeper(listed{d}).Rematch(s.ctx); err != nil {
		t.Fatal(err)
	}
	if s.verdict(d) != gate.OutcomeAllow || s.analyzer.count() != 1 {
		t.Errorf("after the data came: verdict %s, analyses %d", s.verdict(d), s.analyzer.count())
	}
}

func TestContentRescanIsFree(t *testing.T) {
	s := newSite(t, month(1))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.analyzer.set = "set-2"
	s.again(d)
	if s.entry(d).State() != gate.StateScanned {
		t.Error("a rescan hid the image")
	}
	s.work()
	if s.analyzer.count() != 2 || s.used().Used != 1 || s.entry(d).Record.AnalyzerSet != "set-2" {
		t.Errorf("analyses %d, used %d, set %s", s.analyzer.count(), s.used().Used, s.entry(d).Record.AnalyzerSet)
	}
}

func TestCommitOfALostClaimIsRefused(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	var first gate.Job
	for { // resolve, then take the analysis and let its lease run out
		job, err := s.store.Claim(s.ctx, s.claim())
		if err != nil {
			t.Fatal(err)
		}
		if job.Kind == gate.JobAnalyze {
			first = job
			break
		}
		err = s.Handlers()[job.Kind](s.ctx, gate.NewRun(job))
		if _, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: err, MaxAttempts: 3}); err != nil {
			t.Fatal(err)
		}
	}
	s.clock.Advance(31e9)
	s.work()
	err := s.Handlers()[gate.JobAnalyze](s.ctx, gate.NewRun(first))
	if !errors.Is(err, gate.ErrFenced) {
		t.Errorf("work of a claim that was taken over: got %v, want ErrFenced", err)
	}
	if s.analyzer.count() != 1 || s.used().Used != 1 {
		t.Errorf("analyses %d, used %d: want 1 and 1", s.analyzer.count(), s.used().Used)
	}
}

func TestQuotaParksAndReleases(t *testing.T) {
	s := newSite(t, month(1))
	a, b := s.push("team/app", "a", 1), s.push("team/app", "b", 2)
	s.event("team/app", "a", a)
	s.event("team/app", "b", b)
	s.work()
	if got := []gate.State{s.entry(a).State(), s.entry(b).State()}; got[0] != gate.StateScanned || got[1] != gate.StateQuotaExhausted {
		t.Fatalf("states with a quota of one: %v", got)
	}
	s.clock.Advance(40 * 24 * 3600e9)
	s.work()
	if s.entry(b).State() != gate.StateScanned || s.used().Used != 1 {
		t.Errorf("in the next period: state %s, used %d", s.entry(b).State(), s.used().Used)
	}
}
