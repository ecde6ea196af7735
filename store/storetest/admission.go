package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// admitted reads a digest and a tag as reviews do.
func (e *env) admitted(name string, k gate.TagKey) (gate.Entry, gate.TagMapping) {
	e.Helper()
	res, err := e.s.Admission().Read(e.ctx, gate.ReadRequest{Digests: []gate.Digest{digest(name)}, Tags: []gate.TagKey{k}})
	e.no(err)
	return res.Digests[digest(name)], res.Tags[k]
}

var admissionCases = []testCase{
	{"every_write_is_seen_at_once", func(e *env) {
		d, k := digest("a"), gate.TagKey{Location: app, Tag: "v1"}
		job := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		see := func(what string, want func(gate.Entry, gate.TagMapping) bool) {
			e.Helper()
			for range 2 { // the second time from a copy, where there are some
				if got, tag := e.admitted("a", k); !want(got, tag) {
					e.Fatalf("%s: got %+v, a %s image, and %+v", what, got, got.State(), tag)
				}
			}
		}
		see("queued", func(r gate.Entry, _ gate.TagMapping) bool { return r.State() == gate.StateQueued })
		job = e.claim()
		see("claimed", func(r gate.Entry, _ gate.TagMapping) bool { return r.State() == gate.StateScanning })
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		see("read", func(r gate.Entry, _ gate.TagMapping) bool { return r.Record.Manifest.Kind == gate.KindImage })
		e.serve(job)
		e.no(PutInventory(e.ctx, e.s, job.Epoch, inventory("a", "set-1")))
		first := e.record("a").InventoryID
		see("analysed", func(r gate.Entry, _ gate.TagMapping) bool {
			return r.State() == gate.StateScanned && r.Record.InventoryID == first && r.Record.FindingsID == ""
		})
		e.no(PutFindings(e.ctx, e.s, findings("a", first, 1)))
		see("matched", func(r gate.Entry, _ gate.TagMapping) bool { return r.Record.Generation == 1 })
		e.no(PutFindings(e.ctx, e.s, findings("a", first, 2)))
		see("matched again", func(r gate.Entry, _ gate.TagMapping) bool { return r.Record.Generation == 2 })
		_, err := e.s.AddLocation(e.ctx, d, app)
		e.no(err)
		see("located", func(r gate.Entry, _ gate.TagMapping) bool {
			return len(r.Record.Locations) == 1 && !r.Record.Locations[0].Gone
		})
		e.no(e.s.MarkGone(e.ctx, d, app))
		see("gone", func(r gate.Entry, _ gate.TagMapping) bool {
			return len(r.Record.Locations) == 1 && r.Record.Locations[0].Gone
		})
		e.no(PutInventory(e.ctx, e.s, job.Epoch, inventory("a", "set-2")))
		see("analysed again", func(r gate.Entry, _ gate.TagMapping) bool { return r.Record.AnalyzerSet == "set-2" })
		e.no(e.s.PutUnassessable(e.ctx, d, job.Epoch, "too large"))
		see("unassessable", func(r gate.Entry, _ gate.TagMapping) bool { return r.State() == gate.StateUnassessable })
		see("no tag", func(_ gate.Entry, m gate.TagMapping) bool { return m.Digest == "" })
		_, err = e.s.PutTag(e.ctx, k, d, e.now(), "")
		e.no(err)
		see("tagged", func(_ gate.Entry, m gate.TagMapping) bool { return m.Digest == d && !m.Dirty })
		e.advance(time.Minute)
		later := e.now()
		_, err = e.s.PutTag(e.ctx, k, d, later, "")
		e.no(err)
		see("confirmed", func(_ gate.Entry, m gate.TagMapping) bool { return m.ReadAt.Equal(later) })
		e.no(e.s.MarkDirty(e.ctx, k))
		see("dirty", func(_ gate.Entry, m gate.TagMapping) bool { return m.Dirty })
		e.advance(time.Minute)
		_, err = e.s.PutTag(e.ctx, k, "", e.now(), "")
		e.no(err)
		see("no such tag", func(_ gate.Entry, m gate.TagMapping) bool { return m.Gone })
	}},
	{"records_have_no_standing_verdicts", func(e *env) {
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{{Location: app, Decision: gate.Decision{Outcome: gate.OutcomeDeny}}}))
		for range 2 {
			if got, _ := e.admitted("a", gate.TagKey{Location: app, Tag: "v1"}); len(got.Record.Locations) != 1 || got.Record.Locations[0].Verdict.Outcome != "" {
				e.Fatalf("got %+v", got.Record.Locations)
			}
		}
	}},
	{"no_review_sees_less_than_was_acknowledged", func(e *env) { e.interleave(4, 3, interleaved) }},
}

// interleaved is how many writes each writer makes. The property is worth more with
// 5,000, which take a minute.
const interleaved = 120

// written is what was acknowledged of one writer's digest and tag. Each has one writer, so
// that it knows what stands.
type written struct {
	name    string
	tag     gate.TagKey
	version atomic.Int64 // of the record
	rank    atomic.Int64 // of the mapping: twice the number of its digest, one more when it is dirty
}

// rankOf is the rank of a mapping to the digest of number n.
func rankOf(n int64, dirty bool) int64 {
	if dirty {
		return 2*n + 1
	}
	return 2 * n
}

