package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// The queries of the reading side. Those that end in "IN " take a list, see
// queries.list.
const (
	queryJob     = `SELECT ` + jobColumns + ` FROM jobs WHERE seq = ? AND id = ?`
	queryChecked = `SELECT value FROM counters WHERE name = 'checked'`
	queryQuota   = `SELECT used, avoided FROM quota WHERE period = ?`
	queryPull    = `SELECT at FROM starts WHERE registry = ? ORDER BY at DESC LIMIT 1 OFFSET ?`
	queryCharged = `SELECT period, at, served FROM charges WHERE digest = ?`
	querySetting = `SELECT value, version FROM settings WHERE name = ?`

	queryInventory = `SELECT id, data FROM inventories WHERE digest = ?`
	queryFindings  = `SELECT id, data FROM findings WHERE digest = ?`
	queryHistory   = `SELECT number, at, data FROM history WHERE digest = ? AND number < ? ORDER BY number DESC LIMIT ?`

	queryChanges  = `SELECT seq, kind, key, at, history FROM feed WHERE seq > ? ORDER BY seq LIMIT ?`
	queryFeedEnds = `SELECT coalesce((SELECT value FROM counters WHERE name = 'floor'), 0), coalesce((SELECT max(seq) FROM feed), 0)`

	queryScanJobs    = `SELECT ` + jobColumns + ` FROM jobs WHERE seq > ? ORDER BY seq LIMIT ?`
	queryScanTags    = `SELECT ` + tagColumns + ` FROM tags WHERE key > ? ORDER BY key LIMIT ?`
	queryScanDigests = `SELECT digest FROM records WHERE digest > ? ORDER BY digest LIMIT ?`

	listRecords   = `SELECT ` + recordColumns + ` FROM records WHERE digest IN `
	listLocations = `SELECT ` + locationColumns + ` FROM locations WHERE digest IN `
	// 2 is store.KindAnalyze. The predicate is that of the index jobs_current; without
	// it the query would read the whole table.
	listJobs    = `SELECT ` + jobColumns + ` FROM jobs WHERE kind = 2 AND superseded = 0 AND key IN `
	listCharges = `SELECT digest, period, at, served FROM charges WHERE digest IN `
	listTags    = `SELECT ` + tagColumns + ` FROM tags WHERE key IN `
)

// listSizes are the lengths for which lists are prepared; a shorter list
// repeats its last member.
var listSizes = [...]int{1, 4, 16, 64}

// queries are the prepared statements of the reading side, by their text.
type queries map[string]*sql.Stmt

func (q *queries) prepare(ctx context.Context, db *sql.DB) error {
	*q = queries{}
	texts := []string{
		queryJob, queryChecked, queryQuota, queryPull, queryCharged, querySetting, queryInventory, queryFindings, queryHistory,
		queryChanges, queryFeedEnds, queryScanJobs, queryScanTags, queryScanDigests,
	}
	for _, list := range []string{listRecords, listLocations, listJobs, listCharges, listTags} {
		for _, n := range listSizes {
			texts = append(texts, listQuery(list, n))
		}
	}
	for _, text := range texts {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		(*q)[text] = stmt
	}
	return nil
}

func (q queries) close() error {
	var errs []error
	for _, stmt := range q {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

func (q queries) row(ctx context.Context, query string, args ...any) scanner {
	return q[query].QueryRowContext(ctx, args...)
}

func (q queries) each(ctx context.Context, fn func(scanner) error, query string, args ...any) error {
	rows, err := q[query].QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return forEach(rows, fn)
}

// list runs a query over a list of keys of any length.
func (q queries) list(ctx context.Context, fn func(scanner) error, query string, keys []string) error {
	for len(keys) > 0 {
		size := listSizes[len(listSizes)-1]
		for _, n := range listSizes {
			if n >= len(keys) {
				size = n
				break
			}
		}
		part := keys[:min(size, len(keys))]
		keys = keys[len(part):]
		args := make([]any, size)
		for i := range args {
			args[i] = part[min(i, len(part)-1)]
		}
		if err := q.each(ctx, fn, listQuery(query, size), args...); err != nil {
			return err
		}
	}
	return nil
}

func listQuery(query string, n int) string {
	return query + "(?" + strings.Repeat(", ?", n-1) + ")"
}
