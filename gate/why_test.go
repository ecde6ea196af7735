package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/refusal"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// said fails unless the text of an answer has all the words and none of those after
// "!".
// english is what an answer says.
func english(a gate.Answer) string { return refusal.English(a.Text) }

func said(t *testing.T, a gate.Answer, code gate.Code, words ...string) {
	t.Helper()
	if a.Permits() || a.Code != code {
		t.Errorf("got %s, want %s: %+v", a.Code, code, a)
	}
	for _, w := range words {
		if no, ok := strings.CutPrefix(w, "!"); ok == strings.Contains(english(a), no) {
			t.Errorf("got %q, want %q", english(a), words)
		}
	}
}

const usually = "usually about"

func TestUsualDurationIsSaidOnlyWhenItIsMeasuredAndNothingIsInTheWay(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	image := s.at("team/app", "@"+string(d))
	said(t, s.ask(l, image), gate.CodeUnscanned, "its scan is queued now", "a bare Pod must be applied again", "!"+usually)
	said(t, s.ask(l, image), gate.CodePending, "its scan is queued", "!"+usually)
	s.analyzer.fail = func(gate.AnalyzeRequest) error { s.clock.Advance(12 * time.Second); return nil }
	s.work()
	s.analyzer.fail = nil

	other := s.push("team/app", "v2", 2)
	image = s.at("team/app", "@"+string(other))
	said(t, s.ask(l, image), gate.CodeUnscanned, "its scan is queued now, usually about 12 s")
	job, err := s.store.Claim(s.ctx, s.claim())
	if err != nil {
		t.Fatal(err)
	}
	said(t, s.ask(l, image), gate.CodePending, "its scan is running, usually about 12 s")
	// Now something is in its way.
	if _, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: fmt.Errorf("x: %w", &gate.Outage{Kind: gate.CauseName})}); err != nil {
		t.Fatal(err)
	}
	said(t, s.ask(l, image), gate.CodePending, `the name of registry "hub" cannot be resolved`, "tried again at", "!"+usually)
}

func TestQuotaIsUsedUpUntilADate(t *testing.T) {
	s := newSite(t, gate.QuotaConfig{Limit: 1, Period: "month", TimeZone: "Asia/Shanghai"}) // 2026-09-21
	l := s.lookup(lookup.Options{})
	s.event("team/app", "v1", s.push("team/app", "v1", 1))
	s.work()
	d := s.push("team/app", "v2", 2)
	image := s.at("team/app", "@"+string(d))
	const until = "the scan quota (quota.limit) is used up until 2026-10-01 00:00 Asia/Shanghai"
	said(t, s.ask(l, image), gate.CodeUnscanned, until, "!"+usually) // before any worker has looked
	s.work()
	said(t, s.ask(l, image), gate.CodeQuotaExhausted, until, "!"+usually, "!next one")
	s.clock.Advance(10 * 24 * time.Hour)
	said(t, s.ask(l, image), gate.CodeQuotaExhausted, "was used up until 2026-10-01 00:00 Asia/Shanghai", "in their turn")

	never := newSite(t, gate.QuotaConfig{Limit: 1, Period: "none", TimeZone: "UTC"})
	never.event("team/app", "v1", never.push("team/app", "v1", 1))
	never.event("team/app", "v2", never.push("team/app", "v2", 2))
	never.work()
	said(t, never.ask(never.lookup(lookup.Options{}), never.at("team/app", "@"+string(never.push("team/app", "v2", 2)))),
		gate.CodeQuotaExhausted, "does not renew by itself", "!until")
}

