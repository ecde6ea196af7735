package retention_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/retention"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

const images = 180 * 24 * time.Hour

var app = gate.Location{Registry: "harbor", Repository: "team/app"}

func digest(name string) gate.Digest { return gate.DigestOf(sha256.Sum256([]byte(name))) }

// world is a store with lists, and a forgetter. harbor is compared when a test says so.
type world struct {
	*testing.T
	clock    *storetest.Clock
	store    *sqlite.Store
	lists    *catalog.Catalog
	asked    *standing.Asked
	compared map[string]time.Time
	options  retention.Options
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, clock: storetest.NewClock(), asked: &standing.Asked{}, compared: map[string]time.Time{}}
	dir := t.TempDir()
	var err error
	if w.store, err = sqlite.Open(t.Context(), filepath.Join(dir, "store.db"), sqlite.Options{Clock: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	log := slog.New(slog.DiscardHandler)
	if w.lists, err = catalog.Open(t.Context(), dir, w.store, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.lists.Close() })
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "harbor", Host: "harbor.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	w.options = retention.Options{
		Images: images, Lists: w.lists, Store: w.store, Registries: registries, Log: log,
		Compared: func(_ context.Context, name string) (time.Time, error) { return w.compared[name], nil },
		Asked: func(ctx context.Context) (func(gate.Digest) time.Time, time.Time, error) {
			return w.asked.Record(ctx, w.store)
		},
	}
	w.once() // from now on it is known what admission is asked for, to the minute
	w.clock.Advance(2 * time.Minute)
	return w
}

func (w *world) no(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) once() retention.Result {
	w.Helper()
	res, err := retention.New(w.options).Hasten(1000).Once(w.Context())
	w.no(err)
	return res
}

// scanned stores an image with its charge, findings, history, verdict and tag.
func (w *world) scanned(name string) {
	w.Helper()
	ctx, d := w.Context(), digest(name)
	_, err := w.store.Sight(ctx, gate.Sighting{
		Digest: d, Location: app, Manifest: &gate.Manifest{Digest: d, Kind: gate.KindImage, Hashed: true},
		Tags:    []gate.TagReading{{Tag: name, ReadAt: w.clock.Now(), Host: "harbor.example.com"}},
		Request: &gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: d, Trigger: gate.TriggerPush},
	})
	w.no(err)
	job, err := w.store.Claim(ctx, gate.ClaimRequest{Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "2026"}})
	w.no(err)
	w.no(w.store.Serve(ctx, job.Lease()))
	inv, err := w.store.PutInventory(ctx, job.Epoch, &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzedAt: w.clock.Now()})
	w.no(err)
	_, err = w.store.PutFindings(ctx, &gate.Findings{Digest: d, InventoryID: inv.ID, Generation: 1, Change: &gate.StandingChange{
		Event: gate.EventPush, Generation: 1, Findings: &gate.FindingsChange{First: true},
	}}, "")
	w.no(err)
	w.no(storetest.PutVerdicts(ctx, w.store, d, []gate.Verdict{{Location: app, Decision: gate.Decision{Outcome: gate.OutcomeAllow, EvaluatedAt: w.clock.Now()}}}))
	_, err = w.store.Finish(ctx, job.Lease(), gate.Result{})
	w.no(err)
}

func (w *world) tagged(tag string, d gate.Digest) {
	w.Helper()
	_, err := w.store.PutTag(w.Context(), gate.TagKey{Location: app, Tag: tag}, d, w.clock.Now(), "harbor.example.com")
	w.no(err)
}

func (w *world) gone(names ...string) {
	w.Helper()
	for _, name := range names {
		w.no(w.store.MarkGone(w.Context(), digest(name), app))
	}
}

// pass lets time pass, after which harbor is compared.
func (w *world) pass(d time.Duration) {
	w.clock.Advance(d)
	w.compared["harbor"] = w.clock.Now()
}

func (w *world) entry(name string) gate.Entry {
	w.Helper()
	res, err := w.store.Read(w.Context(), gate.ReadRequest{Digests: []gate.Digest{digest(name)}, AllJobs: true})
	w.no(err)
	return res.Digests[digest(name)]
}

// wantKept runs once and checks that an image is kept, and why.
func (w *world) wantKept(why retention.Kept, names ...string) {
	w.Helper()
	want := retention.Result{Kept: map[retention.Kept]int{}}
	if why != "" {
		want.Kept[why] = len(names)
	}
	if diff := cmp.Diff(want, w.once()); diff != "" {
		w.Fatalf("(-want +got):\n%s", diff)
	}
	for _, name := range names {
		if e := w.entry(name); !e.Record.Known() || e.Record.InventoryID == "" {
			w.Fatalf("%s: %+v", name, e.Record)
		}
	}
}

