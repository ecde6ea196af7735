package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// changes reads the whole feed after seq.
func (e *env) changes(after int64) ([]gate.Change, int64) {
	e.Helper()
	var all []gate.Change
	for {
		got, next, err := e.s.Changes(e.ctx, after, 100)
		e.no(err)
		if len(got) == 0 {
			return all, next
		}
		for _, c := range got {
			if c.Seq <= after || c.At.IsZero() {
				e.Fatalf("after %d: got %+v", after, c)
			}
			after = c.Seq
		}
		if next < after {
			e.Fatalf("next is %d after %d", next, after)
		}
		after = next
		all = append(all, got...)
	}
}

func (e *env) lastSeq() int64 {
	e.Helper()
	_, next := e.changes(0)
	return next
}

// told checks that what do changes, whose key it returns, is in the feed and
// wakes who waits.
func (e *env) told(what string, kind gate.ChangeKind, do func() (key string)) {
	e.Helper()
	after := e.lastSeq()
	changed := e.s.Changed()
	key := do()
	all, _ := e.changes(after)
	for _, c := range all {
		if c.Kind != kind || c.Key != key {
			continue
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			e.Errorf("%s: no reader was woken", what)
		}
		return
	}
	e.Errorf("%s: no change of %s %q in %+v", what, kind, key, all)
}

