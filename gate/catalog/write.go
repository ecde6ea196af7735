package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// writer writes rows in one transaction and keeps the first error.
type writer struct {
	ctx context.Context
	in  *pen
	err error
	// parents are indexes whose rows depend on an image that was written.
	parents map[string]bool
	// forgotten is that of the catalog.
	forgotten *atomic.Int64
}

// write runs fn in a transaction.
func (c *Catalog) write(ctx context.Context, fn func(*writer) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.using.RLock()
	defer c.using.RUnlock()
	if err := c.pen.begin(ctx); err != nil {
		return failure("writing the catalog", err)
	}
	w := &writer{ctx: ctx, in: c.pen, parents: map[string]bool{}, forgotten: &c.forgotten}
	err := fn(w)
	for parent := range w.parents {
		w.index(parent)
	}
	if err = errors.Join(err, w.err); err == nil {
		err = c.pen.exec(ctx, "COMMIT")
	}
	if err != nil {
		return failure("writing the catalog", errors.Join(err, c.pen.rollback(ctx)))
	}
	return nil
}

// position notes how far the feed is applied, and by which change it is known.
func (w *writer) position(seq, mark int64) {
	w.exec("INSERT OR REPLACE INTO meta (name, value) VALUES ('seq', ?), ('mark', ?)", seq, mark)
}

func (w *writer) exec(query string, args ...any) {
	if w.err == nil {
		w.err = w.in.exec(w.ctx, query, args...)
	}
}

// each calls row for each row of a query.
func (w *writer) each(row func(*sql.Rows) error, query string, args ...any) {
	if w.err == nil {
		w.err = w.in.each(w.ctx, row, query, args...)
	}
}

// number is the one number of a query's one row, 0 when there is none.
func (w *writer) number(query string, args ...any) (n int64) {
	w.each(func(row *sql.Rows) error { return row.Scan(&n) }, query, args...)
	return n
}

// name makes a name known to searches by a part of it.
func (w *writer) name(name string) { w.exec("INSERT OR IGNORE INTO names (name) VALUES (?)", name) }

// unname forgets a name that nothing has any more.
func (w *writer) unname(name string) {
	const unused = ` FROM names WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM images WHERE digest = ?1)
		AND NOT EXISTS (SELECT 1 FROM locations WHERE repository = ?1) AND NOT EXISTS (SELECT 1 FROM tags WHERE tag = ?1)`
	w.exec("INSERT INTO names_parts (names_parts, rowid, name) SELECT 'delete', id, name"+unused, name)
	w.exec("DELETE"+unused, name)
}

func (w *writer) job(j gate.Job) {
	body, err := json.Marshal(j)
	if err != nil {
		w.err = errors.Join(w.err, err)
		return
	}
	w.exec(`INSERT OR REPLACE INTO jobs (id, kind, state, digest, registry, repository, updated_at, body) VALUES (?,?,?,?,?,?,?,?)`,
		j.ID, j.Kind, j.State, j.Digest, j.Location.Registry, j.Location.Repository, micros(j.UpdatedAt), string(body))
}

// noJob drops a job that the store has removed.
func (w *writer) noJob(id string) { w.exec("DELETE FROM jobs WHERE id = ?", id) }

func (w *writer) tag(k gate.TagKey, m gate.TagMapping) {
	if m.Digest == "" || m.Gone {
		w.exec("DELETE FROM tags WHERE registry = ? AND repository = ? AND tag = ?", k.Registry, k.Repository, k.Tag)
		w.unname(k.Tag)
		return
	}
	w.name(k.Tag)
	w.exec("INSERT OR REPLACE INTO tags (registry, repository, tag, digest, subject) VALUES (?,?,?,?,?)", k.Registry, k.Repository, k.Tag, m.Digest, gate.TagSubject(k.Tag))
}