func (w *world) wantForgotten(names ...string) {
	w.Helper()
	if res := w.once(); res.Forgotten != len(names) {
		w.Fatalf("got %+v, want %d forgotten", res, len(names))
	}
	w.no(w.lists.CatchUp(w.Context()))
	for _, name := range names {
		e := w.entry(name)
		if e.Record.Known() || e.Job != nil && e.Job.State != gate.JobDone { // the store itself removes what is done
			w.Errorf("%s: %+v", name, e)
		}
		key := gate.TagKey{Location: app, Tag: name}
		if res, err := w.store.Read(w.Context(), gate.ReadRequest{Tags: []gate.TagKey{key}}); err != nil || len(res.Tags) > 0 {
			w.Errorf("its tag: %+v, %v", res.Tags, err)
		}
		if tags, err := w.lists.RepositoryTags(w.Context(), app); err != nil || len(tags) > 0 {
			w.Errorf("its tag in lists: %v, %v", tags, err)
		}
		if c, err := w.store.Charged(w.Context(), digest(name)); err != nil || c.Period != "2026" || !c.Served {
			w.Errorf("its charge: %+v, %v", c, err)
		}
	}
	if list, err := w.lists.Absent(w.Context(), "", 10); err != nil || len(list) > 0 {
		w.Errorf("lists have %v, %v", list, err)
	}
}

func TestForgets(t *testing.T) {
	w := newWorld(t)
	w.scanned("a")
	w.scanned("b")
	w.pass(images)
	w.wantKept("", "a", "b") // both are located
	w.gone("a")
	w.pass(images - time.Hour)
	w.wantKept(retention.KeptRecent, "a")
	w.pass(time.Hour)
	if res := w.once(); res.Forgotten != 1 {
		t.Fatalf("got %+v", res)
	}
	if e := w.entry("a"); e.Record.Known() {
		t.Errorf("a: %+v", e.Record)
	}
	if e := w.entry("b"); e.Record.FindingsID == "" || len(e.Record.Locations) != 1 {
		t.Errorf("b: %+v", e.Record)
	}
	if use, err := w.store.Quota(t.Context(), "2026"); err != nil || use.Used != 2 {
		t.Errorf("the quota: %+v, %v", use, err)
	}
	w.wantKept("", "b")
}

func TestForgetsEverythingOfAnImage(t *testing.T) {
	w := newWorld(t)
	w.scanned("a")
	w.gone("a")
	w.pass(images)
	w.wantForgotten("a")
	// A failed job is not the state of an image that is not known.
	w.scanned("failed")
	_, _, err := w.store.Enqueue(t.Context(), gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: digest("failed"), Trigger: gate.TriggerAPI, Force: true})
	w.no(err)
	job, err := w.store.Claim(t.Context(), gate.ClaimRequest{Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "2026"}})
	w.no(err)
	_, err = w.store.Finish(t.Context(), job.Lease(), gate.Result{Err: gate.ErrScanFailed, Final: true})
	w.no(err)
	w.gone("failed")
	w.pass(images)
	w.wantForgotten("failed")
}