var feedCases = []testCase{
	{"empty", func(e *env) {
		got, next, err := e.s.Changes(e.ctx, 0, 10)
		e.no(err)
		if len(got) != 0 || next != 0 {
			e.Fatalf("got %+v, next %d", got, next)
		}
	}},
	{"newest_is_where_a_new_reader_begins", func(e *env) {
		newest := func() int64 {
			e.Helper()
			n, err := e.s.Newest(e.ctx)
			e.no(err)
			return n
		}
		if n := newest(); n != 0 {
			e.Errorf("empty: got %d", n)
		}
		for _, name := range []string{"a", "b", "c"} {
			e.no(e.s.PutManifest(e.ctx, manifest(name)))
			if got, want := newest(), e.lastSeq(); got != want {
				e.Errorf("after %s: got %d, want %d", name, got, want)
			}
		}
		at := newest()
		e.no(e.s.PutManifest(e.ctx, manifest("d")))
		if all, _ := e.changes(at); len(all) != 1 || all[0].Key != string(digest("d")) {
			e.Errorf("after the newest: got %+v, want the change made since", all)
		}
	}},
	{"jobs_are_told", func(e *env) {
		var job gate.Job
		e.told("enqueue", gate.ChangeJob, func() string { return e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew).ID })
		e.told("join", gate.ChangeJob, func() string { return e.enqueue(resolve("a", "v2", gate.TriggerPush), gate.EnqueuedJoined).ID })
		e.told("claim", gate.ChangeJob, func() string { job = e.claim(); return job.ID })
		e.told("progress", gate.ChangeJob, func() string {
			_, err := e.s.Heartbeat(e.ctx, job.Lease(), testLease, gate.Progress{Phase: gate.PhaseManifest})
			e.no(err)
			return job.ID
		})
		e.told("finish", gate.ChangeJob, func() string { return e.finish(job, nil, gate.JobDone).ID })
		e.told("cancel", gate.ChangeJob, func() string {
			id := e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew).ID
			e.cancel(id)
			return id
		})
		e.enqueue(analyze("c", gate.TriggerPush), gate.EnqueuedNew)
		e.told("lost lease", gate.ChangeJob, func() string { id := e.claim().ID; e.advance(testLease); e.claim(); return id })
		e.told("parked", gate.ChangeJob, func() string {
			id := e.enqueue(analyze("d", gate.TriggerPush), gate.EnqueuedNew).ID
			e.claimNoneWith(limited("2026-11", 1))
			return id
		})
		e.told("released", gate.ChangeJob, func() string { return e.claimWith(limited("2026-11", 2)).ID })
	}},
	{"records_tags_and_settings_are_told", func(e *env) {
		d := string(digest("a"))
		record := func(what string, do func() error) {
			e.Helper()
			e.told(what, gate.ChangeRecord, func() string { e.no(do()); return d })
		}
		record("manifest", func() error { return e.s.PutManifest(e.ctx, manifest("a")) })
		record("location", func() error { _, err := e.s.AddLocation(e.ctx, digest("a"), app); return err })
		record("verdict", func() error {
			return PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())})
		})
		record("gone", func() error { return e.s.MarkGone(e.ctx, digest("a"), app) })
		record("inventory", func() error { return PutInventory(e.ctx, e.s, 1, inventory("a", "set-1")) })
		record("findings", func() error { return PutFindings(e.ctx, e.s, findings("a", e.record("a").InventoryID, 1)) })
		record("unassessable", func() error { return e.s.PutUnassessable(e.ctx, digest("a"), 2, "too large") })
		tag := func(what string, do func()) {
			e.Helper()
			e.told(what, gate.ChangeTag, func() string { do(); return "harbor/library/app:v1" })
		}
		tag("tag", func() { e.putTag("v1", digest("a"), e.now()) })
		tag("dirty", func() { e.no(e.s.MarkDirty(e.ctx, key("v1"))) })
		e.advance(time.Second)
		tag("clean", func() { e.putTag("v1", digest("a"), e.now()) })
		e.advance(time.Second)
		tag("moved", func() { e.putTag("v1", digest("b"), e.now()) })
		e.told("setting", gate.ChangeSetting, func() string {
			_, err := e.s.PutSetting(e.ctx, "tick", []byte("1"), 0)
			e.no(err)
			return "tick"
		})
	}},
	{"what_changes_nothing_is_not_told", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		e.putTag("v1", digest("a"), e.now())
		before := e.lastSeq()
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedJoined)
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		_, err = e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		e.advance(time.Second)
		e.putTag("v1", digest("a"), e.now())
		e.want(PutFindings(e.ctx, e.s, findings("a", "x", 1)), gate.ErrConflict)
		if got, _ := e.changes(before); len(got) != 0 {
			e.Fatalf("got %+v", got)
		}
	}},
	{"limit_and_paging", func(e *env) {
		for i := range 25 {
			e.no(e.s.PutManifest(e.ctx, manifest(name("m", i))))
		}
		got, next, err := e.s.Changes(e.ctx, 0, 10)
		e.no(err)
		if len(got) != 10 || next != got[9].Seq {
			e.Fatalf("got %d changes, next %d", len(got), next)
		}
		if rest, _ := e.changes(next); len(rest) != 15 {
			e.Fatalf("got %d more", len(rest))
		}
		for _, bad := range []struct {
			after int64
			limit int
		}{{-1, 10}, {0, 0}} {
			_, _, err := e.s.Changes(e.ctx, bad.after, bad.limit)
			e.want(err, gate.ErrInvalid)
		}
	}},
	{"a_reader_ahead_of_the_store_must_rebuild", func(e *env) {
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		_, _, err := e.s.Changes(e.ctx, e.lastSeq()+1, 10)
		e.want(err, gate.ErrConflict)
	}},
	{"a_change_is_found_again_from_the_number_before", func(e *env) {
		for i := range 5 {
			e.no(e.s.PutManifest(e.ctx, manifest(name("m", i))))
			e.advance(time.Second)
		}
		all, _ := e.changes(0)
		for _, want := range all {
			got, next, err := e.s.Changes(e.ctx, want.Seq-1, 1)
			e.no(err)
			if len(got) != 1 || next != want.Seq || !cmp.Equal(got[0], want) {
				e.Fatalf("after %d: got %+v, next %d, want %+v", want.Seq-1, got, next, want)
			}
		}
	}},
	{"scan_gives_everything", func(e *env) {
		const n = 30
		for i := range n {
			e.no(e.s.PutManifest(e.ctx, manifest(name("m", i))))
			_, err := e.s.AddLocation(e.ctx, digest(name("m", i)), app)
			e.no(err)
			e.enqueue(resolve(name("m", i), "v1", gate.TriggerPush), gate.EnqueuedNew)
			e.putTag(name("v", i), digest(name("m", i)), e.now())
		}
		got := e.scan()
		if len(got.records) != n || len(got.jobs) != n || len(got.tags) != n {
			e.Fatalf("got %d records, %d jobs, %d tags", len(got.records), len(got.jobs), len(got.tags))
		}
		if diff := cmp.Diff(e.record(name("m", 0)), got.records[digest(name("m", 0))]); diff != "" {
			e.Fatalf("record (-read +scanned):\n%s", diff)
		}
	}},
	{"scan_ends_with_the_readers_error", func(e *env) {
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		stop := errors.New("stop")
		_, err := e.s.Scan(e.ctx, func(store.Item) error { return stop })
		e.want(err, stop)
	}},
	{"scan_hands_over_without_a_gap", func(e *env) {
		// Everything that is written while the scan runs is found by it or in the
		// changes after it.
		for i := range 50 {
			e.no(e.s.PutManifest(e.ctx, manifest(name("before", i))))
		}
		seen := map[string]bool{}
		during := 0
		seq, err := e.s.Scan(e.ctx, func(item store.Item) error {
			if item.Record != nil {
				seen[string(item.Record.Digest)] = true
			}
			if during < 50 {
				during++
				return e.s.PutManifest(e.ctx, manifest(name("during", during)))
			}
			return nil
		})
		e.no(err)
		all, _ := e.changes(seq)
		for _, c := range all {
			seen[c.Key] = true
		}
		if during == 0 {
			e.Fatal("nothing was written during the scan")
		}
		for i := range during {
			if !seen[string(digest(name("during", i+1)))] {
				e.Fatalf("the write %d during the scan was missed", i)
			}
		}
	}},
}

// scanResult is everything a Scan gave.
type scanResult struct {
	records map[gate.Digest]gate.Record
	jobs    map[string]gate.Job
	tags    map[gate.TagKey]gate.TagMapping
	seq     int64
}

func (e *env) scan() scanResult {
	e.Helper()
	got := scanResult{map[gate.Digest]gate.Record{}, map[string]gate.Job{}, map[gate.TagKey]gate.TagMapping{}, 0}
	var err error
	got.seq, err = e.s.Scan(e.ctx, func(item store.Item) error {
		switch {
		case item.Record != nil && item.Job == nil && item.Tag == nil:
			got.records[item.Record.Digest] = *item.Record
		case item.Job != nil && item.Record == nil && item.Tag == nil:
			got.jobs[item.Job.ID] = *item.Job
		case item.Tag != nil && item.Record == nil && item.Job == nil:
			got.tags[item.Tag.TagKey] = *item.Tag
		default:
			return fmt.Errorf("not exactly one thing: %+v", item)
		}
		return nil
	})
	e.no(err)
	return got
}
