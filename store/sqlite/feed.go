package sqlite

import (
	"context"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var changeKinds = [...]gate.ChangeKind{gate.ChangeRecord, gate.ChangeJob, gate.ChangeTag, gate.ChangeSetting}

func changeCode(k gate.ChangeKind) int {
	for i, kind := range changeKinds {
		if kind == k {
			return i
		}
	}
	return -1
}

// Changed returns a channel that is closed at the next change.
func (s *Store) Changed() <-chan struct{} { return s.feed.Wait() }

// maxChanges bounds one answer of Changes.
const maxChanges = 10_000

// Changes returns up to limit changes after a sequence number, at most 10,000.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]gate.Change, int64, error) {
	what := fmt.Sprintf("reading changes after %d", after)
	if after < 0 || limit <= 0 {
		return nil, 0, fmt.Errorf("%s: up to %d: %w", what, limit, gate.ErrInvalid)
	}
	var changes []gate.Change
	next := after
	err := s.queries.each(ctx, func(row scanner) error {
		var c gate.Change
		var kind int
		var at int64
		if err := row.Scan(&c.Seq, &kind, &c.Key, &at, &c.History); err != nil {
			return err
		}
		next = c.Seq
		if kind < 0 || kind >= len(changeKinds) {
			return nil // of a newer version; nothing that this one knows has changed
		}
		c.Kind, c.At = changeKinds[kind], timeOf(at)
		changes = append(changes, c)
		return nil
	}, queryChanges, after, min(limit, maxChanges))
	if err != nil {
		return nil, 0, storeError(what, err)
	}
	// Asked after the rows: what was removed meanwhile shows as a conflict,
	// never as a gap. A reader that is ahead has followed another store, of
	// which this one is an older copy.
	var floor, newest int64
	if err := s.queries.row(ctx, queryFeedEnds).Scan(&floor, &newest); err != nil {
		return nil, 0, storeError(what, err)
	}
	if after < floor || after > newest {
		return nil, 0, fmt.Errorf("%s: the feed has those from %d to %d: %w", what, floor+1, newest, gate.ErrConflict)
	}
	return changes, next, nil
}

// Newest is the sequence number of the newest change, 0 for none.
func (s *Store) Newest(ctx context.Context) (int64, error) {
	var floor, newest int64
	if err := s.queries.row(ctx, queryFeedEnds).Scan(&floor, &newest); err != nil {
		return 0, storeError("looking for the newest change", err)
	}
	return max(floor, newest), nil
}

// scanPage is how many rows Scan reads at a time; between pages it holds
// nothing, so that a slow reader does not keep the log from being truncated.
const scanPage = 500

// Scan calls fn for everything stored. It takes the sequence first: what
// changes while it runs comes again from Changes.
func (s *Store) Scan(ctx context.Context, fn store.ScanFunc) (int64, error) {
	const what = "scanning the store"
	var floor, newest int64
	if err := s.queries.row(ctx, queryFeedEnds).Scan(&floor, &newest); err != nil {
		return 0, storeError(what, err)
	}
	var refused error // an error of fn goes back as it is
	visit := func(item store.Item) error {
		refused = fn(item)
		return refused
	}
	for _, scan := range []func(context.Context, store.ScanFunc) error{s.scanRecords, s.scanJobs, s.scanTags} {
		err := scan(ctx, visit)
		if refused != nil {
			return 0, refused
		}
		if err != nil {
			return 0, storeError(what, err)
		}
	}
	return newest, nil
}

func (s *Store) scanJobs(ctx context.Context, fn store.ScanFunc) error {
	after := int64(-1)
	for {
		var page []gate.Job
		err := s.queries.each(ctx, func(row scanner) error {
			j, err := scanJob(row)
			if err != nil {
				return err
			}
			after = j.seq
			page = append(page, j.Job)
			return nil
		}, queryScanJobs, after, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := fn(store.Item{Job: &page[i]}); err != nil {
				return err
			}
		}
	}
}

func (s *Store) scanTags(ctx context.Context, fn store.ScanFunc) error {
	after := ""
	for {
		var page []gate.TagMapping
		err := s.queries.each(ctx, func(row scanner) error {
			m, key, err := scanTag(row)
			if err != nil {
				return err
			}
			after = key
			page = append(page, m)
			return nil
		}, queryScanTags, after, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := fn(store.Item{Tag: &page[i]}); err != nil {
				return err
			}
		}
	}
}

func (s *Store) scanRecords(ctx context.Context, fn store.ScanFunc) error {
	after := ""
	for {
		var page []gate.Digest
		err := s.queries.each(ctx, func(row scanner) error {
			if err := row.Scan(&after); err != nil {
				return err
			}
			page = append(page, gate.Digest(after))
			return nil
		}, queryScanDigests, after, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		records, err := s.readRecords(ctx, page, true)
		if err != nil {
			return err
		}
		for _, d := range page {
			r := records[d]
			if !r.Known() {
				continue // cannot be read; that is logged
			}
			if err := fn(store.Item{Record: &r}); err != nil {
				return err
			}
		}
	}
}
