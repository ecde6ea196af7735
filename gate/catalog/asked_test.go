package catalog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

func (s *site) resolve(name string, l gate.Location) gate.Job {
	s.Helper()
	return s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: l, Digest: digest(name), Tag: "v1", Trigger: gate.TriggerAPI})
}

// TestAskedImagesAreListed: an image is listed as queued from the moment in which a
// push or a scan of it is accepted, where that was said to be, and as what its job came
// to afterwards.
func TestAskedImagesAreListed(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	state := func(step, name string, want gate.State, places ...gate.Location) {
		t.Helper()
		s.catchUp()
		row := s.one(digest(name))
		var got []gate.Location
		for _, p := range row.Places {
			got = append(got, p.Location)
		}
		if diff := cmp.Diff(places, got); row.State != want || row.SeenAt.IsZero() || diff != "" || row.Decision == gate.OutcomeAllow {
			t.Errorf("%s: got %+v, want %s at %v, not allowed", step, row, want, places)
		}
	}
	none := func(step, name string) {
		t.Helper()
		s.catchUp()
		if list := s.images(gate.ImageFilter{Keyword: string(digest(name))}); len(list) != 0 {
			t.Errorf("%s: got %+v, want no row", step, list)
		}
	}
	app, other := loc("app"), loc("other")

	s.resolve("new", app)
	state("asked for", "new", gate.StateQueued, app)
	s.resolve("new", other)
	state("asked for in two places", "new", gate.StateQueued, app, other)
	for _, f := range []gate.ImageFilter{{State: gate.StateQueued}, {Repository: "other"}, {Registry: "hub"}, {Decision: gate.OutcomeNone}, {Keyword: "oth"}} {
		if list := s.images(f); len(list) != 1 || list[0].Digest != digest("new") {
			t.Errorf("%+v: got %+v, want the image", f, list)
		}
	}
	if list := s.images(gate.ImageFilter{State: gate.StateScanned}); len(list) != 0 {
		t.Errorf("scanned: got %+v, want none", list)
	}
	job, err := s.claim()
	s.no(err)
	state("while it is read", "new", gate.StateQueued, app, other)
	s.image("new", app)
	state("recorded", "new", gate.StateQueued, app)
	_, err = s.store.Finish(s.ctx, job.Lease(), gate.Result{})
	s.no(err)
	s.run(nil) // the other place
	state("read, and not to be scanned", "new", gate.StateNotScanned, app)
	s.resolve("new", app)
	state("pushed again", "new", gate.StateQueued, app)
	s.scanned(digest("new"))
	state("scanned", "new", gate.StateScanned, app)
	s.run(nil)

	s.resolve("failed", app)
	s.run(gate.ErrNotFound)
	state("failed", "failed", gate.StateFailed, app)
	_, err = s.store.Cancel(s.ctx, s.resolve("cancelled", app).ID)
	s.no(err)
	state("cancelled", "cancelled", gate.StateCancelled, app)
	s.resolve("removed", app)
	s.run(nil)
	none("read, and nothing is recorded", "removed")
	s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: app, Tag: "only-a-tag", Trigger: gate.TriggerAPI})
	none("a tag of unknown digest", "")
	s.index("set", app, "child")
	s.resolve("set", app)
	state("an index whose children are unread", "set", gate.StateQueued, app)
}

// TestAskedImagesArePagedThrough: each is on one page, the newest first, also while
// they are read in between.
func TestAskedImagesArePagedThrough(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	const all = 25
	for n := range all {
		if n%3 == 0 {
			s.image(fmt.Sprint(n), loc("app"))
		}
		s.resolve(fmt.Sprint(n), loc("app"))
	}
	s.catchUp()
	seen := map[gate.Digest]int{}
	filter := gate.ImageFilter{State: gate.StateQueued, Limit: 4}
	for page := 0; ; page++ {
		list, next, err := s.catalog.Images(s.ctx, filter)
		s.no(err)
		for _, i := range list {
			seen[i.Digest]++
		}
		if filter.Cursor = next; next == "" {
			break
		}
		s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Digest: digest(fmt.Sprint("later ", page)), Trigger: gate.TriggerAPI})
		s.catchUp()
	}
	for n := range all {
		if seen[digest(fmt.Sprint(n))] != 1 {
			t.Errorf("image %d is on %d pages, want 1", n, seen[digest(fmt.Sprint(n))])
		}
	}
	if len(seen) != all {
		t.Errorf("got %d images, want %d: what came later is newer than the first page", len(seen), all)
	}
}