// tagged is the digest with a number, numberOf the number.
func tagged(n int64) gate.Digest { return gate.Digest(fmt.Sprintf("sha256:%064d", n)) }

func numberOf(d gate.Digest) (n int64) {
	_, _ = fmt.Sscanf(string(d), "sha256:%d", &n)
	return n
}

// interleave has writers write at random, each to its own digests and tags, while readers
// read as reviews do: nobody may see less than was acknowledged before the read began.
func (e *env) interleave(writers, readers, writes int) {
	e.Helper()
	const each = 3
	all := make([]*written, writers*each)
	for i := range all {
		all[i] = &written{name: name("w", i), tag: gate.TagKey{Location: app, Tag: name("v", i)}}
	}
	seed := rand.Uint64()
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	var reading sync.WaitGroup
	broken := make(chan error, writers+readers)
	for i := range readers {
		reading.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(1000+i)))
			for ctx.Err() == nil {
				if err := e.reviewSome(all, random); err != nil {
					broken <- err
					return
				}
			}
		})
	}
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for n := range writes {
				if err := e.writeSome(all[i*each+random.IntN(each)], int64(n+1), random); err != nil {
					broken <- err
					return
				}
			}
		})
	}
	writing.Wait()
	stop()
	reading.Wait()
	select {
	case err := <-broken:
		e.Fatalf("seed %d: %v", seed, err)
	default:
	}
}

// reviewSome reads some of what is written, and compares it with what was acknowledged
// before.
func (e *env) reviewSome(all []*written, random *rand.Rand) error {
	var req gate.ReadRequest
	var some []*written
	var versions, ranks []int64
	for range 1 + random.IntN(3) {
		w := all[random.IntN(len(all))]
		some, versions, ranks = append(some, w), append(versions, w.version.Load()), append(ranks, w.rank.Load())
		req.Digests, req.Tags = append(req.Digests, digest(w.name)), append(req.Tags, w.tag)
	}
	res, err := e.s.Admission().Read(e.ctx, req)
	if err != nil {
		return err
	}
	for i, w := range some {
		if got := res.Digests[digest(w.name)].Record.Version; got < versions[i] {
			return fmt.Errorf("a review sees version %d of %s after %d was acknowledged", got, w.name, versions[i])
		}
		m := res.Tags[w.tag]
		if got := rankOf(numberOf(m.Digest), m.Dirty); got < ranks[i] {
			return fmt.Errorf("a review sees %+v after rank %d was acknowledged", m, ranks[i])
		}
	}
	return nil
}

// writeSome writes something, and checks that a review sees all of it.
func (e *env) writeSome(w *written, n int64, random *rand.Rand) (err error) {
	d, s, ctx := digest(w.name), e.s, e.ctx
	state := gate.State("")
	switch random.IntN(9) {
	case 0:
		m := manifest(w.name)
		m.Hashed = true
		err = s.PutManifest(ctx, m)
	case 1:
		_, err = s.AddLocation(ctx, d, gate.Location{Registry: "r", Repository: name("repo", int(n))})
	case 2, 3:
		err = PutInventory(ctx, s, 1, inventory(w.name, fmt.Sprint("set-", n)))
		state = gate.StateScanned
	case 4:
		var entry gate.Entry
		if entry, err = gate.ReadEntry(ctx, s, d); err == nil && entry.Record.InventoryID != "" {
			err = PutFindings(ctx, s, findings(w.name, entry.Record.InventoryID, n))
		}
	case 5, 6:
		e.advance(time.Millisecond)
		var m gate.TagMapping
		if m, err = s.PutTag(ctx, w.tag, tagged(n), e.now(), ""); err == nil && (m.Dirty || m.Digest != tagged(n)) {
			err = fmt.Errorf("PutTag: got %+v", m)
		}
		w.rank.Store(rankOf(n, false))
	case 7:
		err = s.MarkDirty(ctx, w.tag)
		w.rank.Store(w.rank.Load() | 1)
	case 8:
		var job gate.Job
		if job, _, err = s.Enqueue(ctx, analyze(w.name, gate.TriggerAPI)); err == nil && random.IntN(2) == 0 {
			_, err = s.Cancel(ctx, job.ID)
			state = gate.StateCancelled
		} else {
			state = gate.StateQueued
		}
	}
	if err != nil {
		return err
	}
	stored, err := s.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}, Tags: []gate.TagKey{w.tag}})
	if err != nil {
		return err
	}
	seen, err := s.Admission().Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}, Tags: []gate.TagKey{w.tag}})
	if err != nil {
		return err
	}
	want, got := stored.Digests[d], seen.Digests[d]
	w.version.Store(want.Record.Version)
	if got.Record.Version != want.Record.Version || got.Record.InventoryID != want.Record.InventoryID ||
		got.Record.FindingsID != want.Record.FindingsID || len(got.Record.Locations) != len(want.Record.Locations) || got.State() != want.State() {
		return fmt.Errorf("a review sees %+v, a %s image; stored is %+v, a %s image", got, got.State(), want, want.State())
	}
	if m := stored.Tags[w.tag]; seen.Tags[w.tag] != m {
		return fmt.Errorf("a review sees %+v, stored is %+v", seen.Tags[w.tag], m)
	}
	if state != "" && got.State() != state && got.Record.InventoryID == "" {
		return fmt.Errorf("a review sees a %s image, want %s", got.State(), state)
	}
	return nil
}
