package storetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// sighting is what a resolve finds of an image: all parts.
func (e *env) sighting(name string, tags ...string) gate.Sighting {
	m, req := manifest(name), analyze(name, gate.TriggerPush)
	s := gate.Sighting{Digest: m.Digest, Manifest: &m, Location: app, Request: &req}
	for _, tag := range tags {
		s.Tags = append(s.Tags, gate.TagReading{Tag: tag, ReadAt: e.now(), Host: "hub.example.com"})
	}
	return s
}

func (e *env) sight(s gate.Sighting) gate.Sighted {
	e.Helper()
	out, err := e.s.Sight(e.ctx, s)
	e.no(err)
	return out
}

var sightCases = []testCase{
	{"sighting_is_what_its_parts_are", func(e *env) {
		seq := e.lastSeq()
		s := e.sighting("a", "v1", "v2")
		out := e.sight(s)
		record := e.record("a")
		l, located := record.At(app)
		if diff := cmp.Diff(*s.Manifest, record.Manifest); diff != "" || !located || l.Gone || !l.SeenAt.Equal(e.now()) || record.Digest != s.Digest {
			e.Fatalf("record: %+v, manifest (-want +got):\n%s", record, diff)
		}
		var tags []gate.TagMapping
		for i, r := range s.Tags {
			m, _ := e.tag(r.Tag)
			if want := (gate.TagMapping{TagKey: s.Key(i), Digest: s.Digest, ReadAt: e.now(), Host: r.Host}); m != want {
				e.Errorf("tag: got %+v, want %+v", m, want)
			}
			tags = append(tags, m)
		}
		want := gate.Sighted{Tags: tags, Job: e.job(out.Job.ID), Outcome: gate.EnqueuedNew}
		if diff := cmp.Diff(want, out); diff != "" {
			e.Errorf("answer (-want +got):\n%s", diff)
		}
		told, seen := map[gate.ChangeKind]int{}, map[string]bool{} // one may be told twice
		changes, _ := e.changes(seq)
		for _, c := range changes {
			if name := fmt.Sprint(c.Kind, c.Key); !seen[name] {
				seen[name] = true
				told[c.Kind]++
			}
		}
		if diff := cmp.Diff(map[gate.ChangeKind]int{gate.ChangeRecord: 1, gate.ChangeTag: 2, gate.ChangeJob: 1}, told); diff != "" {
			e.Errorf("the feed (-want +got):\n%s", diff)
		}
		if job := e.claim(); job.ID != out.Job.ID || job.Location != app {
			e.Errorf("claimed %+v", job)
		}
	}},
	{"repeated_sighting_changes_nothing", func(e *env) {
		s := e.sighting("a", "v1")
		first := e.sight(s)
		before, seq := e.record("a"), e.lastSeq()
		s.Manifest = nil
		again := e.sight(s)
		if again.Outcome != gate.EnqueuedJoined || again.Job.ID != first.Job.ID {
			e.Errorf("the request: got %q, %s", again.Outcome, again.Job.ID)
		}
		if diff := cmp.Diff(before, e.record("a")); diff != "" || e.lastSeq() != seq {
			e.Errorf("the feed goes from %d to %d, the record changes:\n%s", seq, e.lastSeq(), diff)
		}
	}},
	{"sighting_of_a_part_only", func(e *env) {
		s := e.sighting("a")
		s.Request = nil
		if out := e.sight(s); out.Job.ID != "" || out.Tags != nil || out.Outcome != "" {
			e.Errorf("got %+v", out)
		}
		e.claimNone()
		e.no(e.s.MarkGone(e.ctx, digest("a"), app))
		e.sight(gate.Sighting{Digest: digest("a"), Location: app})
		if l, _ := e.record("a").At(app); l.Gone || e.record("a").Manifest.Kind != gate.KindImage {
			e.Errorf("seen again: got %+v", e.record("a"))
		}
		e.sight(gate.Sighting{Digest: digest("b"), Location: other})
		if r := e.record("b"); len(r.Locations) != 1 || r.Manifest.Kind != gate.KindUnknown {
			e.Errorf("without a manifest: got %+v", r)
		}
	}},
	{"sighting_keeps_a_later_read_of_a_tag", func(e *env) {
		s := e.sighting("a", "v1", "v2")
		e.advance(time.Second)
		later, err := e.s.PutTag(e.ctx, key("v2"), digest("b"), e.now(), "hub.example.com")
		e.no(err)
		out := e.sight(s)
		if len(out.Tags) != 2 || out.Tags[0].Digest != s.Digest || out.Tags[1] != later {
			e.Errorf("got %+v, want the later %+v", out.Tags, later)
		}
		if m, _ := e.tag("v2"); m != later {
			e.Errorf("stored is %+v", m)
		}
	}},
	{"sighting_keeps_what_an_analysis_found", func(e *env) {
		id := e.scanned("a", 3)
		e.sight(e.sighting("a", "v1"))
		if r := e.record("a"); r.InventoryID != id || r.Epoch != 3 || r.Manifest.Kind != gate.KindImage {
			e.Errorf("got %+v", r)
		}
	}},
	{"sighting_without_sense_is_refused_whole", func(e *env) {
		seq := e.lastSeq()
		for want, spoil := range map[error]func(*gate.Sighting){
			gate.ErrDigestInvalid: func(s *gate.Sighting) { s.Digest = "sha256:short" },
			gate.ErrInvalid:       func(s *gate.Sighting) { s.Tags[1].Tag = "" },
			gate.ErrTooLarge:      func(s *gate.Sighting) { s.Request.Tag = string(make([]byte, store.MaxKey+1)) },
		} {
			s := e.sighting("a", "v1", "v2")
			spoil(&s)
			_, err := e.s.Sight(e.ctx, s)
			e.want(err, want)
		}
		for _, spoil := range []func(*gate.Sighting){
			func(s *gate.Sighting) { s.Location.Repository = "" },
			func(s *gate.Sighting) { s.Manifest.Digest = digest("b") },
			func(s *gate.Sighting) { s.Request.Trigger = "unknown" },
		} {
			s := e.sighting("a", "v1", "v2")
			spoil(&s)
			_, err := e.s.Sight(e.ctx, s)
			e.want(err, gate.ErrInvalid)
		}
		if got := e.lastSeq(); got != seq || e.record("a").Known() {
			e.Errorf("the feed went from %d to %d: something was written", seq, got)
		}
		e.claimNone()
	}},
	{"busy_job_of_a_sighting", func(e *env) {
		req := resolve("a", "", gate.TriggerPush)
		for i := range store.MaxTags {
			req.Tag = fmt.Sprint("t", i)
			_, _, err := e.s.Enqueue(e.ctx, req)
			e.no(err)
		}
		s := e.sighting("a", "v1")
		req.Tag = "more"
		s.Request = &req
		_, err := e.s.Sight(e.ctx, s)
		e.want(err, gate.ErrBusy)
		if m, _ := e.tag("v1"); m.Digest != s.Digest || e.record("a").Manifest.Kind != gate.KindImage {
			e.Errorf("the rest is not recorded: %+v, %+v", m, e.record("a"))
		}
	}},
	{"sightings_at_the_same_time", func(e *env) {
		const n = 12
		e.together(n, func(i int) error {
			s := e.sighting("a", "v1", fmt.Sprint("t", i))
			if i%2 == 1 {
				s.Location = other
			}
			_, err := e.s.Sight(e.ctx, s)
			return err
		})
		if r := e.record("a"); len(r.Locations) != 2 || r.Manifest.Kind != gate.KindImage {
			e.Errorf("got %+v", r)
		}
		for i := range n {
			k := gate.TagKey{Location: app, Tag: fmt.Sprint("t", i)}
			if i%2 == 1 {
				k.Location = other
			}
			res, err := e.s.Read(e.ctx, gate.ReadRequest{Tags: []gate.TagKey{k}})
			e.no(err)
			if res.Tags[k].Digest != digest("a") {
				e.Errorf("tag %s: got %+v", k, res.Tags[k])
			}
		}
		e.claim()
		e.claimNone()
	}},
	{"sighting_is_found_again_after_a_crash", func(e *env) {
		out := e.sight(e.sighting("a", "v1"))
		before := e.record("a")
		e.crash()
		m, _ := e.tag("v1")
		if diff := cmp.Diff(before, e.record("a")); diff != "" || m != out.Tags[0] {
			e.Errorf("tag %+v, record (-before +after):\n%s", m, diff)
		}
		if job := e.claim(); job.ID != out.Job.ID {
			e.Errorf("claimed %s, want %s", job.ID, out.Job.ID)
		}
	}},
	{"progress_is_stored_with_the_end", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		last := gate.Progress{Phase: gate.PhaseRecord, LayersDone: 3, LayersTotal: 3, Bytes: 9}
		e.finishWith(job, gate.Result{Err: gate.ErrRegistryUnavailable, Progress: last}, gate.JobQueued)
		if got := e.job(job.ID).Progress; got != last {
			e.Fatalf("got %+v, want %+v", got, last)
		}
		e.advance(time.Hour)
		job = e.claim()
		_, err := e.s.Heartbeat(e.ctx, job.Lease(), testLease, last)
		e.no(err)
		e.finish(job, nil, gate.JobDone)
		if got := e.job(job.ID).Progress; got != last {
			e.Fatalf("without progress in the result: got %+v, want that of the heartbeat", got)
		}
	}},
}