// TestKeeps: one thing after the other that has to keep an image.
func TestKeeps(t *testing.T) {
	old := func(t *testing.T) *world {
		w := newWorld(t)
		w.scanned("a")
		w.gone("a")
		return w
	}
	t.Run("seen_again", func(t *testing.T) {
		w := old(t)
		w.pass(images)
		_, err := w.store.AddLocation(t.Context(), digest("a"), app)
		w.no(err)
		w.wantKept("", "a")
		w.gone("a") // the time begins again
		w.pass(images - time.Hour)
		w.wantKept(retention.KeptRecent, "a")
	})
	t.Run("located_elsewhere", func(t *testing.T) {
		w := old(t)
		_, err := w.store.AddLocation(t.Context(), digest("a"), gate.Location{Registry: "harbor", Repository: "other/app"})
		w.no(err)
		w.pass(2 * images)
		w.wantKept("", "a")
	})
	t.Run("tag_names_it", func(t *testing.T) {
		w := old(t)
		w.pass(images)
		w.tagged("a", digest("a"))
		w.wantKept(retention.KeptLocated, "a")
	})
	t.Run("asked", func(t *testing.T) {
		w := old(t)
		w.pass(images)
		w.asked.Note(digest("a"), w.clock.Now().Add(-time.Hour))
		w.wantKept(retention.KeptAsked, "a")
	})
	t.Run("asked_by_another_process", func(t *testing.T) {
		w := old(t)
		w.pass(images / 2)
		other := &standing.Asked{}
		other.Note(digest("a"), w.clock.Now())
		w.no(other.Share(t.Context(), w.store))
		w.pass(images / 2)
		w.wantKept(retention.KeptAsked, "a")
		w.pass(images/2 + 2*time.Hour)
		w.wantForgotten("a")
	})
	t.Run("asking_is_not_known", func(t *testing.T) {
		for name, value := range map[string]string{"lost": `{}`, "unreadable": `x`, "of_an_earlier_version": `{"packed":""}`} {
			t.Run(name, func(t *testing.T) {
				w := old(t)
				w.pass(images / 2)
				_, version, err := w.store.Setting(t.Context(), agree.SettingAsked)
				w.no(err)
				_, err = w.store.PutSetting(t.Context(), agree.SettingAsked, []byte(value), version)
				w.no(err)
				w.wantKept(retention.KeptRecent, "a") // the list is begun again
				w.pass(images / 2)
				w.wantKept(retention.KeptAsked, "a")
				w.pass(images/2 + time.Hour)
				w.wantForgotten("a")
			})
		}
	})
	t.Run("more_is_asked_than_is_remembered", func(t *testing.T) {
		w := old(t)
		for i := range 12 {
			w.pass(images / 10)
			busy := &standing.Asked{}
			for n := range 1000 {
				busy.Note(digest(fmt.Sprint(i, n)), w.clock.Now())
			}
			w.no(busy.Share(t.Context(), w.store))
		}
		w.wantKept(retention.KeptAsked, "a")
	})
	t.Run("job", func(t *testing.T) {
		w := old(t)
		w.pass(images)
		_, _, err := w.store.Enqueue(t.Context(), gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: digest("a"), Trigger: gate.TriggerAPI, Force: true})
		w.no(err)
		w.wantKept(retention.KeptJob, "a")
	})
	t.Run("charge_lost", func(t *testing.T) {
		w := newWorld(t)
		d := digest("a")
		_, err := w.store.PutInventory(t.Context(), 1, &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzedAt: w.clock.Now()})
		w.no(err)
		_, err = w.store.AddLocation(t.Context(), d, app)
		w.no(err)
		w.gone("a")
		w.pass(images)
		w.wantKept(retention.KeptUncharged, "a")
		_, err = w.store.Restore(t.Context(), d, "2026", w.clock.Now())
		w.no(err)
		w.wantForgotten("a")
	})
	t.Run("registry_not_compared", func(t *testing.T) {
		w := old(t)
		w.clock.Advance(images)
		w.wantKept(retention.KeptUnsynchronised, "a")
		w.compared["harbor"] = w.clock.Now().Add(-images) // when it was marked gone, and not since
		w.wantKept(retention.KeptUnsynchronised, "a")
		w.compared["harbor"] = w.clock.Now().Add(-8 * 24 * time.Hour)
		w.wantKept(retention.KeptUnsynchronised, "a")
		w.compared["harbor"] = w.clock.Now().Add(-6 * 24 * time.Hour)
		w.wantForgotten("a")
	})
	t.Run("registry_not_configured", func(t *testing.T) {
		w := old(t)
		gone := gate.Location{Registry: "quay", Repository: "team/app"}
		_, err := w.store.AddLocation(t.Context(), digest("a"), gone)
		w.no(err)
		w.no(w.store.MarkGone(t.Context(), digest("a"), gone))
		w.pass(images)
		w.compared["quay"] = w.clock.Now()
		w.wantKept(retention.KeptUnconfigured, "a")
	})
	t.Run("clock_set_forward", func(t *testing.T) {
		w := old(t)
		w.pass(time.Hour)
		w.clock.Advance(10 * images)
		w.wantKept(retention.KeptUnsynchronised, "a")
	})
	t.Run("never", func(t *testing.T) {
		w := old(t)
		w.pass(10 * images)
		w.options.Images = 0
		w.wantKept("", "a")
	})
	t.Run("at_most_so_many_in_a_run", func(t *testing.T) {
		w := old(t)
		w.scanned("b")
		w.gone("b")
		w.pass(images)
		f := retention.New(w.options).Hasten(1)
		for _, want := range []retention.Result{{Forgotten: 1, Left: true}, {Forgotten: 1}, {}} {
			res, err := f.Once(t.Context())
			w.no(err)
			res.Kept = nil
			if diff := cmp.Diff(want, res); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

// TestKeepsIndexes: an index and the images in it are forgotten together, or not.
func TestKeepsIndexes(t *testing.T) {
	w := newWorld(t)
	w.scanned("child")
	index := digest("index")
	w.no(w.store.PutManifest(t.Context(), gate.Manifest{Digest: index, Kind: gate.KindIndex, Hashed: true, Children: []gate.Child{{Digest: digest("child"), Judged: true}}}))
	_, err := w.store.AddLocation(t.Context(), index, app)
	w.no(err)
	w.gone("child")
	w.pass(images)
	w.wantKept(retention.KeptRelated, "child") // the index is located
	w.no(w.store.MarkGone(t.Context(), index, app))
	w.asked.Note(digest("child"), w.clock.Now())
	w.pass(images - time.Minute)
	if res := w.once(); res.Forgotten > 0 {
		t.Fatalf("got %+v", res)
	}
	w.pass(time.Minute)
	res := w.once() // what was asked for may have been asked for an hour later
	if diff := cmp.Diff(map[retention.Kept]int{retention.KeptAsked: 1, retention.KeptRelated: 1}, res.Kept); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	w.pass(2 * time.Hour)
	w.tagged("v1", index)
	if res := w.once(); res.Kept[retention.KeptLocated] != 1 || res.Kept[retention.KeptRelated] != 1 {
		t.Fatalf("a tag names the index: got %+v", res)
	}
	w.pass(images + time.Hour)
	if res := w.once(); res.Forgotten != 1 || w.entry("index").Record.Known() || !w.entry("child").Record.Known() {
		t.Fatalf("the index goes first: got %+v", res)
	}
	if res := w.once(); res.Forgotten != 1 || w.entry("child").Record.Known() {
		t.Fatalf("then the image: got %+v", res)
	}
}

// TestDatesLocations: what an earlier version marked gone is dated first, and waits.
func TestDatesLocations(t *testing.T) {
	w := newWorld(t)
	w.scanned("a")
	w.no(w.store.Export(t.Context(), store.SectionRecords, "", func(p store.Piece) error {
		p.Record.Version += 10
		for i := range p.Record.Locations {
			p.Record.Locations[i].Gone = true
		}
		_, err := w.store.Import(t.Context(), p)
		return err
	}))
	w.pass(images)
	w.wantKept(retention.KeptRecent, "a")
	if l, _ := w.entry("a").Record.At(app); !l.GoneAt.Equal(w.clock.Now()) {
		t.Fatalf("got %+v", l)
	}
	w.pass(images - time.Hour)
	w.wantKept(retention.KeptRecent, "a")
	w.pass(time.Hour)
	w.wantForgotten("a")
}

// pushing is a store in which an image is pushed after it was read, right before each write.
type pushing struct {
	*sqlite.Store
	push func()
}

func (p pushing) Forget(ctx context.Context, d gate.Digest, version int64) error {
	p.push()
	return p.Store.Forget(ctx, d, version)
}

// TestThePushWins: an image that comes back while it is being forgotten is kept whole.
func TestThePushWins(t *testing.T) {
	w := newWorld(t)
	w.scanned("a")
	w.gone("a")
	w.pass(images)
	w.options.Store = pushing{w.store, func() {
		_, err := w.store.Sight(t.Context(), gate.Sighting{Digest: digest("a"), Location: app})
		w.no(err)
	}}
	w.wantKept(retention.KeptLocated, "a")
	if l, _ := w.entry("a").Record.At(app); l.Gone {
		t.Errorf("got %+v", l)
	}
}

// TestFaults: a store that does not answer costs a try and forgets nothing by half.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	w.scanned("a")
	w.gone("a")
	w.pass(images)
	asked := w.options.Asked
	w.options.Asked = func(context.Context) (func(gate.Digest) time.Time, time.Time, error) {
		return nil, time.Time{}, gate.ErrStoreUnavailable
	}
	if res, err := retention.New(w.options).Once(t.Context()); !errors.Is(err, gate.ErrStoreUnavailable) || res.Forgotten > 0 {
		t.Fatalf("got %+v, %v", res, err)
	}
	w.options.Asked = asked
	ctx, cancel := context.WithCancel(t.Context())
	w.options.Store = pushing{w.store, cancel} // the process is stopped in the middle
	if res, err := retention.New(w.options).Once(ctx); !errors.Is(err, gate.ErrTimeout) || res.Forgotten > 0 {
		t.Fatalf("got %+v, %v", res, err)
	}
	if e := w.entry("a"); e.Record.FindingsID == "" {
		t.Fatalf("got %+v", e.Record)
	}
	w.options.Store = w.store
	w.wantForgotten("a")
}

func TestValidate(t *testing.T) {
	for _, c := range []retention.Config{retention.Default(), {Images: 0, History: 0, Jobs: time.Hour}, {Images: 24 * time.Hour, History: 24 * time.Hour, Jobs: time.Hour}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []retention.Config{{Images: time.Hour, Jobs: time.Hour}, {Images: -1, Jobs: time.Hour}, {History: time.Minute, Jobs: time.Hour}, {}} {
		if err := c.Validate(); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", c, err)
		}
	}
}
