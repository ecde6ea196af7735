package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var copyCases = []copyCase{
	{"everything_comes_along_once", func(from, to *env) {
		from.fill()
		all := from.pieces()
		for _, section := range store.Sections() {
			if !slices.ContainsFunc(all, func(p store.Piece) bool { return p.Section == section }) {
				from.Fatalf("the test has made no %s", section)
			}
		}
		if n := to.take(all); n != len(all) {
			to.Errorf("%d of %d pieces were written", n, len(all))
		}
		same(from, to)
		before := to.position()
		if n := to.take(all); n != 0 || to.position() != before {
			to.Errorf("importing again wrote %d pieces; the feed went from %d to %d", n, before, to.position())
		}
		wantInventory, err := from.s.Inventory(from.ctx, digest("scanned"))
		from.no(err)
		inventory, err := to.s.Inventory(to.ctx, digest("scanned"))
		to.no(err)
		if diff := cmp.Diff(wantInventory, inventory); diff != "" {
			to.Errorf("inventory (-want +got):\n%s", diff)
		}
		f, err := to.s.Findings(to.ctx, digest("scanned"))
		to.no(err)
		if len(f.Vulnerabilities) != 2 {
			to.Errorf("got %+v", f)
		}
		to.wantSummary("scanned")
		if e := to.entry("tried"); e.State() != gate.StateUnassessable {
			to.Errorf("the digest that could not be assessed is %s", e.State())
		}
		to.wantUsed("2026-11", 2)
	}},
	{"what_was_forgotten_is_forgotten_there_too", func(from, to *env) {
		before := from.full("a")
		to.take(from.pieces())
		if r := to.record("a"); r.FindingsID == "" || len(r.Locations) != 2 {
			to.Fatalf("got %+v", r)
		}
		from.no(from.s.Forget(from.ctx, digest("a"), before.Version))
		if n := to.take(from.pieces()); n != 1 {
			to.Errorf("%d pieces were written, want that of the record", n)
		}
		to.wantForgotten("a", before)
		same(from, to)
		_, err := to.s.AddLocation(to.ctx, digest("a"), app)
		to.no(err)
		if n := to.take(from.pieces()); n != 0 || !to.record("a").Known() {
			to.Errorf("what was seen there since is forgotten: %d pieces", n)
		}
	}},
	{"numbers_go_on_above_what_was_imported", func(from, to *env) {
		const far = 1 << 51 // beyond the time in microseconds of every server for decades
		from.no(from.s.Fence(from.ctx, digest("a"), far))
		to.take(from.pieces())
		to.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := to.claim()
		if job.Epoch <= far {
			to.Fatalf("epoch %d is not above %d", job.Epoch, int64(far))
		}
		to.no(to.s.Fence(to.ctx, digest("a"), job.Epoch))
		to.want(to.s.Fence(to.ctx, digest("a"), far), gate.ErrFenced)
	}},
	{"jobs_go_on", func(from, to *env) {
		from.fill()
		to.take(from.pieces())
		before := from.entry("running").Job
		if after := to.entry("running").Job; after.State != gate.JobQueued || after.ID != before.ID || after.Worker != "" {
			to.Fatalf("a running job became %+v", after)
		}
		_, err := to.s.Heartbeat(to.ctx, before.Lease(), testLease, gate.Progress{})
		to.want(err, gate.ErrFenced)
		to.enqueue(analyze("cancelled", gate.TriggerPush), gate.EnqueuedLeft)
		to.enqueue(analyze("failed", gate.TriggerPush), gate.EnqueuedNew)
		to.wantUsed("2026-11", 2)
		claimed := to.claimAll()
		if job := claimed[before.Key]; job.Epoch <= before.Epoch {
			to.Errorf("the epoch went from %d to %d", before.Epoch, job.Epoch)
		}
		queued := resolve("queued", "", gate.TriggerPush)
		if diff := cmp.Diff([]string{"v2", "v3"}, claimed[queued.Key()].Tags); diff != "" {
			to.Errorf("tags of the queued job (-want +got):\n%s", diff)
		}
		if len(claimed) != 3 { // running, failed, queued; one waits, one is cancelled, one done
			to.Errorf("claimed %v", claimed)
		}
		to.wantUsed("2026-11", 3) // only the failed one had none
		to.advance(2 * time.Minute)
		waits := resolve("waits", "", gate.TriggerPush)
		if _, ok := to.claimAll()[waits.Key()]; !ok {
			to.Errorf("the job that waited does not continue")
		}
	}},
	{"what_is_newer_stays", func(from, to *env) {
		from.fill()
		all := from.pieces()
		to.take(all)
		key := gate.TagKey{Location: app, Tag: name("t", 1)}
		to.advance(time.Hour)
		from.advance(time.Minute) // both continue, to the later of which more has happened
		_, err := to.s.PutTag(to.ctx, key, digest("other"), to.now(), "")
		to.no(err)
		_, err = to.s.PutSetting(to.ctx, "schedule/nightly", []byte("three"), 2)
		to.no(err)
		to.no(to.s.Fence(to.ctx, digest("scanned"), 1<<51))
		to.enqueue(analyze("cancelled", gate.TriggerAPI), gate.EnqueuedNew)
		to.no(to.s.Avoid(to.ctx, "2026-11", 1))
		want := to.pieces()
		_, err = from.s.PutTag(from.ctx, key, digest("late"), from.now(), "")
		from.no(err)
		if n := to.take(all) + to.take(from.pieces()); n != 0 {
			to.Errorf("%d pieces were written", n)
		}
		for i, p := range to.pieces() {
			if fields := store.Differences(want[i], p); len(fields) > 0 {
				to.Errorf("%s %q changed in %q", p.Section, p.Name, fields)
			}
		}
	}},
	{"what_has_changed_since_comes_along", func(from, to *env) {
		from.fill()
		to.take(from.pieces())
		from.advance(time.Minute)
		to.advance(time.Minute)
		_, err := from.s.PutTag(from.ctx, gate.TagKey{Location: app, Tag: name("t", 1)}, digest("moved"), from.now(), "")
		from.no(err)
		from.no(from.s.MarkGone(from.ctx, digest("scanned"), app))
		from.finishWith(*from.entry("running").Job, gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		from.enqueue(analyze("cancelled", gate.TriggerAPI), gate.EnqueuedNew)
		from.no(from.s.Avoid(from.ctx, "2026-11", 2))
		if n := to.take(from.pieces()); n != 5 {
			to.Errorf("%d pieces were written", n)
		}
		same(from, to)
	}},
	{"export_goes_on_after_a_name", func(from, _ *env) {
		from.fill()
		for _, section := range store.Sections() {
			all := from.section(section, "")
			for i, p := range all {
				rest := from.section(section, p.Name)
				if len(rest) != len(all)-i-1 {
					from.Fatalf("%s after %q: got %d pieces, want %d", section, p.Name, len(rest), len(all)-i-1)
				}
				if i > 0 && all[i-1].Name >= p.Name {
					from.Fatalf("%s: %q comes before %q", section, all[i-1].Name, p.Name)
				}
			}
		}
		stop := errors.New("stop")
		err := from.s.(store.Exporter).Export(from.ctx, store.SectionTags, "", func(store.Piece) error { return stop })
		from.want(err, stop)
		err = from.s.(store.Exporter).Export(from.ctx, "nonsense", "", func(store.Piece) error { return nil })
		from.want(err, gate.ErrInvalid)
	}},
	{"the_feed_tells", func(from, to *env) {
		from.fill()
		start := to.position()
		to.take(from.pieces())
		changes, _, err := to.s.Changes(to.ctx, start, 1000)
		to.no(err)
		told := map[gate.ChangeKind]int{}
		for _, c := range changes {
			told[c.Kind]++
		}
		want := map[gate.ChangeKind]int{gate.ChangeTag: 61, gate.ChangeSetting: 2, gate.ChangeRecord: 2, gate.ChangeJob: 6}
		if diff := cmp.Diff(want, told); diff != "" {
			to.Errorf("changes (-want +got):\n%s", diff)
		}
	}},
	{"nonsense_is_refused", func(_, to *env) {
		for _, p := range []store.Piece{
			{}, {Section: store.SectionCharges, Name: string(digest("a"))}, {Section: store.SectionCharges, Name: "x", Charge: &gate.Charge{}},
			{Section: store.SectionRecords, Name: string(digest("a")), Record: &store.RecordPiece{}}, {Section: store.SectionTags, Name: "x", Tag: &gate.TagMapping{}},
			{Section: store.SectionJobs, Name: "x", Job: &store.JobPiece{}}, {Section: "nonsense", Name: "x"},
		} {
			_, err := to.s.(store.Importer).Import(to.ctx, p)
			to.wantClassified(err)
			if err == nil {
				to.Errorf("imported %+v", p)
			}
		}
	}},
}