func (w *writer) image(d gate.Digest, e gate.Entry) {
	r := e.Record
	if !r.Known() {
		w.unknown(d)
		return
	}
	w.exec("DELETE FROM locations WHERE digest = ?", d)
	w.exec("DELETE FROM children WHERE parent = ?", d)
	w.exec("DELETE FROM attestations WHERE parent = ?", d)
	decision, seenAt := gate.OutcomeAllow, time.Time{}
	if len(r.Locations) == 0 {
		decision = gate.OutcomeNone
	}
	for _, l := range r.Locations {
		w.name(l.Repository)
		w.exec("INSERT INTO locations (digest, registry, repository, gone) VALUES (?,?,?,?)", d, l.Registry, l.Repository, l.Gone)
		verdict := l.Verdict.Outcome
		if verdict == "" {
			verdict = gate.OutcomeNone
		}
		if verdict.Worse(decision) {
			decision = verdict
		}
		if l.SeenAt.After(seenAt) {
			seenAt = l.SeenAt
		}
	}
	w.name(string(d))
	w.exec(`INSERT OR REPLACE INTO images (digest, kind, platform, state, decision, has_inventory, generation,
		critical, high, medium, low, unknown, size, analyzed_at, seen_at, accessory, subject, inventory, findings) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		d, r.Manifest.Kind, r.Manifest.Platform.String(), w.stateWith(d, e.State()), decision, r.InventoryID != "", r.Generation,
		r.Counts.Critical, r.Counts.High, r.Counts.Medium, r.Counts.Low, r.Counts.Unknown, r.Manifest.Size,
		micros(r.AnalyzedAt), micros(seenAt), r.Manifest.Accessory(), r.Manifest.Subject, rawID(r.InventoryID), rawID(currentFindings(r)))
	if r.Manifest.Kind == gate.KindIndex {
		for _, c := range r.Manifest.Children {
			if c.Judged && r.Manifest.Unassessable == "" {
				w.exec("INSERT OR IGNORE INTO children (parent, child) VALUES (?,?)", d, c.Digest)
			}
		}
		for _, a := range r.Manifest.Attestations {
			w.exec("INSERT OR IGNORE INTO attestations (parent, digest, subject) VALUES (?,?,?)", d, a.Digest, a.Subject)
		}
		w.parents[string(d)] = true
		return
	}
	w.collectParents(d)
}

// unknown writes an image of which nothing is recorded, or nothing any more.
func (w *writer) unknown(d gate.Digest) {
	var repositories []string
	w.each(func(row *sql.Rows) error {
		repository, err := column[string](row)
		repositories = append(repositories, repository)
		return err
	}, "SELECT DISTINCT repository FROM locations WHERE digest = ?", d)
	w.exec("DELETE FROM locations WHERE digest = ?", d)
	w.exec("DELETE FROM children WHERE parent = ?", d)
	w.exec("DELETE FROM attestations WHERE parent = ?", d)
	w.exec("DELETE FROM images WHERE digest = ?", d)
	w.unrecorded(d)
	w.collectParents(d)
	for _, name := range append(repositories, string(d)) {
		w.unname(name)
	}
}

// collectParents notes the indexes that an image belongs to.
func (w *writer) collectParents(d gate.Digest) {
	w.each(func(row *sql.Rows) error {
		var parent string
		err := row.Scan(&parent)
		w.parents[parent] = true
		return err
	}, "SELECT parent FROM children WHERE child = ?", d)
}

// index computes the row of an index from those of its judged children.
func (w *writer) index(parent string) {
	var states []gate.State
	var sum gate.Counts
	var analyzed int64
	decision := gate.OutcomeAllow
	w.each(func(row *sql.Rows) error {
		var state gate.State
		var d gate.Outcome
		var c gate.Counts
		var at int64
		if err := row.Scan(&state, &d, &c.Critical, &c.High, &c.Medium, &c.Low, &c.Unknown, &at); err != nil {
			return err
		}
		states = append(states, state)
		if d.Worse(decision) {
			decision = d
		}
		sum = sum.Plus(c)
		analyzed = max(analyzed, at)
		return nil
	}, `SELECT coalesce(i.state, 'not_scanned'), coalesce(i.decision, 'none'),
		coalesce(i.critical,0), coalesce(i.high,0), coalesce(i.medium,0), coalesce(i.low,0), coalesce(i.unknown,0), coalesce(i.analyzed_at,0)
		FROM children c LEFT JOIN images i ON i.digest = c.child WHERE c.parent = ?`, parent)
	if w.err != nil {
		return
	}
	if len(states) == 0 {
		decision = gate.OutcomeNone
	}
	w.exec(`UPDATE images SET state = ?, decision = ?, critical = ?, high = ?, medium = ?, low = ?, unknown = ?, analyzed_at = ? WHERE digest = ?`,
		w.stateWith(gate.Digest(parent), gate.CombineStates(states)), decision, sum.Critical, sum.High, sum.Medium, sum.Low, sum.Unknown, analyzed, parent)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