// TestRegistryAskedToWaitLong: digestgate asks again after an hour at the latest. The
// text gives the time that the registry has named, and when it is asked again; a time
// that cannot be meant is not repeated.
func TestRegistryAskedToWaitLong(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		asked time.Duration // 0: no time of the registry's is told
		again bool
	}{
		"hours":     {"10800", 3 * time.Hour, true},
		"one_hour":  {"3600", time.Hour, false},
		"negative":  {"-30", 0, true},
		"past_date": {"Mon, 23 Nov 2015 12:00:05 GMT", 0, true},
		"absurd":    {"1e300", 0, true},
		"none":      {"", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, month(0))
			l := s.lookup(lookup.Options{})
			image := s.at("team/app", "@"+string(s.push("team/app", "v1", 1)))
			s.ask(l, image)
			f := fake.Fault{Path: "/v2/**", Status: http.StatusTooManyRequests, Header: http.Header{}}
			if c.value != "" {
				f.Header.Set("Retry-After", c.value)
			}
			s.registry.Fail(f)
			s.work()
			now := s.clock.Now()
			text := `registry "hub" asked to wait`
			if c.asked > 0 {
				text += " until " + gate.Clock(now.Add(c.asked), now)
			}
			text += "; "
			again := "!it is tried again at "
			if c.again {
				again = "it is tried again at "
			}
			said(t, s.ask(l, image), gate.CodePending, text, again, "!"+usually)
		})
	}
}

func TestRegistryAskedToWaitUntil(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	image := s.at("team/app", "@"+string(d))
	s.ask(l, image)
	s.registry.Fail(fake.Fault{Path: "/v2/**", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1200"}}})
	s.work()
	until := s.clock.Now().Add(20 * time.Minute)
	a := s.ask(l, image)
	said(t, a, gate.CodePending, `registry "hub" asked to wait until `, "!"+usually, "!tried again")
	_, at, _ := strings.Cut(english(a), "until ")
	if got, err := time.Parse("15:04 UTC", at[:9]); err != nil || got.Sub(time.Date(0, 1, 1, until.Hour(), until.Minute(), 0, 0, time.UTC)).Abs() > time.Minute {
		t.Errorf("got until %q (%v), want %s", at, err, until)
	}
}

func TestHourlyPullsAreUsedUntil(t *testing.T) {
	s := newSite(t, month(0))
	list := append([]gate.Registry(nil), s.Registries.All()...)
	list[0].Limits.PullsPerHour = 1
	var err error
	if s.Registries, err = gate.NewRegistries(list); err != nil {
		t.Fatal(err)
	}
	s.explain.Registries = s.Registries
	l := s.lookup(lookup.Options{})
	s.event("team/app", "v1", s.push("team/app", "v1", 1))
	s.work()
	started := s.clock.Now()
	d := s.push("team/app", "v2", 2)
	s.event("team/app", "v2", d)
	s.clock.Advance(10 * time.Minute)
	s.work()
	want := gate.Clock(started.Add(time.Hour), s.clock.Now())
	said(t, s.ask(l, s.at("team/app", "@"+string(d))), gate.CodePending, `the hourly pulls of registry "hub" (pullsPerHour) are used up until `+want, "!"+usually)
}

// TestCauseIsOfThisPlaceOrOfTheBytes: what one tenant's repository did to a scan is
// not told to another, by no text.
func TestCauseIsOfThisPlaceOrOfTheBytes(t *testing.T) {
	const theirs, ours = "tenant-a/secret-project", "tenant-b/app"
	fail := map[string]struct {
		err         error
		code        gate.Code
		here, there string // at their place, at ours
	}{
		"content": {fmt.Errorf("analyzing: layer 1 of 2: %w", fmt.Errorf("the archive ends early: %w", gate.ErrScanFailed)), gate.CodeScanFailed,
			"the archive ends early", "the archive ends early"},
		"unassessable": {fmt.Errorf("reading image %q: %w", "hub/"+theirs+"@sha256:0", fmt.Errorf("layer 1 is encrypted: %w", gate.ErrUnassessable)), gate.CodeUnassessable,
			"layer 1 is encrypted", "layer 1 is encrypted"},
		"served": {fmt.Errorf("reading blob of %q: %w", theirs, gate.ErrIntegrity), gate.CodeScanFailed,
			"does not match its digest", "from the place that it was pushed to first"},
		"permanent": {fmt.Errorf("analyzing: %w", gate.Permanent(fmt.Errorf("layer 1 of 2 unpacks to something else: %w", gate.ErrIntegrity))), gate.CodeScanFailed,
			"layer 1 of 2 unpacks to something else", "layer 1 of 2 unpacks to something else"},
		"panic": {fmt.Errorf("deciding about %q: a bug", theirs), gate.CodeScanFailed, "an error of digestgate itself", "an error of digestgate itself"},
	}
	for name, c := range fail {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, month(0))
			l := s.lookup(lookup.Options{})
			d := s.push(theirs, "v1", 1)
			s.push(ours, "v1", 1)
			s.event(theirs, "v1", d)
			s.analyzer.fail = func(gate.AnalyzeRequest) error { return c.err }
			s.work()
			for repo, want := range map[string]string{theirs: c.here, ours: c.there} {
				a := s.ask(l, s.at(repo, "@"+string(d)))
				said(t, a, c.code, want)
				if repo == ours && strings.Contains(english(a), "tenant-a") {
					t.Errorf("at %s: got %q, which names another tenant's repository", repo, english(a))
				}
			}
		})
	}
}

