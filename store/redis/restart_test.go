package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// everything is what Scan finds, by name.
func everything(t testing.TB, s *redis.Store) map[string]store.Item {
	t.Helper()
	found := map[string]store.Item{}
	must(s.Scan(t.Context(), func(item store.Item) error {
		switch {
		case item.Record != nil:
			found[string(item.Record.Digest)] = item
		case item.Job != nil:
			found[item.Job.ID] = item
		case item.Tag != nil:
			found[item.Tag.String()] = item
		}
		return nil
	}))(t)
	return found
}

// newest follows the feed to its end and returns where that is.
func newest(t testing.TB, s *redis.Store, after int64) int64 {
	t.Helper()
	for {
		_, next, err := s.Changes(t.Context(), after, 1000)
		no(t, err)
		if next == after {
			return next
		}
		after = next
	}
}

// TestKilledServer: with appendfsync always, what was acknowledged is there
// after a kill -9 of the server, and the same connections go on.
func TestKilledServer(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{AOF: "always"})
	s := open(t, config(t, server.URL()), redis.Options{})
	for i := range 50 {
		d := digest(t.Name(), i)
		_, _, err := s.Enqueue(t.Context(), analysis(d, gate.TriggerPush))
		no(t, err)
		must(s.AddLocation(t.Context(), d, app))(t)
		must(s.PutTag(t.Context(), gate.TagKey{Location: app, Tag: string(d)[7:20]}, d, must(s.Now(t.Context()))(t), ""))(t)
		if i%2 == 0 {
			continue
		}
		job := must(s.Claim(t.Context(), claimFor("w")))(t)
		no(t, s.Fence(t.Context(), job.Digest, job.Epoch))
		no(t, s.Serve(t.Context(), job.Lease()))
		no(t, storetest.PutInventory(t.Context(), s, job.Epoch, inventory(job.Digest, "set")))
		must(s.Finish(t.Context(), job.Lease(), gate.Result{}))(t)
	}
	before, end, use := everything(t, s), newest(t, s, 0), must(s.Quota(t.Context(), "p"))(t)
	no(t, server.Kill())
	no(t, server.Start())
	if diff := cmp.Diff(before, everything(t, s)); diff != "" {
		t.Fatalf("after the kill (-before +after):\n%s", diff)
	}
	if got := newest(t, s, end); got != end {
		t.Fatalf("the feed ends at %d, want %d", got, end)
	}
	if got := must(s.Quota(t.Context(), "p"))(t); got != use || use.Used != 25 {
		t.Fatalf("got %+v after %+v", got, use)
	}
}

// forgetful is a server that loses what was written since a moment.
type forgetful struct {
	testing.TB
	server   *redistest.Server
	snapshot *redistest.Snapshot
}

func newForgetful(t testing.TB) *forgetful {
	return &forgetful{TB: t, server: redistest.Plain(t, redistest.Options{AOF: "always"})}
}

// remember marks the moment.
func (f *forgetful) remember() {
	f.Helper()
	f.snapshot = must(f.server.Snapshot())(f)
}

// forget kills the server and starts it as it was at that moment.
func (f *forgetful) forget() {
	f.Helper()
	no(f, f.server.Kill())
	no(f, f.server.Restore(f.snapshot))
	no(f, f.server.Start())
}

// TestLostSecond: what the server forgets is as if it had never been, but for
// numbers: ids, epochs and sequences of the lost time are not given again. Who
// held a claim of that time is told so, and who follows the feed builds anew.
func TestLostSecond(t *testing.T) {
	f := newForgetful(t)
	c := config(t, f.server.URL())
	s, worker := open(t, c, redis.Options{}), open(t, c, redis.Options{})
	a, b := digest(t.Name(), 1), digest(t.Name(), 2)
	_, _, err := s.Enqueue(t.Context(), analysis(a, gate.TriggerPush))
	no(t, err)
	f.remember()
	kept := newest(t, s, 0)

	lost := must(worker.Claim(t.Context(), claimFor("w")))(t)
	no(t, worker.Fence(t.Context(), a, lost.Epoch))
	gone, _, err := s.Enqueue(t.Context(), analysis(b, gate.TriggerPush))
	no(t, err)
	must(s.PutSetting(t.Context(), "tick", []byte("x"), 0))(t)
	follower := newest(t, s, kept)
	f.forget()

	_, _, err = s.Changes(t.Context(), follower, 10)
	wantErr(t, "following from a lost change", err, gate.ErrConflict)
	_, _, err = s.Changes(t.Context(), kept, 10)
	no(t, err)
	_, err = s.Job(t.Context(), gone.ID)
	wantErr(t, "a job of the lost time", err, gate.ErrNotFound)
	if use := must(s.Quota(t.Context(), "p"))(t); use.Used != 0 {
		t.Fatalf("got %+v", use)
	}
	for what, err := range map[string]error{
		"heartbeat": second(worker.Heartbeat(t.Context(), lost.Lease(), time.Minute, gate.Progress{})),
		"serve":     worker.Serve(t.Context(), lost.Lease()),
		"finish":    second(worker.Finish(t.Context(), lost.Lease(), gate.Result{})),
	} {
		wantErr(t, what+" under a lost claim", err, gate.ErrFenced)
	}
	again := must(s.Claim(t.Context(), claimFor("v")))(t)
	if again.Digest != a || again.Epoch <= lost.Epoch || again.Attempts != 0 {
		t.Fatalf("got %+v after %+v", again, lost)
	}
	renewed, outcome, err := s.Enqueue(t.Context(), analysis(b, gate.TriggerSync))
	no(t, err)
	if outcome != gate.EnqueuedNew || renewed.ID <= gone.ID {
		t.Fatalf("got %q job %q after %q", outcome, renewed.ID, gone.ID)
	}
	// It grows beyond the lost position without ever counting as a way to it.
	if end := newest(t, s, kept); end <= follower {
		t.Fatalf("the feed ends at %d, it had ended at %d", end, follower)
	}
	_, _, err = s.Changes(t.Context(), follower, 10)
	wantErr(t, "following from a lost change, later", err, gate.ErrConflict)
	must(s.PutSetting(t.Context(), "tick", []byte("y"), 0))(t)
}

