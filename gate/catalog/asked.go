package catalog

import (
	"database/sql"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// resolvesQuery lists the jobs that resolve a digest, the last changed first, at most
// [gate.MaxPage] of them. The plus makes SQLite use the index on the digest, which
// finds few rows.
const resolvesQuery = "SELECT body FROM jobs WHERE digest = ? AND +kind = ? ORDER BY updated_at DESC, id LIMIT ?"

func (w *writer) resolves(d gate.Digest) (jobs []gate.Job) {
	w.each(func(row *sql.Rows) error {
		job, err := listedJob(row)
		jobs = append(jobs, job)
		return err
	}, resolvesQuery, d, gate.JobResolve, gate.MaxPage)
	return jobs
}

func live(j gate.Job) bool { return j.State.Live() }

// stateWith is the state of an image of which something is recorded. While its push
// or a scan of it is still to be read, it is queued, as GET images/{digest} says.
func (w *writer) stateWith(d gate.Digest, state gate.State) gate.State {
	if state != gate.StateNotScanned && state != gate.StateFailed {
		return state
	}
	if slices.ContainsFunc(w.resolves(d), live) {
		return gate.StateQueued
	}
	return state
}

// unrecorded writes the row of a digest of which nothing is recorded yet. From the
// moment at which a push or a scan of it is accepted, it is listed as queued, at the
// location that the push or scan named; when it could not be read, as failed or
// cancelled. A digest that was read and has been removed since has no row. GET
// images/{digest} says the same.
func (w *writer) unrecorded(d gate.Digest) {
	jobs := w.resolves(d)
	if len(jobs) == 0 {
		return
	}
	state := gate.StateQueued // also while it is read: its scan comes after that
	if slices.ContainsFunc(jobs, live) {
		jobs = slices.DeleteFunc(jobs, func(j gate.Job) bool { return !live(j) })
	} else {
		if jobs[0].State == gate.JobDone {
			return
		}
		state, jobs = gate.ImageState(gate.Record{}, &jobs[0]), jobs[:1]
	}
	var asked time.Time
	for _, j := range jobs {
		if j.CreatedAt.After(asked) {
			asked = j.CreatedAt
		}
		w.name(j.Location.Repository)
		w.exec("INSERT OR IGNORE INTO locations (digest, registry, repository, gone) VALUES (?,?,?,0)", d, j.Location.Registry, j.Location.Repository)
	}
	w.name(string(d))
	w.exec(`INSERT INTO images (digest, kind, platform, state, decision, has_inventory, generation, critical, high, medium, low, unknown,
		size, analyzed_at, seen_at, accessory, subject) VALUES (?,?,'',?,?,0,0,0,0,0,0,0,0,0,?,0,'')`, d, gate.KindUnknown, state, gate.OutcomeNone, micros(asked))
}

// jobDigestQuery finds the digest of a job that the store has removed: the row of an
// image may exist only because of that job.
const jobDigestQuery = "SELECT digest FROM jobs WHERE id = ?"