// TestCauseOfThisPlaceComesFirst: of several places that were tried, a person is
// told of the own one.
func TestCauseOfThisPlaceComesFirst(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("one/app", "v1", 1)
	s.push("two/app", "v1", 1)
	s.event("one/app", "v1", d)
	s.event("two/app", "v1", d)
	s.analyzer.fail = func(r gate.AnalyzeRequest) error {
		if r.Location.Repository == "one/app" {
			return fmt.Errorf("one: %w", gate.ErrRegistryAuth)
		}
		return &gate.RetryAfterError{After: 5 * time.Minute, Asked: 5 * time.Minute, Err: &gate.Outage{Kind: gate.CauseAskedToWait}}
	}
	s.work()
	said(t, s.ask(l, s.at("one/app", "@"+string(d))), gate.CodePending, "refuses the credentials", "!two/app")
	said(t, s.ask(l, s.at("two/app", "@"+string(d))), gate.CodePending, "asked to wait until", "!one/app", "!credentials")
}

// TestEarlierWordsNameNoOtherPlace: what a version before has recorded about a
// digest may begin with where it was read.
func TestEarlierWordsNameNoOtherPlace(t *testing.T) {
	const theirs, ours = "tenant-a/secret-project", "tenant-b/app"
	for _, c := range []struct{ recorded, want string }{
		{`analyzing sha256:0123456789ab: reading image "hub/` + theirs + `@sha256:0123": layer 1 is encrypted: image cannot be assessed`, "layer 1 is encrypted"},
		{`resolving "hub/` + theirs + `:v1": the manifest cannot be read: image cannot be assessed`, "the manifest cannot be read"},
		{`something about ` + theirs + ` in other words`, "its content cannot be read"},
	} {
		s := newSite(t, month(0))
		d := s.push(theirs, "v1", 1)
		s.event(theirs, "v1", d)
		if err := s.store.PutManifest(s.ctx, gate.Manifest{Digest: d, Kind: gate.KindImage, Unassessable: c.recorded, Hashed: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.AddLocation(s.ctx, d, gate.Location{Registry: hub, Repository: theirs}); err != nil {
			t.Fatal(err)
		}
		a := s.ask(s.lookup(lookup.Options{}), s.at(ours, "@"+string(d)))
		said(t, a, gate.CodeUnassessable, c.want, "!tenant-a")
	}
}

func TestFailedScanSaysWhenItIsTriedAgain(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.analyzer.fail = func(gate.AnalyzeRequest) error {
		return fmt.Errorf("the child ran out of memory: %w", gate.ErrScanFailed)
	}
	s.work()
	image := s.at("team/app", "@"+string(d))
	again := gate.Clock(s.clock.Now().Add(gate.AdmissionRestart), s.clock.Now())
	said(t, s.ask(l, image), gate.CodeScanFailed, "its scan failed: the child ran out of memory", "after "+again, "POST /api/v1/scans")
	s.clock.Advance(gate.AdmissionRestart)
	said(t, s.ask(l, image), gate.CodeScanFailed, "the child ran out of memory", "it is queued once more")
	said(t, s.ask(l, image), gate.CodePending, "!"+usually)
}

func TestMissingDigestNamesTheRepository(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	s.push("team/app", "v1", 1)
	image := s.at("team/app", "@sha256:"+pad(5))
	s.ask(l, image)
	s.work()
	said(t, s.ask(l, image), gate.CodeUnscanned, `registry "hub" does not have it in repository "team/app"`, "an admission starts the scan again")
}

func TestCancelledNamesWhatExists(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	job, err := s.store.Claim(s.ctx, s.claim())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: s.Handlers()[job.Kind](s.ctx, gate.NewRun(job))})
	if err == nil {
		_, err = s.store.Cancel(s.ctx, s.entry(d).Job.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	said(t, s.ask(s.lookup(lookup.Options{}), s.at("team/app", "@"+string(d))), gate.CodeUnscanned, "was cancelled", "POST /api/v1/scans")
}

func TestCausesOfAnError(t *testing.T) {
	if got := gate.CausesOf(nil, time.Time{}); got != nil {
		t.Errorf("no error: got %+v", got)
	}
	for _, class := range gate.Errors() {
		got := gate.CausesOf(fmt.Errorf("reading %q: %w", "tenant-a/app", class.Err), time.Now())
		if len(got) != 1 || got[0].Kind == "" || strings.Contains(got[0].Text, "tenant-a") && got[0].Kind != gate.CauseContent {
			t.Errorf("%s: got %+v", class.Label, got)
		}
	}
	inner := fmt.Errorf("%w: %w", errors.New("the archive ends early"), gate.ErrScanFailed)
	got := gate.CausesOf(errors.Join(fmt.Errorf("reading %q: %w", "tenant-a/app", inner)), time.Now())
	if got[0].Kind != gate.CauseContent || got[0].Text != "the archive ends early" {
		t.Errorf("innermost text: got %+v", got)
	}
}

// TestTagOfARegistryThatDoesNotAnswer: the denial of a tag says why nobody can tell
// what it names, and so does the warning where an earlier reading serves.
func TestTagOfARegistryThatDoesNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		fault        fake.Fault
		denied, warn string
	}{
		"asked_to_wait": {fake.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1200"}}},
			`registry "hub" asked to wait until `, "the registry asked to wait until "},
		"failing":     {fake.Fault{Status: http.StatusInternalServerError}, `registry "hub" answers with errors`, "the registry answers with errors"},
		"credentials": {fake.Fault{Status: http.StatusUnauthorized}, `registry "hub" refuses the credentials`, "the registry refuses the credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, month(0))
			l := s.lookup(lookup.Options{})
			s.event("team/app", "v1", s.push("team/app", "v1", 1))
			s.work()
			c.fault.Path = "/v2/**"
			s.registry.Fail(c.fault)
			s.clock.Advance(5 * time.Minute)
			a := s.ask(l, s.at("team/app", ":v1"))
			if !a.Permits() || !strings.Contains(strings.Join(a.Said(), " "), c.warn) {
				t.Errorf("within grace: got %+v, want a warning with %q", a, c.warn)
			}
			s.clock.Advance(20 * time.Minute)
			a = s.ask(l, s.at("team/app", ":v1"))
			if a.Permits() || !strings.Contains(english(a), c.denied) {
				t.Errorf("beyond grace: got %+v, want %q", a, c.denied)
			}
		})
	}
	s := newSite(t, month(0))
	a := s.ask(s.lookup(lookup.Options{}), "second.invalid/team/app:v1")
	if a.Permits() || !strings.Contains(english(a), `what tag "v1" names is not known: the name of registry "second" cannot be resolved`) {
		t.Errorf("a name that cannot be resolved: got %+v", a)
	}
}
