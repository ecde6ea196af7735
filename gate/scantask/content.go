package scantask

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// stepContent counts the analyses that have ended and begins others. wait is how long
// there is nothing more to do.
func (w *walk) stepContent(ctx context.Context) (wait time.Duration, err error) {
	if err := w.land(ctx); err != nil {
		return 0, err
	}
	if err := w.again(ctx); err != nil {
		return 0, err
	}
	wait = pace
	for i := range w.t.Lanes {
		l := &w.t.Lanes[i]
		if l.Ended {
			continue
		}
		begun, err := w.fill(ctx, l)
		if err != nil {
			return 0, err
		}
		if begun > 0 || l.Ended {
			wait = 0
		}
	}
	if len(w.t.Flight) > 0 && wait == 0 && !w.room() {
		wait = pace
	}
	return wait, nil
}

// share is how many analyses a lane may have under way: those of a registry that is slow,
// or whose pulls are limited, keep no other from being begun.
func (w *walk) share() int {
	lanes := 0
	for _, l := range w.t.Lanes {
		if !l.Ended {
			lanes++
		}
	}
	return max(1, w.concurrency(analyses)/max(1, lanes))
}

func (w *walk) flying(registry string) (n int) {
	for _, f := range w.t.Flight {
		if f.Lane == registry {
			n++
		}
	}
	return n
}

// room reports whether an analysis of any lane may begin.
func (w *walk) room() bool {
	return len(w.t.Flight) < w.concurrency(analyses) && slices.ContainsFunc(w.t.Lanes, func(l lane) bool {
		return !l.Ended && w.flying(l.Registry) < w.share()
	})
}

// fill deals with images of a lane until it has its share of analyses under way, or its
// rate is reached.
func (w *walk) fill(ctx context.Context, l *lane) (begun int, err error) {
	room := min(w.share()-w.flying(l.Registry), w.concurrency(analyses)-len(w.t.Flight))
	if room <= 0 {
		return 0, nil
	}
	n, _ := w.allowed(batch)
	if n == 0 {
		return 0, nil
	}
	list, err := w.listed(ctx, l, n)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	digests := make([]gate.Digest, len(list))
	for i, c := range list {
		digests[i] = c.Digest
	}
	known, err := w.r.o.Queue.Read(ctx, gate.ReadRequest{Digests: digests, AllJobs: true})
	if err != nil {
		return 0, err
	}
	var match []gate.Digest
	for _, c := range list {
		rec := known.Digests[c.Digest].Record
		switch {
		case w.ended(known.Digests[c.Digest]):
		case rec.InventoryID != "" && !w.t.Force && rec.AnalyzerSet == w.set:
			match = append(match, c.Digest)
		case room == 0:
			return begun, w.matched(ctx, l, match, begun)
		default:
			flying, err := w.launch(ctx, c, l.Registry, rec)
			if err != nil {
				return begun, errors.Join(err, w.matched(ctx, l, match, begun))
			}
			if flying {
				room--
			}
		}
		begun++
	}
	return begun, w.matched(ctx, l, match, begun)
}

// matched matches the images that need not be analysed, and notes that the first n that
// are listed of a lane were dealt with.
func (w *walk) matched(ctx context.Context, l *lane, match []gate.Digest, n int) error {
	if len(match) > 0 {
		if err := w.match(ctx, match); err != nil {
			return err
		}
	}
	w.passed(l, n)
	return nil
}

// ended counts an image whose analysis has ended since the task began, for whatever
// reason: also one that this task began and did not write down, because its process died.
func (w *walk) ended(e gate.Entry) bool {
	job := e.Job
	switch {
	case e.Record.InventoryID != "" && !e.Record.AnalyzedAt.Before(w.t.StartedAt):
	case job == nil || job.FinishedAt.IsZero() || job.FinishedAt.Before(w.t.StartedAt):
		return false
	case job.State == gate.JobFailed:
		w.count3(0, 1, 0)
		return true
	case job.State != gate.JobDone || e.Record.InventoryID == "":
		return false
	}
	w.count3(1, 0, 0)
	w.t.Analyzed++
	return true
}

// launch queues the analysis of an image, or of one that was never read its resolve, which
// leads to one. flying is false for an image with which there is nothing to do.
func (w *walk) launch(ctx context.Context, c gate.ScanCandidate, registry string, rec gate.Record) (flying bool, err error) {
	p, ok := w.place(c)
	if !ok {
		w.count3(0, 0, 1)
		return false, nil
	}
	f := flight{Digest: c.Digest, Lane: registry, First: rec.InventoryID == ""}
	return w.enqueue(ctx, f, w.request(c.Digest, p.Location, rec))
}

func (w *walk) request(d gate.Digest, at gate.Location, rec gate.Record) gate.JobRequest {
	req := gate.JobRequest{Kind: gate.JobAnalyze, Location: at, Digest: d, Trigger: gate.TriggerRescan, Force: true}
	if rec.InventoryID == "" {
		req.Force = false
		if rec.Manifest.Kind == gate.KindUnknown {
			req.Kind = gate.JobResolve
		}
	}
	return req
}

