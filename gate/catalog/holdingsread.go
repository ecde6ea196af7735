package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Untouched calls fn for every image whose present findings are known here, and says
// whether something of it is touched. Images that are missing are unknown: they have
// no findings, or these are not read yet. Errors: gate.ErrResource, gate.ErrTimeout,
// that of fn.
func (h *Holdings) Untouched(ctx context.Context, touched gate.Touched, fn func(gate.Holding) error) error {
	// One snapshot: a set that is written meanwhile must not count as untouched.
	tx, err := h.c.db().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return failure("reading what images hold", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	terms, err := termsTouched(ctx, tx, touched)
	if err != nil {
		return err
	}
	sets := map[int64]bool{} // that are untouched
	err = eachSet(ctx, tx, 0, math.MaxInt64, func(id int64, packed []byte) error {
		hit := false
		err := unpack(packed, func(term int64) bool {
			hit = terms.hit(term)
			return !hit
		})
		if !hit {
			sets[id] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	return eachHolding(ctx, tx, terms, sets, fn)
}

// touchedTerms are the numbers of the terms that are touched, and of the classes.
type touchedTerms struct {
	ids      []bool // by number
	classes  map[int64]bool
	contents map[int64]gate.Digest // of generations
}

// hit reports whether a term is touched.
func (t touchedTerms) hit(term int64) bool {
	return term >= 0 && term < int64(len(t.ids)) && t.ids[term]
}

func (t *touchedTerms) touch(term int64) {
	if more := int(term) + 1 - len(t.ids); more > 0 {
		t.ids = append(t.ids, make([]bool, more)...)
	}
	t.ids[term] = true
}

// termsTouched goes through all terms once, because there may be more changed packages
// and vulnerabilities than terms.
func termsTouched(ctx context.Context, q querier, touched gate.Touched) (touchedTerms, error) {
	want := make(map[string]bool, len(touched.Packages)+len(touched.Vulnerabilities))
	for _, p := range touched.Packages {
		want["package\x00"+p] = true
	}
	for _, v := range touched.Vulnerabilities {
		want["vulnerability\x00"+v] = true
	}
	t := touchedTerms{nil, map[int64]bool{}, map[int64]gate.Digest{}}
	rows, err := q.QueryContext(ctx, "SELECT id, term FROM terms")
	if err != nil {
		return t, failure("reading what images hold", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var term string
		if err := rows.Scan(&id, &term); err != nil {
			return t, failure("reading what images hold", err)
		}
		kind, text, _ := strings.Cut(term, "\x00")
		switch {
		case kind == "content":
			t.contents[id] = gate.Digest(text)
		case kind == "class":
			t.classes[id] = touched.Class != nil && touched.Class(text)
		case want[term], kind == "package" && touched.Package != nil && touched.Package(text):
			t.touch(id)
		}
	}
	if err := rows.Err(); err != nil {
		return t, failure("reading what images hold", err)
	}
	return t, nil
}

func eachHolding(ctx context.Context, q querier, terms touchedTerms, untouched map[int64]bool, fn func(gate.Holding) error) error {
	// What the catalog does not show any more as the present values is left out.
	rows, err := q.QueryContext(ctx, `SELECT h.digest, h.findings, h.generation, h.advisories, h.class, h.packages, h.libraries, h.vulnerabilities
		FROM held h JOIN images i ON i.digest = h.digest AND i.inventory = h.inventory AND i.findings = h.findings`)
	if err != nil {
		return failure("reading what images hold", err)
	}
	defer rows.Close()
	for rows.Next() {
		var one gate.Holding
		var findings []byte
		var advisories, class, packages, libraries, vulnerabilities int64
		err := rows.Scan(&one.Digest, &findings, &one.Generation, &advisories, &class, &packages, &libraries, &vulnerabilities)
		if err != nil {
			return failure("reading what images hold", err)
		}
		if copy(one.Findings[:], findings) != len(one.Findings) {
			continue
		}
		one.Advisories = terms.contents[advisories]
		touched, known := terms.classes[class]
		one.Touched = touched || !known || !untouched[packages] || !untouched[libraries] || !untouched[vulnerabilities]
		if err := fn(one); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return failure("reading what images hold", err)
	}
	return nil
}

// WithPackage lists the digests that hold a package, by its key in [gate.Lookups],
// sorted. It knows what the catalog shows and has read.
func (h *Holdings) WithPackage(ctx context.Context, key string) ([]gate.Digest, error) {
	return h.with(ctx, "package", key, "packages", "libraries")
}

// WithVulnerability lists the digests that have a vulnerability, sorted. It knows what
// the catalog shows and has read.
func (h *Holdings) WithVulnerability(ctx context.Context, id string) ([]gate.Digest, error) {
	return h.with(ctx, "vulnerability", id, "vulnerabilities")
}

func (h *Holdings) with(ctx context.Context, kind, text string, in ...string) ([]gate.Digest, error) {
	sets, err := h.setsWith(ctx, kind+"\x00"+text)
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	list, err := json.Marshal(sets)
	if err != nil {
		return nil, failure("reading what images hold", err)
	}
	var queries []string
	var args []any
	for _, name := range in {
		queries = append(queries, "SELECT h.digest FROM json_each(?) s JOIN held h ON h."+name+" = s.value JOIN images i ON i.digest = h.digest AND i.inventory = h.inventory AND i.findings = h.findings")
		args = append(args, string(list))
	}
	return all(ctx, h.c, "reading what images hold", column[gate.Digest], strings.Join(queries, " UNION ")+" ORDER BY 1", args...)
}

// setsWith are the sets with a term.
func (h *Holdings) setsWith(ctx context.Context, term string) (sets []int64, err error) {
	ids, err := all(ctx, h.c, "reading what images hold", column[int64], "SELECT id FROM terms WHERE term = ?", term)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	segments, err := all(ctx, h.c, "reading what images hold", column[[]byte], "SELECT sets FROM postings WHERE term = ? ORDER BY segment", ids[0])
	if err != nil {
		return nil, err
	}
	for _, packed := range segments {
		if err := unpack(packed, func(id int64) bool { sets = append(sets, id); return true }); err != nil {
			return nil, err
		}
	}
	var last int64
	if err := h.c.db().QueryRowContext(ctx, "SELECT coalesce(max(segment), 0) FROM segments").Scan(&last); err != nil {
		return nil, failure("reading what images hold", err)
	}
	err = eachSet(ctx, h.c.db(), last, math.MaxInt64, func(id int64, packed []byte) error {
		return unpack(packed, func(t int64) bool {
			if t == ids[0] {
				sets = append(sets, id)
			}
			return t < ids[0]
		})
	})
	return sets, err
}
