package sqlite

import (
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// tidyEvery is after how many changes what has outlived its use is removed;
// often enough that each time is short.
const tidyEvery = 1000

// tidy removes what nobody will ask for: old changes, jobs that are over,
// windows of budgets and starts of analyses that have passed.
func (t *tx) tidy() error {
	t.now = t.store.now().UnixNano()
	t.writer.hints.appended = 0
	if err := t.tidyJobs(); err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM budgets WHERE ends <= ?`, t.now); err != nil {
		return err
	}
	// Records are never removed, so that the highest number counts them. With more of
	// them more changes are kept: the floor stays where it is until then.
	var newest, records int64
	if err := t.row(`SELECT coalesce((SELECT max(seq) FROM feed), 0), coalesce((SELECT max(rowid) FROM records), 0)`).Scan(&newest, &records); err != nil {
		return err
	}
	before, err := t.counter("floor")
	if err != nil {
		return err
	}
	floor := newest - store.FeedFor(t.store.options.FeedRetention, records)
	if floor <= before {
		return nil
	}
	if err := t.exec(`DELETE FROM feed WHERE seq <= ?`, floor); err != nil {
		return err
	}
	return t.setCounter("floor", floor)
}

// tidyJobs removes jobs that are done or superseded and older than the
// retention. The feed tells of it: a reader that finds no such job any more
// drops its copy. The newest failed or cancelled job of a key stays, because
// it decides what may restart.
func (t *tx) tidyJobs() error {
	var ids []string
	err := t.each(func(row scanner) error {
		var id string
		if err := row.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	}, `DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs
		WHERE (state = 4 OR superseded = 1) AND finished_at < ? ORDER BY finished_at LIMIT ?) RETURNING id`,
		t.now-int64(t.store.options.JobRetention), 2*tidyEvery)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := t.change(gate.ChangeJob, id); err != nil {
			return err
		}
	}
	t.writer.hints.appended = 0 // what tidying itself has appended starts no other
	return nil
}
