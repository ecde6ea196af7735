package gate_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// mapped maps a tag as admission does when the namespace's budget is used up:
// the manifest is recorded and nothing is queued.
func (s *syncSite) mapped(repo, tag string) gate.Digest {
	s.t.Helper()
	loc := gate.Location{Registry: hub, Repository: repo}
	m, err := s.Source.Resolve(s.ctx, loc, tag)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.PutManifest(s.ctx, m); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.AddLocation(s.ctx, m.Digest, loc); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.PutTag(s.ctx, gate.TagKey{Location: loc, Tag: tag}, m.Digest, s.clock.Now(), ""); err != nil {
		s.t.Fatal(err)
	}
	return m.Digest
}

// TestSyncFullFindsWhatWasNeverAskedFor: a known image that nobody queued.
func TestSyncFullFindsWhatWasNeverAskedFor(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	d := s.mapped("team/app", "v1")
	if st := s.sync(); st.Counts.Queued != 1 {
		t.Errorf("run: %+v", st)
	}
	s.work()
	if s.entry(d).State() != gate.StateScanned {
		t.Errorf("state %s", s.entry(d).State())
	}
}

// TestSyncFullLooksAtChildren: a known index is complete only when each judged
// child has an inventory or a job.
func TestSyncFullLooksAtChildren(t *testing.T) {
	s := newSyncSite(t)
	_, children := s.pushIndex("team/app", "multi")
	s.event("team/app", "", children[0])
	s.work()
	s.mapped("team/app", "multi")
	if a, b := s.entry(children[0]).State(), s.entry(children[1]).State(); a != gate.StateScanned || b != gate.StateNotScanned {
		t.Fatalf("children: %s, %s", a, b)
	}
	if st := s.sync(); !st.Full || st.Counts.Queued != 1 {
		t.Errorf("run with a child that was never asked for: %+v", st)
	}
	s.work()
	if got := s.entry(children[1]).State(); got != gate.StateScanned {
		t.Errorf("the child: %s", got)
	}
	s.clock.Advance(24 * time.Hour)
	if st := s.sync(); !st.Full || st.Counts.Queued != 0 {
		t.Errorf("run with an index that is complete: %+v", st)
	}
}

// TestSyncLeavesJobsAlone: what a person has cancelled, or still waits, is not
// asked for again.
func TestSyncLeavesJobsAlone(t *testing.T) {
	s := newSyncSite(t)
	_, children := s.pushIndex("team/app", "multi")
	s.mapped("team/app", "multi")
	loc := gate.Location{Registry: hub, Repository: "team/app"}
	for i, d := range children {
		job, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: d, Trigger: gate.TriggerPush})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := s.store.Cancel(s.ctx, job.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if st := s.sync(); !st.Full || st.Counts.Queued != 0 {
		t.Errorf("run: %+v, want nothing queued", st)
	}
}
