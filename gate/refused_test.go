package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// refuse has the registry refuse what a reference of team/app names, as Harbor's
// policies do.
func (s *site) refuse(ref string) {
	s.registry.Fail(fake.Fault{Path: "/v2/team/app/manifests/" + ref, Status: 412, Body: []byte(`{"errors":[{"code":"PROJECTPOLICYVIOLATION"}]}`)})
}

// TestRefusedImageWaits: its job says why, burns no attempt, and an image that is
// allowed again is scanned.
func TestRefusedImageWaits(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.refuse(string(d))
	s.event("team/app", "v1", d)
	for range 3 {
		jobs := s.work()
		if len(jobs) != 1 {
			t.Fatalf("jobs: got %+v, want one", jobs)
		}
		for _, job := range jobs {
			if job.State != gate.JobQueued || job.Attempts != 0 || job.Reason != "registry_refused" || !strings.Contains(job.Error, "the registry refuses this image: blocked by its own policy or removed") {
				t.Errorf("got %+v", job)
			}
		}
		s.clock.Advance(time.Hour)
	}
	s.registry.Reset()
	s.work()
	if got := s.entry(d).State(); got != gate.StateScanned {
		t.Errorf("after it was allowed: state %s, want scanned", got)
	}
}

// TestRefusedImageFails: after a day the job has failed, and admission says so.
func TestRefusedImageFails(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	img := s.push("team/app", "v2", 2)
	s.registry.Fail(fake.Fault{Path: "/v2/team/app/blobs/*", Status: 451})
	s.event("team/app", "v2", img)
	hours := 0
	for ; hours < 30; hours++ {
		failed := false
		for _, job := range s.work() {
			failed = failed || job.State == gate.JobFailed && job.Reason == "registry_refused" && job.Attempts == 0
		}
		if failed {
			break
		}
		s.clock.Advance(time.Hour)
	}
	if hours != 24 {
		t.Errorf("it failed after %d hours, want 24", hours)
	}
	if job := s.work(); len(job) != 0 {
		t.Errorf("it goes on: %+v", job)
	}
}

// TestRefusedTagSparesOthers: the other tags of a job are confirmed.
func TestRefusedTagSparesOthers(t *testing.T) {
	s := newSyncSite(t)
	d := s.push("team/app", "a", 1)
	s.push("team/app", "b", 1)
	s.refuse("a")
	s.event("team/app", "a", d)
	s.event("team/app", "b", d) // joins
	jobs := s.work()
	if a, b := s.mapping("team/app", "a"), s.mapping("team/app", "b"); a.Digest != "" && !a.Dirty || b.Dirty || b.Digest != d {
		t.Errorf("mappings: got %+v and %+v, want the second confirmed", a, b)
	}
	if s.entry(d).State() != gate.StateScanned {
		t.Errorf("state %s, want scanned", s.entry(d).State())
	}
	waiting := 0
	for _, job := range jobs {
		if job.State == gate.JobQueued && job.Reason == "registry_refused" {
			waiting++
		}
	}
	if waiting != 1 {
		t.Errorf("jobs: got %+v, want one that waits", jobs)
	}
}

// TestRefusedInOnePlace: an image that another repository serves is analysed.
func TestRefusedInOnePlace(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.push("other/app", "v1", 1)
	s.refuse(string(d))
	s.refuse("v1")
	s.event("team/app", "v1", d)
	s.work()
	s.event("other/app", "v1", d)
	s.work()
	if got := s.entry(d).State(); got != gate.StateScanned {
		t.Errorf("state %s, want scanned", got)
	}
}

// TestRefusedTagAtAdmission: the person is told whose refusal it is; a mapping that
// was confirmed lately serves, one in doubt does not.
func TestRefusedTagAtAdmission(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.refuse("v1")
	l := s.lookup(lookup.Options{})
	image := s.at("team/app", ":v1")
	s.clock.Advance(2 * time.Minute)
	if a := s.ask(l, image); !a.Permits() || !strings.Contains(strings.Join(a.Warnings, ""), "the registry refuses this image now") {
		t.Errorf("within the grace: got %+v", a)
	}
	s.clock.Advance(10 * time.Minute)
	for what, change := range map[string]func(){"after the grace": func() {}, "dirty": func() { s.event("team/app", "v1", d) }} {
		change()
		a := s.ask(l, image)
		if a.Permits() || a.Code != gate.CodeUnscanned || !strings.Contains(english(a), `refuses tag "v1" of repository "team/app": blocked by its own policy or removed`) {
			t.Errorf("%s: got %+v, want a refusal that names the registry's", what, a)
		}
	}
}

// TestSyncPassesRefusedTags: one tag that the registry does not serve keeps no
// other from being found.
func TestSyncPassesRefusedTags(t *testing.T) {
	t.Run("by_policy", func(t *testing.T) {
		s := newSyncSite(t)
		for n, tag := range []string{"a", "b", "c", "d", "e"} {
			s.push("team/app", tag, uint64(n))
		}
		for _, tag := range []string{"a", "b", "c", "d"} {
			s.refuse(tag)
		}
		st := s.syncListed()
		if st.Phase != registrysync.Done || st.Counts.Queued != 1 || st.Counts.Problems != 1 || st.Counts.Done != 1 || !strings.Contains(st.Error, "4 of its tags") || !strings.Contains(st.Error, "refuses this image") {
			t.Errorf("got %+v", st)
		}
	})
	forbid := func(s *syncSite, tags ...string) {
		for _, tag := range tags {
			s.registry.Fail(fake.Fault{Path: "/v2/team/app/manifests/" + tag, Status: 403})
		}
	}
	t.Run("forbidden", func(t *testing.T) {
		s := newSyncSite(t)
		for n, tag := range []string{"a", "b", "c", "d", "e"} {
			s.push("team/app", tag, uint64(n))
		}
		forbid(s, "a", "b", "d", "e")
		if st := s.syncListed(); st.Phase != registrysync.Done || st.Counts.Queued != 1 || st.Counts.Problems != 1 || !strings.Contains(st.Error, "4 of its tags") {
			t.Errorf("got %+v", st)
		}
	})
	t.Run("all_forbidden", func(t *testing.T) {
		s := newSyncSite(t)
		for n, tag := range []string{"a", "b", "c", "d", "e"} {
			s.push("team/app", tag, uint64(n))
		}
		forbid(s, "*")
		s.registry.Reset()
		forbid(s, "*")
		st := s.syncListed()
		if st.Counts.Problems != 1 || st.Counts.Queued != 0 || !strings.Contains(st.Error, "check username") || s.registry.Count("HEAD", "/manifests/") != 3 {
			t.Errorf("got %+v after %d HEAD, want the repository given up after 3", st, s.registry.Count("HEAD", "/manifests/"))
		}
	})
}

// syncListed is a run that lists by the protocol, without digests.
func (s *syncSite) syncListed() registrysync.SyncStatus {
	s.t.Helper()
	source := &scriptedSource{Source: s.Source.(registrysync.Source)}
	s.step(s.replica(source, nil))
	return s.status()
}
