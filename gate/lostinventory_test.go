package gate_test

import (
	"context"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// forgetful are records of a store that loses the next inventories that are written,
// as a shared one does in a failover.
type forgetful struct {
	records
	lost int
}

func (f *forgetful) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error) {
	if f.lost == 0 {
		return f.records.PutInventory(ctx, epoch, inv)
	}
	f.lost--
	entry, err := gate.ReadEntry(ctx, f.records, inv.Digest)
	return gate.Written{ID: "sha256:lost", Version: entry.Record.Version + 1}, err
}

// TestInventoryLostDuringItsAnalysis: what the store has lost says nothing about
// the image. It is analysed again, and a store that goes on losing is waited for;
// the job never fails for it.
func TestInventoryLostDuringItsAnalysis(t *testing.T) {
	for lost, wantJob := range map[int]gate.JobState{1: gate.JobDone, 2: gate.JobQueued} {
		s := newSite(t, month(0))
		s.keepIn(&forgetful{s.store, lost})
		d := s.push("team/app", "v1", 1)
		s.event("team/app", "v1", d)
		job := s.work()[string(d)]
		if job.State != wantJob || job.Attempts != 0 {
			t.Errorf("lost %d times: got a job %s with %d attempts (%s), want %s with none", lost, job.State, job.Attempts, job.Error, wantJob)
		}
		if lost == 2 {
			s.clock.Advance(job.NotBefore.Sub(s.clock.Now()))
			s.work()
		}
		if entry := s.entry(d); entry.State() != gate.StateScanned || entry.Record.FindingsID == "" || entry.Job.State != gate.JobDone {
			t.Errorf("lost %d times, in the end: got %s and a job %s", lost, entry.State(), entry.Job.State)
		}
		if s.used().Used != 1 {
			t.Errorf("lost %d times: %d used, want 1", lost, s.used().Used)
		}
	}
}
