package storetest

import (
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// full stores all that a store can hold of a digest, and returns its record.
func (e *env) full(name string) gate.Record {
	e.Helper()
	m := manifest(name)
	m.Hashed = true
	e.no(e.s.PutManifest(e.ctx, m))
	id := e.scanned(name, 3)
	e.no(PutFindings(e.ctx, e.s, e.changing(name, id, 4)))
	e.rested(name, app, gate.OutcomeDeny, "no-criticals")
	e.rested(name, other, gate.OutcomeAllow, "")
	r := e.record(name)
	if !r.Known() || r.FindingsID == "" || len(r.Locations) != 2 || len(e.history(name, gate.HistoryQuery{})) == 0 {
		e.Fatalf("nothing to forget: %+v", r)
	}
	return r
}

// wantForgotten checks that nothing is left of a digest but what says that it was there.
func (e *env) wantForgotten(name string, before gate.Record) gate.Record {
	e.Helper()
	r := e.record(name)
	if r.Known() || !r.Forgotten || r.Version <= before.Version || r.Epoch != before.Epoch || r.InventoryID+r.FindingsID != "" ||
		len(r.Locations) > 0 || r.Manifest.Kind != gate.KindUnknown || r.Settled() {
		e.Fatalf("forgotten, but the record is %+v", r)
	}
	if list := e.history(name, gate.HistoryQuery{}); len(list) > 0 {
		e.Fatalf("forgotten, but %d entries of its history are left", len(list))
	}
	_, err := e.s.Inventory(e.ctx, digest(name))
	e.want(err, gate.ErrNotFound)
	_, err = e.s.Findings(e.ctx, digest(name))
	e.want(err, gate.ErrNotFound)
	res, err := e.s.Admission().Read(e.ctx, gate.ReadRequest{Digests: []gate.Digest{digest(name)}})
	e.no(err)
	if got := res.Digests[digest(name)].Record; got.Known() || got.InventoryID != "" {
		e.Fatalf("forgotten, but a review reads %+v", got)
	}
	_, err = e.s.Scan(e.ctx, func(i gate.Item) error {
		if i.Record != nil && i.Record.Digest == digest(name) {
			e.Errorf("forgotten, but a scan finds it")
		}
		return nil
	})
	e.no(err)
	return r
}

// wantTold checks that the feed was told of one thing since seq; a server that did not know
// a script yet is told twice.
func (e *env) wantTold(seq int64, kind gate.ChangeKind, key string) {
	e.Helper()
	changes, _ := e.changes(seq)
	for _, c := range changes {
		if c.Kind != kind || c.Key != key {
			e.Errorf("the feed was told %+v", c)
		}
	}
	if len(changes) == 0 || len(changes) > 2 {
		e.Errorf("the feed was told %+v", changes)
	}
}

var forgetCases = []testCase{
	{"nothing_is_left_but_the_digest_and_its_charge", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.serve(job)
		e.full("a")
		e.finish(job, nil, gate.JobDone)
		e.full("b")
		_, err := e.s.Admission().Read(e.ctx, gate.ReadRequest{Digests: []gate.Digest{digest("a")}}) // a copy
		e.no(err)
		before, seq := e.record("a"), e.lastSeq()
		e.no(e.s.Forget(e.ctx, digest("a"), before.Version))
		after := e.wantForgotten("a", before)
		e.wantCharged("a", "2026-11")
		e.wantUsed("2026-11", 1)
		e.wantTold(seq, gate.ChangeRecord, string(digest("a")))
		if r := e.record("b"); r.FindingsID == "" || len(r.Locations) != 2 || len(e.history("b", gate.HistoryQuery{})) == 0 {
			e.Errorf("another digest lost something: %+v", r)
		}
		e.no(e.s.Forget(e.ctx, digest("a"), before.Version)) // the answer was lost
		if again := e.record("a"); again.Version != after.Version {
			e.Errorf("repeating it wrote version %d over %d", again.Version, after.Version)
		}
	}},
	{"what_comes_back_is_analysed_and_not_charged_again", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.serve(job)
		e.full("a")
		e.finish(job, nil, gate.JobDone)
		e.no(e.s.Forget(e.ctx, digest("a"), e.record("a").Version))
		found := gate.Sighting{Digest: digest("a"), Location: app, Request: &gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: digest("a"), Trigger: gate.TriggerPush}}
		m := manifest("a")
		found.Manifest = &m
		out, err := e.s.Sight(e.ctx, found)
		e.no(err)
		if !out.Forgotten || out.Outcome != gate.EnqueuedNew {
			e.Errorf("got %+v, want it queued, and told that it was forgotten", out)
		}
		if out, err = e.s.Sight(e.ctx, found); err != nil || out.Forgotten {
			e.Errorf("once more: %+v, %v", out, err)
		}
		r := e.record("a")
		if !r.Known() || len(r.Locations) != 1 || r.Locations[0].Verdict.Outcome != "" || r.Manifest.Kind != gate.KindImage {
			e.Errorf("after it came back: %+v", r)
		}
		req := claimRequest()
		req.Period.Key, req.Period.Limit = "2026-12", 1
		job = e.claimWith(req)
		e.serve(job)
		e.finish(job, nil, gate.JobDone)
		e.wantCharged("a", "2026-11")
		e.wantUsed("2026-12", 0)
	}},
	{"any_write_takes_it_back", func(e *env) {
		writes := map[string]func(name string) error{
			"fence":    func(name string) error { return e.s.Fence(e.ctx, digest(name), 9) },
			"manifest": func(name string) error { return e.s.PutManifest(e.ctx, manifest(name)) },
			"location": func(name string) error { _, err := e.s.AddLocation(e.ctx, digest(name), app); return err },
			"inventory": func(name string) error {
				return PutInventory(e.ctx, e.s, 3, inventory(name, "set-2"))
			},
			"unassessable": func(name string) error { return e.s.PutUnassessable(e.ctx, digest(name), 3, "encrypted") },
			"sighting": func(name string) error {
				_, err := e.s.Sight(e.ctx, gate.Sighting{Digest: digest(name), Location: app})
				return err
			},
		}
		for what, write := range writes {
			e.full(what)
			before := e.record(what)
			e.no(e.s.Forget(e.ctx, digest(what), before.Version))
			e.no(write(what))
			r := e.record(what)
			if !r.Known() || r.Forgotten || r.FindingsID != "" || r.Version <= before.Version+1 {
				e.Errorf("%s: %+v", what, r)
			}
		}
	}},
	{"what_is_of_before_does_not_come_back", func(e *env) {
		before := e.full("a")
		basis, stored := before.Basis(), findings("a", before.InventoryID, 5)
		e.no(e.s.Forget(e.ctx, digest("a"), before.Version))
		e.want(PutInventory(e.ctx, e.s, 2, inventory("a", "late")), gate.ErrFenced)
		_, err := e.s.PutFindings(e.ctx, stored, before.FindingsID)
		e.want(err, gate.ErrConflict)
		v := gate.Verdict{Location: app, Decision: gate.Decision{Outcome: gate.OutcomeAllow, EvaluatedAt: e.now()}}
		if _, err := e.s.PutVerdicts(e.ctx, digest("a"), basis, []gate.Verdict{v}); err != nil {
			e.want(err, gate.ErrConflict)
		}
		e.no(e.s.MarkGone(e.ctx, digest("a"), app))
		e.wantForgotten("a", before)
	}},
	{"a_write_that_came_first_wins", func(e *env) {
		before := e.full("a")
		e.advance(store.SeenPrecision)
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		e.want(e.s.Forget(e.ctx, digest("a"), before.Version), gate.ErrConflict)
		e.want(e.s.Forget(e.ctx, digest("a"), 0), gate.ErrConflict)
		e.want(e.s.Forget(e.ctx, digest("b"), 1), gate.ErrConflict)
		e.want(e.s.Forget(e.ctx, "latest", 1), gate.ErrDigestInvalid)
		if r := e.record("a"); !r.Known() || r.FindingsID == "" || len(r.Locations) != 2 || e.record("b").Version != 0 {
			e.Errorf("a refused one changed something: %+v", r)
		}
		_, err = e.s.Inventory(e.ctx, digest("a"))
		e.no(err)
	}},
	{"forgetting_races_with_a_push", func(e *env) {
		for i := range 40 {
			n := name("race", i)
			before := e.full(n)
			e.advance(store.SeenPrecision) // so that the push writes
			var both errgroup.Group
			both.Go(func() error {
				err := e.s.Forget(e.ctx, digest(n), before.Version)
				if err != nil {
					e.want(err, gate.ErrConflict)
				}
				return nil
			})
			var out gate.Sighted
			both.Go(func() (err error) {
				m := manifest(n)
				out, err = e.s.Sight(e.ctx, gate.Sighting{Digest: digest(n), Location: web, Manifest: &m})
				return err
			})
			e.no(both.Wait())
			r := e.record(n)
			if _, there := r.At(web); !there || !r.Known() {
				e.Fatalf("the push was lost: %+v", r)
			}
			if _, err := e.s.Inventory(e.ctx, digest(n)); (err != nil) != out.Forgotten || (r.InventoryID == "") != out.Forgotten || (len(r.Locations) == 1) != out.Forgotten {
				e.Fatalf("half of it was forgotten (told: %v): %v, %+v", out.Forgotten, err, r)
			}
		}
	}},
	{"a_crash_after_it_loses_nothing", func(e *env) {
		before := e.full("a")
		e.no(e.s.Forget(e.ctx, digest("a"), before.Version))
		e.crash()
		e.wantForgotten("a", before)
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		if r := e.record("a"); !r.Known() || r.InventoryID != "" {
			e.Errorf("got %+v", r)
		}
	}},
	{"since_when_a_location_is_gone", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		e.no(e.s.MarkGone(e.ctx, digest("a"), app))
		at := e.now()
		e.advance(time.Hour)
		before := e.record("a").Version
		e.no(e.s.MarkGone(e.ctx, digest("a"), app))
		if l, _ := e.record("a").At(app); !l.Gone || !l.GoneAt.Equal(at) || e.record("a").Version != before {
			e.Errorf("got %+v, want gone since %s", l, at)
		}
		_, err = e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		if l, _ := e.record("a").At(app); l.Gone || !l.GoneAt.IsZero() {
			e.Errorf("seen again: %+v", l)
		}
	}},
	{"an_ended_job_is_dropped", func(e *env) {
		live := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.want(e.s.Drop(e.ctx, live.ID), gate.ErrConflict)
		failed := e.finishWith(e.claim(), gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		e.enqueue(analyze("a", gate.TriggerAdmission), gate.EnqueuedLeft)
		seq := e.lastSeq()
		e.no(e.s.Drop(e.ctx, failed.ID))
		_, err := e.s.Job(e.ctx, failed.ID)
		e.want(err, gate.ErrNotFound)
		e.wantTold(seq, gate.ChangeJob, failed.ID)
		if entry := e.entry("a"); entry.Job != nil {
			e.Errorf("got job %+v", entry.Job)
		}
		e.no(e.s.Drop(e.ctx, failed.ID))
		e.no(e.s.Drop(e.ctx, "of another world"))
		e.enqueue(analyze("a", gate.TriggerAdmission), gate.EnqueuedNew)
	}},
	{"a_tag_is_dropped_unless_it_was_read_again", func(e *env) {
		key := gate.TagKey{Location: app, Tag: "v1"}
		m, err := e.s.PutTag(e.ctx, key, "", e.now(), "harbor.example.com")
		e.no(err)
		e.advance(time.Minute)
		later, err := e.s.PutTag(e.ctx, key, digest("a"), e.now(), "harbor.example.com")
		e.no(err)
		e.want(e.s.DropTag(e.ctx, m), gate.ErrConflict)
		e.no(e.s.MarkDirty(e.ctx, key))
		e.want(e.s.DropTag(e.ctx, later), gate.ErrConflict)
		res, err := e.s.Admission().Read(e.ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
		e.no(err)
		seq := e.lastSeq()
		e.no(e.s.DropTag(e.ctx, res.Tags[key]))
		e.wantTold(seq, gate.ChangeTag, key.String())
		for _, from := range []gate.RecordReader{e.s, e.s.Admission()} {
			if res, err = from.Read(e.ctx, gate.ReadRequest{Tags: []gate.TagKey{key}}); err != nil || len(res.Tags) > 0 {
				e.Errorf("got %+v, %v, want none", res.Tags, err)
			}
		}
		e.no(e.s.DropTag(e.ctx, later))
		e.want(e.s.DropTag(e.ctx, gate.TagMapping{}), gate.ErrInvalid)
	}},
}

// HistoryRetention runs the case about entries that are too old, on a store that keeps them
// for a day.
func HistoryRetention(t *testing.T, h Harness) {
	e := newEnv(t, h)
	id := e.scanned("a", 3)
	add := func(generation int) {
		t.Helper()
		e.no(PutFindings(e.ctx, e.s, e.changing("a", id, int64(generation))))
	}
	add(1)
	e.advance(13 * time.Hour)
	for g := range 20 { // more than are looked at in one go
		add(2 + g)
	}
	e.advance(12 * time.Hour)
	if got := e.history("a", gate.HistoryQuery{}); len(got) != 20 {
		t.Errorf("got %d entries, want those of the last day, 20", len(got))
	}
	e.advance(13 * time.Hour)
	if got := e.history("a", gate.HistoryQuery{}); len(got) != 0 {
		t.Errorf("got %d entries, want none", len(got))
	}
	for g := range 16 {
		add(100 + g)
	}
	if got := e.history("a", gate.HistoryQuery{}); len(got) != 16 {
		t.Errorf("got %d entries, want 16", len(got))
	}
	f, err := e.s.Findings(e.ctx, digest("a"))
	if err != nil || len(f.Vulnerabilities) == 0 {
		t.Errorf("the findings: %v, %v", f, err)
	}
	stored := 0
	if x, ok := e.s.(store.Exporter); ok {
		e.no(x.Export(e.ctx, store.SectionRecords, "", func(p store.Piece) error { stored = len(p.Record.History); return nil }))
		if stored != 16 {
			t.Errorf("%d entries are stored, want 16", stored)
		}
	}
}