// enqueue queues the job of a flight. One that was cancelled is queued again for an image
// that has an inventory: the task has done that when it stopped, or a person for an
// earlier task. That of a first scan was cancelled by a person; a scan that a person asks
// for begins it again.
func (w *walk) enqueue(ctx context.Context, f flight, req gate.JobRequest) (flying bool, err error) {
	job, outcome, err := w.r.o.Queue.Enqueue(ctx, req)
	if err == nil && outcome == gate.EnqueuedLeft && (!f.First || w.t.Schedule == "") {
		req.Trigger = gate.TriggerAPI
		job, outcome, err = w.r.o.Queue.Enqueue(ctx, req)
	}
	switch {
	case errors.Is(err, gate.ErrStoreUnavailable), errors.Is(err, gate.ErrTimeout):
		return false, err
	case err != nil:
		w.r.o.Log.Warn("queuing the scan of an image", "task", w.t.ID, "digest", f.Digest, "error", err)
		w.count3(0, 1, 0)
		return false, nil
	case outcome == gate.EnqueuedLeft:
		w.count3(0, 0, 1)
		return false, nil
	}
	f.Job, f.Joined, f.Priority, f.Stopped = job.ID, outcome == gate.EnqueuedJoined, job.Priority, false
	w.t.Flight, w.dirty = append(w.t.Flight, f), true
	return true, nil
}

// land counts the analyses that have ended.
func (w *walk) land(ctx context.Context) error {
	ids := make([]string, 0, len(w.t.Flight))
	for _, f := range w.t.Flight {
		if !f.Stopped {
			ids = append(ids, f.Job)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	jobs, err := w.r.o.Queue.Jobs(ctx, ids)
	if err != nil {
		return err
	}
	left := make([]flight, 0, len(w.t.Flight))
	for _, f := range w.t.Flight {
		job, known := jobs[f.Job]
		switch {
		case f.Stopped, known && (job.State == gate.JobQueued || job.State == gate.JobRunning):
			left = append(left, f)
		case !known: // another has begun it again, or it ended long ago
			f.Stopped, w.dirty = true, true
			left = append(left, f)
		case job.State == gate.JobDone:
			w.count3(1, 0, 0)
			w.t.Analyzed++
		case job.State == gate.JobFailed:
			w.count3(0, 1, 0)
		default: // cancelled by a person, or it waits for quota
			w.count3(0, 0, 1)
		}
	}
	w.t.Flight = left
	return nil
}

// again queues what was taken out of the queue when the task stopped.
func (w *walk) again(ctx context.Context) error {
	i := slices.IndexFunc(w.t.Flight, func(f flight) bool { return f.Stopped })
	if i < 0 {
		return nil
	}
	var digests []gate.Digest
	for _, f := range w.t.Flight {
		if f.Stopped {
			digests = append(digests, f.Digest)
		}
	}
	known, err := w.r.o.Queue.Read(ctx, gate.ReadRequest{Digests: digests, AllJobs: true})
	if err != nil {
		return err
	}
	for ; i >= 0; i = slices.IndexFunc(w.t.Flight, func(f flight) bool { return f.Stopped }) {
		f := w.t.Flight[i]
		rec := known.Digests[f.Digest].Record
		at := slices.IndexFunc(rec.Locations, func(l gate.LocationState) bool { return !l.Gone && l.Registry == f.Lane })
		w.t.Flight, w.dirty = slices.Delete(slices.Clone(w.t.Flight), i, i+1), true
		switch {
		case w.ended(known.Digests[f.Digest]):
		case at < 0: // it is in that registry no more
			w.count3(0, 0, 1)
		default:
			if _, err := w.enqueue(ctx, f, w.request(f.Digest, rec.Locations[at].Location, rec)); err != nil {
				w.t.Flight = append(w.t.Flight, f)
				return err
			}
		}
	}
	return nil
}

// settle takes what is still in the queue out of it, because the task has stopped: what is
// being analysed ends. A job that others want too, and one that reviews may wait for,
// stays.
func (w *walk) settle(ctx context.Context) error {
	if err := w.land(ctx); err != nil {
		return err
	}
	ids := make([]string, 0, len(w.t.Flight))
	for _, f := range w.t.Flight {
		ids = append(ids, f.Job)
	}
	jobs, err := w.r.o.Queue.Jobs(ctx, ids)
	if err != nil {
		return err
	}
	for i := range w.t.Flight {
		f := &w.t.Flight[i]
		job := jobs[f.Job]
		if f.Stopped || f.First || f.Joined || job.State != gate.JobQueued || job.Priority != f.Priority {
			continue
		}
		_, err := w.r.o.Queue.Cancel(ctx, f.Job)
		if err != nil && !errors.Is(err, gate.ErrConflict) && !errors.Is(err, gate.ErrNotFound) {
			return err
		}
		f.Stopped = err == nil
	}
	if w.t.State == gate.ScanCancelled {
		w.t.Flight = nil
	}
	w.t.Settled, w.dirty = true, true
	return nil
}
