package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"

	"github.com/digestgate/digestgate/gate"
)

// terms remembers numbers of terms, so that not every page looks up the same ones. A
// number belongs to its term until all are forgotten. Used with stepping held.
type terms struct {
	numbers           map[string]int64
	opened, forgotten int64 // as the catalog counted them
}

// mostTerms bounds them to 10 MB: a registry of a hundred thousand images has some tens
// of thousands of vulnerabilities.
const mostTerms = 60_000

// in are the numbers that hold in a transaction, within which it is called: only there is
// nothing forgotten meanwhile.
func (t *terms) in(c *Catalog) map[string]int64 {
	if opened, forgotten := c.opened.Load(), c.forgotten.Load(); t.opened != opened || t.forgotten != forgotten {
		*t = terms{opened: opened, forgotten: forgotten}
	}
	return t.numbers
}

// add adds the numbers of a transaction that has been committed, of those that in has
// answered for. If all were forgotten since, in notices.
func (t *terms) add(numbers map[string]int64) {
	if t.numbers == nil || len(t.numbers)+len(numbers) > mostTerms {
		t.numbers = map[string]int64{}
	}
	maps.Copy(t.numbers, numbers)
}

// held is what was read of an image before.
type held struct {
	inventory []byte
	class     string
}

// classes are what was read before of the images of a page.
func (h *Holdings) classes(ctx context.Context, page []gate.Digest) (map[gate.Digest]held, error) {
	list, err := json.Marshal(page)
	if err != nil {
		return nil, failure("reading what images hold", err)
	}
	known := make(map[gate.Digest]held, len(page))
	_, err = all(ctx, h.c, "reading what images hold", func(rows *sql.Rows) (d gate.Digest, err error) {
		var one held
		if err = rows.Scan(&d, &one.inventory, &one.class); err == nil {
			one.class = one.class[min(len("class\x00"), len(one.class)):]
			known[d] = one
		}
		return d, err
	}, "SELECT h.digest, h.inventory, t.term FROM json_each(?) p JOIN held h ON h.digest = p.value JOIN terms t ON t.id = h.class", string(list))
	return known, err
}
