package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// RunCopy runs the cases of [store.Exporter] and [store.Importer] between two
// stores; Run runs it between two of the same kind. Both functions make a fresh,
// empty store.
func RunCopy(t *testing.T, from, to func(t *testing.T) Harness) {
	for _, c := range slices.Concat(copyCases, historyCopies) {
		t.Run(c.name, func(t *testing.T) { c.run(newEnv(t, from(t)), newEnv(t, to(t))) })
	}
}

type copyCase struct {
	name string
	run  func(from, to *env)
}

// pieces are all of a store.
func (e *env) pieces() []store.Piece {
	e.Helper()
	var all []store.Piece
	for _, section := range store.Sections() {
		all = append(all, e.section(section, "")...)
	}
	return all
}

func (e *env) section(section store.Section, after string) (list []store.Piece) {
	e.Helper()
	x, ok := e.s.(store.Exporter)
	if !ok {
		e.Fatalf("the store does not implement store.Exporter")
	}
	e.no(x.Export(e.ctx, section, after, func(p store.Piece) error {
		if err := p.Check(); err != nil || p.Section != section {
			return fmt.Errorf("piece %q of %q, exporting %q: %w", p.Name, p.Section, section, err)
		}
		list = append(list, p)
		return nil
	}))
	return list
}

// take imports pieces and reports how many were written.
func (e *env) take(pieces []store.Piece) (written int) {
	e.Helper()
	for _, p := range pieces {
		if e.takeOne(p) {
			written++
		}
	}
	return written
}

func (e *env) takeOne(p store.Piece) bool {
	e.Helper()
	m, ok := e.s.(store.Importer)
	if !ok {
		e.Fatalf("the store does not implement store.Importer")
	}
	changed, err := m.Import(e.ctx, p)
	if err != nil {
		e.Fatalf("Import(%s %q): %v", p.Section, p.Name, err)
	}
	return changed
}

func (e *env) position() int64 {
	e.Helper()
	n, err := e.s.(store.Exporter).Position(e.ctx)
	e.no(err)
	return n
}

// fill makes one of everything that a copy must have.
func (e *env) fill() {
	e.Helper()
	for _, n := range []string{"scanned", "running", "failed"} {
		e.enqueue(analyze(n, gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		if n != "failed" {
			e.serve(job)
		}
		switch n {
		case "scanned":
			e.no(e.s.Fence(e.ctx, digest(n), job.Epoch))
			e.no(e.s.PutManifest(e.ctx, manifest(n)))
			id := e.scanned(n, job.Epoch)
			e.no(PutFindings(e.ctx, e.s, findings(n, id, 3)))
			e.finish(job, nil, gate.JobDone)
		case "failed":
			e.finishWith(job, gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		}
	}
	e.enqueue(resolve("waits", "v1", gate.TriggerPush), gate.EnqueuedNew)
	e.finishWith(e.claim(), gate.Result{Err: gate.ErrRegistryRefused, After: time.Minute}, gate.JobQueued)
	cancelled := e.enqueue(analyze("cancelled", gate.TriggerPush), gate.EnqueuedNew)
	_, err := e.s.Cancel(e.ctx, cancelled.ID)
	e.no(err)
	e.enqueue(resolve("queued", "v2", gate.TriggerPush), gate.EnqueuedNew)
	e.enqueue(resolve("queued", "v3", gate.TriggerAPI), gate.EnqueuedJoined)

	for _, loc := range []gate.Location{other, app, web} {
		_, err := e.s.AddLocation(e.ctx, digest("scanned"), loc)
		e.no(err)
	}
	e.no(e.s.MarkGone(e.ctx, digest("scanned"), web))
	decision := gate.Decision{Outcome: gate.OutcomeWarn, Reasons: []gate.Reason{{Action: gate.OutcomeWarn, Rule: "r", Msg: "m", Findings: []string{}}}, EvaluatedAt: e.now()}
	e.no(PutVerdicts(e.ctx, e.s, digest("scanned"), []gate.Verdict{{Location: app, Decision: decision}}))
	e.no(e.s.PutManifest(e.ctx, manifest("tried")))
	e.no(e.s.PutUnassessable(e.ctx, digest("tried"), 2, "encrypted"))

	for i := range 60 { // more than a page
		_, err := e.s.PutTag(e.ctx, gate.TagKey{Location: app, Tag: name("t", i)}, digest("scanned"), e.now(), "hub.example.com")
		e.no(err)
	}
	e.no(e.s.MarkDirty(e.ctx, gate.TagKey{Location: app, Tag: name("t", 7)}))
	_, err = e.s.PutTag(e.ctx, gate.TagKey{Location: web, Tag: "gone"}, "", e.now(), "")
	e.no(err)
	v, err := e.s.PutSetting(e.ctx, "schedule/nightly", []byte("one"), 0)
	e.no(err)
	_, err = e.s.PutSetting(e.ctx, "schedule/nightly", []byte{0, 255}, v)
	e.no(err)
	_, err = e.s.PutSetting(e.ctx, "empty", nil, 0)
	e.no(err)
	_, err = e.s.Restore(e.ctx, digest("older"), "2026-10", e.now())
	e.no(err)
	e.no(e.s.Avoid(e.ctx, "2026-11", 5))
}

// claimAll claims until there is nothing more.
func (e *env) claimAll() map[string]gate.Job {
	e.Helper()
	claimed := map[string]gate.Job{}
	for {
		job, err := e.s.Claim(e.ctx, claimRequest())
		if errors.Is(err, gate.ErrNoJob) {
			return claimed
		}
		e.no(err)
		claimed[job.Key] = job
	}
}

// same checks that two stores hold the same.
func same(from, to *env) {
	to.Helper()
	want, got := from.pieces(), to.pieces()
	for i, p := range want {
		if i >= len(got) || got[i].Section != p.Section || got[i].Name != p.Name {
			to.Fatalf("%s %q is missing", p.Section, p.Name)
		}
		if fields := store.Differences(p, got[i]); len(fields) > 0 {
			to.Errorf("%s %q differs in %q (-from +to):\n%s", p.Section, p.Name, fields, cmp.Diff(p, got[i]))
		}
	}
	if len(got) != len(want) {
		to.Errorf("got %d pieces, want %d", len(got), len(want))
	}
}