// TestRowsFollowRemovedJobs: when the store forgets a job, the row of an unrecorded
// image is made of what is left, as after a rebuild.
func TestRowsFollowRemovedJobs(t *testing.T) {
	s := newSite(t, sqlite.Options{JobRetention: time.Hour})
	s.resolve("image", loc("app"))
	s.run(gate.ErrNotFound)
	s.resolve("image", loc("other"))
	s.run(nil)
	s.catchUp()
	keyword := gate.ImageFilter{Keyword: string(digest("image"))}
	if list := s.images(keyword); len(list) != 0 {
		t.Fatalf("read last in another place, and nothing is recorded: got %+v", list)
	}
	s.clock.Advance(2 * time.Hour)
	for n := range 2000 { // tidying comes with writing
		s.no(s.store.MarkDirty(s.ctx, gate.TagKey{Location: loc("app"), Tag: fmt.Sprint("v", n)}))
	}
	s.catchUp()
	if list := s.images(keyword); len(list) != 1 || list[0].State != gate.StateFailed || list[0].Places[0].Location != loc("app") {
		t.Errorf("when the job that was done is forgotten: got %+v, want the failed one's row", list)
	}
}

// TestAttestationsOfAnIndex: an index shows what it calls attestations with its image
// and with itself, where the index is while nothing is known of them, and they are not
// listed as images. One that turns out to be an image is listed as one.
func TestAttestationsOfAnIndex(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	s.image("image", loc("app"))
	m := gate.Manifest{Digest: digest("set"), Kind: gate.KindIndex, Children: []gate.Child{{Digest: digest("image"), Judged: true}},
		Attestations: []gate.Attestation{{Digest: digest("att"), Subject: digest("image")}, {Digest: digest("evil"), Subject: digest("image")}}}
	s.no(s.store.PutManifest(s.ctx, m))
	_, err := s.store.AddLocation(s.ctx, m.Digest, loc("mirror"))
	s.no(err)
	shown := func(step string, want []gate.Accessory, rows ...string) {
		t.Helper()
		s.catchUp()
		for _, name := range []string{"image", "set"} {
			got, err := s.catalog.Accessories(s.ctx, digest(name))
			s.no(err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: accessories of the %s (-want +got):\n%s", step, name, diff)
			}
		}
		if diff := cmp.Diff(rows, names(s.images(gate.ImageFilter{}), "image", "set", "att", "evil")); diff != "" {
			t.Errorf("%s: list (-want +got):\n%s", step, diff)
		}
	}
	att := gate.Accessory{Digest: digest("att"), Kind: gate.KindAttestation, Location: loc("mirror")}
	evil := gate.Accessory{Digest: digest("evil"), Kind: gate.KindAttestation, Location: loc("mirror")}
	sorted := func(kinds ...gate.Accessory) []gate.Accessory {
		if kinds[0].Kind == kinds[1].Kind && kinds[1].Digest < kinds[0].Digest {
			kinds[0], kinds[1] = kinds[1], kinds[0]
		}
		return kinds
	}
	shown("from the index", sorted(att, evil), "set", "image")
	s.resolve("att", loc("app"))
	s.resolve("evil", loc("app"))
	att.Location, evil.Location = loc("app"), loc("app")
	shown("while they are read", sorted(att, evil), "set", "image")
	s.no(s.store.PutManifest(s.ctx, gate.Manifest{Digest: digest("att"), Kind: gate.KindAttestation}))
	_, err = s.store.AddLocation(s.ctx, digest("att"), loc("app"))
	s.no(err)
	s.image("evil", loc("app"))
	s.run(nil)
	s.run(nil)
	evil.Kind = gate.KindImage
	shown("read", sorted(att, evil), "evil", "set", "image")
	m.Attestations = nil
	s.no(s.store.PutManifest(s.ctx, m))
	shown("an index that names none", nil, "evil", "set", "image")
}
