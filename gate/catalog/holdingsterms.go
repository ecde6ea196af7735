package catalog

import "maps"

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
