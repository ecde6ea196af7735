package storetest

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Retention runs the cases about what is removed in time on a store that keeps jobs for
// an hour. tidy makes the store remove what it may, and returns the store to continue
// with.
func Retention(t *testing.T, h Harness, tidy func(store.Store) store.Store) {
	e := newEnv(t, h)
	fail := gate.Result{Err: gate.ErrScanFailed, Final: true}
	run := func(name string, result gate.Result, want gate.JobState) string {
		e.enqueue(analyze(name, gate.TriggerAPI), gate.EnqueuedNew)
		return e.finishWith(e.claim(), result, want).ID
	}
	gone := []string{run("done", gate.Result{}, gate.JobDone), run("failed", fail, gate.JobFailed)}
	kept := []string{run("failed", fail, gate.JobFailed), run("cancelled", gate.Result{Err: gate.ErrCancelled}, gate.JobCancelled)}
	before := e.lastSeq()
	e.advance(time.Hour + time.Minute)
	e.s = tidy(e.s)
	told := map[string]bool{}
	changes, _ := e.changes(before)
	for _, c := range changes {
		told[c.Key] = true
	}
	for _, id := range gone {
		if _, err := e.s.Job(e.ctx, id); !errors.Is(err, gate.ErrNotFound) || !told[id] {
			t.Errorf("job %q: got %v, want it gone; told: %v", id, err, told[id])
		}
	}
	// What says whether an image may be asked for again stays.
	for _, id := range kept {
		if _, err := e.s.Job(e.ctx, id); err != nil || told[id] {
			t.Errorf("job %q: %v; told: %v", id, err, told[id])
		}
	}
	e.enqueue(analyze("cancelled", gate.TriggerPush), gate.EnqueuedLeft)
	// What is gone may be asked for again by anybody.
	e.enqueue(analyze("done", gate.TriggerAdmission), gate.EnqueuedNew)
}

// FeedFollowsRecords tests a store that keeps 100 changes at least: a sweep that appends
// two changes for each of its records loses no reader, and the feed is bounded all the same.
func FeedFollowsRecords(t *testing.T, h Harness) {
	e := newEnv(t, h)
	const records = 700
	round := 0
	sweep := func() {
		t.Helper()
		round++
		var writing errgroup.Group
		writing.SetLimit(16)
		for i := range records {
			writing.Go(func() error {
				m := manifest(name("m", i))
				m.Size = int64(round)
				return e.s.PutManifest(e.ctx, m)
			})
		}
		e.no(writing.Wait())
	}
	sweep()
	before, err := e.s.Scan(e.ctx, func(gate.Item) error { return nil })
	e.no(err)
	sweep()
	sweep()
	if all, _ := e.changes(before); len(all) != 2*records {
		t.Errorf("after a sweep: got %d changes, want %d", len(all), 2*records)
	}
	for range 6 {
		sweep()
	}
	if _, _, err := e.s.Changes(e.ctx, before, 1); !errors.Is(err, gate.ErrConflict) {
		t.Errorf("after six more: got %v, want ErrConflict: the feed has no bound", err)
	}
}
