package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// segmentSets is how many sets make a segment: looking through as many takes 1 ms, and
// a set of 300 terms makes 300 rows if it is a segment alone.
const segmentSets = 1024

// write stores what was read of the page of stale images that ends with the number
// last. What was not read is unknown until its record changes; what was written
// meanwhile has a later number and is read again.
func (h *Holdings) write(ctx context.Context, last int64, read []holding) error {
	k := keeper{terms: map[string]int64{}}
	err := h.c.write(ctx, func(w *writer) error {
		k.writer, k.known = w, h.terms.in(h.c)
		for _, one := range read {
			k.put(one)
		}
		w.exec("DELETE FROM stale WHERE id <= ?", last)
		return w.err
	})
	if err == nil {
		h.terms.add(k.terms)
	}
	return err
}

// keeper writes the rows of holdings in one transaction.
type keeper struct {
	*writer
	terms map[string]int64 // that were looked up in this transaction
	known map[string]int64 // before; not changed
}

func (k *keeper) put(one holding) {
	l := one.lookups
	if one.same {
		k.exec("UPDATE held SET findings = ?, generation = ?, advisories = ?, class = ?, vulnerabilities = ? WHERE digest = ? AND inventory = ?",
			one.findings, one.generation, k.term("content", string(one.advisories)), k.term("class", l.Class), k.set("vulnerability", l.Vulnerabilities),
			one.digest, one.inventory)
		return
	}
	args := []any{
		one.digest, one.inventory, one.findings, one.generation, k.term("content", string(one.advisories)), k.term("class", l.Class),
		k.set("package", l.Packages), k.set("package", l.Libraries), k.set("vulnerability", l.Vulnerabilities),
	}
	k.exec(`INSERT INTO held (digest, inventory, findings, generation, advisories, class, packages, libraries, vulnerabilities)
		VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT (digest) DO UPDATE SET inventory = ?2, findings = ?3, generation = ?4,
		advisories = ?5, class = ?6, packages = ?7, libraries = ?8, vulnerabilities = ?9`, args...)
}

// term is the number of a text, a new one if it has none.
func (k *keeper) term(kind, text string) (id int64) {
	text = kind + "\x00" + text
	if id, ok := k.known[text]; ok {
		return id
	}
	if id, ok := k.terms[text]; ok || k.err != nil {
		return id
	}
	if id = k.number("SELECT id FROM terms WHERE term = ?", text); id == 0 {
		id = k.number("INSERT INTO terms (term) VALUES (?) RETURNING id", text)
	}
	k.terms[text] = id
	return id
}

// set is the number of a set of terms, a new one if it has none.
func (k *keeper) set(kind string, texts []string) (id int64) {
	ids := make([]int64, 0, len(texts))
	for _, text := range texts {
		ids = append(ids, k.term(kind, text))
	}
	if k.err != nil {
		return 0
	}
	slices.Sort(ids)
	packed := pack(ids)
	sum := sha256.Sum256(packed)
	if id = k.number("SELECT id FROM sets WHERE sum = ?", sum[:]); id == 0 {
		// Numbers only grow: those of sets that are gone are not used again, and
		// the sets after the last segment are the new ones.
		id = k.number(`INSERT INTO sets (id, sum, terms) VALUES
			(1 + max((SELECT coalesce(max(id), 0) FROM sets), (SELECT coalesce(max(segment), 0) FROM segments)), ?, ?) RETURNING id`, sum[:], packed)
	}
	return id
}

// pack writes sorted numbers as distances.
func pack(ids []int64) []byte {
	packed := make([]byte, 0, 2*len(ids))
	last := int64(0)
	for _, id := range ids {
		packed = binary.AppendUvarint(packed, uint64(id-last))
		last = id
	}
	return packed
}