// second is the error of a call that also has a value.
func second[T any](_ T, err error) error { return err }

// TestLostRecord: a record whose last write the server has lost is mended, also
// when some processes have seen the later one, and others only the earlier one
// that is there again.
func TestLostRecord(t *testing.T) {
	f := newForgetful(t)
	c := config(t, f.server.URL())
	writer, admission := open(t, c, redis.Options{}), open(t, c, redis.Options{})
	d := digest(t.Name(), 1)
	no(t, writer.PutManifest(t.Context(), gate.Manifest{Digest: d, Kind: gate.KindImage}))
	must(writer.AddLocation(t.Context(), d, app))(t)
	no(t, storetest.PutInventory(t.Context(), writer, 7, inventory(d, "set")))
	f.remember()
	entry := func(s *redis.Store) gate.Entry {
		return must(s.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}}))(t).Digests[d]
	}
	other := open(t, c, redis.Options{})
	no(t, storetest.PutVerdicts(t.Context(), other, d, []gate.Verdict{{Location: app, Decision: gate.Decision{Outcome: gate.OutcomeAllow}}}))
	if entry(admission).Record.InventoryID == "" {
		t.Fatal("the inventory is not there")
	}
	f.forget()
	if entry(writer).Record.InventoryID == "" {
		t.Fatal("who has not seen the lost write must believe the one before")
	}
	// What the writer does for a push or an admission miss, as often as it is
	// asked: nothing of it changes the record that it believes.
	deadline := time.After(time.Minute)
	for entry(admission).Record.InventoryID == "" {
		no(t, writer.PutManifest(t.Context(), gate.Manifest{Digest: d, Kind: gate.KindImage}))
		must(writer.AddLocation(t.Context(), d, app))(t)
		if entry(writer).Record.InventoryID == "" { // it is analysed again
			no(t, storetest.PutInventory(t.Context(), writer, 8, inventory(d, "set")))
		}
		select {
		case <-deadline:
			t.Fatal("one process goes on refusing the record that all others believe")
		default:
		}
	}
}

// TestPausedWorker: the late commit of a worker that was paused beyond its lease
// is refused, in the record and in the scheduler.
func TestPausedWorker(t *testing.T) {
	c := storetest.NewClock()
	url := servers.Plain(t).URL()
	conf := config(t, url)
	paused, next := open(t, conf, redis.Options{Clock: c.Now}), open(t, conf, redis.Options{Clock: c.Now})
	d := digest(t.Name(), 1)
	_, _, err := paused.Enqueue(t.Context(), analysis(d, gate.TriggerPush))
	no(t, err)
	late := must(paused.Claim(t.Context(), claimFor("paused")))(t)
	no(t, paused.Fence(t.Context(), d, late.Epoch))
	no(t, paused.Serve(t.Context(), late.Lease()))
	c.Advance(30 * time.Second)
	job := must(next.Claim(t.Context(), claimFor("next")))(t)
	no(t, next.Fence(t.Context(), d, job.Epoch))
	for what, err := range map[string]error{
		"inventory": storetest.PutInventory(t.Context(), paused, late.Epoch, inventory(d, "late")),
		"refusal":   paused.PutUnassessable(t.Context(), d, late.Epoch, "late"),
		"fence":     paused.Fence(t.Context(), d, late.Epoch),
		"serve":     paused.Serve(t.Context(), late.Lease()),
		"heartbeat": second(paused.Heartbeat(t.Context(), late.Lease(), time.Minute, gate.Progress{})),
		"finish":    second(paused.Finish(t.Context(), late.Lease(), gate.Result{})),
	} {
		wantErr(t, "a late "+what, err, gate.ErrFenced)
	}
	no(t, storetest.PutInventory(t.Context(), next, job.Epoch, inventory(d, "set")))
	if done := must(next.Finish(t.Context(), job.Lease(), gate.Result{}))(t); done.State != gate.JobDone || done.Attempts != 1 {
		t.Fatalf("got %+v", done)
	}
	if err := storetest.PutInventory(t.Context(), paused, late.Epoch, inventory(d, "later")); !errors.Is(err, gate.ErrFenced) {
		t.Fatalf("after all is done: got %v", err)
	}
	if use := must(next.Quota(t.Context(), "p"))(t); use.Used != 1 {
		t.Fatalf("got %+v", use)
	}
}