// unpack calls each for every number until it reports false.
func unpack(packed []byte, each func(int64) bool) error {
	for id := int64(0); len(packed) > 0; {
		step, n := binary.Uvarint(packed)
		if n <= 0 {
			return fmt.Errorf("a set is damaged: %w", gate.ErrResource)
		}
		packed = packed[n:]
		if id += int64(step); !each(id) {
			return nil
		}
	}
	return nil
}

// segment writes the postings of the sets after the last segment when there are enough
// of them.
func (h *Holdings) segment(ctx context.Context) error {
	var last, sets int64
	err := h.c.db().QueryRowContext(ctx, "SELECT coalesce(max(segment), 0) FROM segments").Scan(&last)
	if err == nil {
		err = h.c.db().QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM sets WHERE id > ? LIMIT ?)", last, h.segmentSets).Scan(&sets)
	}
	if err != nil {
		return failure("reading the segments of the catalog", err)
	}
	if sets < int64(h.segmentSets) {
		return nil
	}
	postings, end := map[int64][]int64{}, last
	if err := eachSet(ctx, h.c.db(), last, h.segmentSets, func(id int64, packed []byte) error {
		end = id
		return unpack(packed, func(term int64) bool {
			postings[term] = append(postings[term], id)
			return true
		})
	}); err != nil {
		return err
	}
	return h.c.write(ctx, func(w *writer) error {
		w.exec("INSERT INTO segments (segment) VALUES (?)", end)
		for term, ids := range postings {
			w.exec("INSERT OR REPLACE INTO postings (term, segment, sets) VALUES (?,?,?)", term, end, pack(ids))
		}
		return w.err
	})
}

// querier is the database or a snapshot of it.
type querier interface {
	// QueryContext returns rows. Its errors are those of SQLite; see failure.
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// QueryRowContext returns one row; its errors come with the row.
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// eachSet calls fn for the sets after one, in order, at most limit.
func eachSet(ctx context.Context, q querier, after int64, limit int, fn func(id int64, packed []byte) error) error {
	rows, err := q.QueryContext(ctx, "SELECT id, terms FROM sets WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	if err != nil {
		return failure("reading what images hold", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var packed sql.RawBytes
		if err = rows.Scan(&id, &packed); err == nil {
			err = fn(id, packed)
		}
		if err != nil {
			return failure("reading what images hold", err)
		}
	}
	if err := rows.Err(); err != nil {
		return failure("reading what images hold", err)
	}
	return nil
}

// tidyEvery is how often it is looked for what no image holds any more, when there is
// nothing to read.
const tidyEvery = time.Hour

// tidy looks for what can be removed, now and then.
func (h *Holdings) tidy(ctx context.Context) error {
	now := time.Now()
	if now.Sub(h.tidied) < tidyEvery {
		return nil
	}
	h.tidied = now
	return h.removeUnused(ctx)
}

// removeUnused removes images that the catalog does not show any more, and the sets that
// no image has when they are more than the others. Segments are then written again.
func (h *Holdings) removeUnused(ctx context.Context) error {
	const unused = "FROM sets WHERE id NOT IN (SELECT packages FROM held UNION SELECT libraries FROM held UNION SELECT vulnerabilities FROM held)"
	const gone = "FROM held WHERE digest NOT IN (SELECT digest FROM images)"
	var loose, sets, lost int
	err := h.c.db().QueryRowContext(ctx, "SELECT (SELECT count(*) "+unused+"), (SELECT count(*) FROM sets), (SELECT count(*) "+gone+")").Scan(&loose, &sets, &lost)
	if err != nil {
		return failure("counting what no image holds", err)
	}
	many := 2*loose > sets && loose >= h.segmentSets
	if lost == 0 && !many {
		return nil
	}
	return h.c.write(ctx, func(w *writer) error {
		w.exec("DELETE " + gone)
		if many {
			w.exec("DELETE FROM postings")
			w.exec("DELETE FROM segments")
			w.exec("DELETE " + unused)
		}
		return w.err
	})
}
