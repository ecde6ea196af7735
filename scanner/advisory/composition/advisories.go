package composition

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/scanner/advisory/statement"
)

// contributor is a source whose rows of a bucket count.
type contributor struct {
	*source
	record Record
	bucket *bolt.Bucket
}

// advisories writes a root bucket of advisories with the rows of all sources that have
// it, and notes the record of its data source.
func (c *composer) advisories(ctx context.Context, name string, have []*source, records map[string][]byte) error {
	from := c.contributors(name, have)
	if len(from) == 0 {
		return nil // a source before them replaces the ecosystem without this bucket
	}
	for _, f := range from {
		f.tally.Buckets = append(f.tally.Buckets, name)
	}
	united := len(from) > 1 && !entryForm([]byte(name))
	value, err := from[0].record.encode(united)
	if err != nil {
		return err
	}
	records[name] = value
	if err := c.out.open([]byte(name)); err != nil {
		return err
	}
	cursors, at := make([]*bolt.Cursor, len(from)), make([][]byte, len(from))
	for i, f := range from {
		cursors[i] = f.bucket.Cursor()
		at[i], _ = cursors[i].First()
	}
	for pkg := smallest(at); pkg != nil; pkg = smallest(at) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.pack(name, pkg, from, united); err != nil {
			return fmt.Errorf("package %q: %w", pkg, err)
		}
		key := bytes.Clone(pkg)
		for i := range at {
			if bytes.Equal(at[i], key) {
				at[i], _ = cursors[i].Next()
			}
		}
	}
	return nil
}

// contributors are the sources of a bucket that count, the first that decides first.
func (c *composer) contributors(name string, have []*source) (from []contributor) {
	for _, s := range have {
		b := s.tx.Bucket([]byte(name))
		if c.replacer(name, s.rank) != nil {
			s.tally.Replaced += rowsOf(b)
			continue
		}
		r := RecordOf(s.tx, []byte(name)).named(s.Name)
		if len(from) > 0 && !from[0].record.SameRules(r) {
			s.tally.Unused = append(s.tally.Unused, name)
			continue
		}
		from = append(from, contributor{s, r, b})
	}
	return from
}

// owned is a row with the contributor that it is from.
type owned struct {
	row
	of int
}

// pack writes the rows of one package.
func (c *composer) pack(name string, pkg []byte, from []contributor, united bool) error {
	rows, err := c.gather(name, pkg, from)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil // all of them are decided elsewhere
	}
	out := make([]row, len(rows))
	for i, r := range rows {
		f := from[r.of]
		f.tally.Rows++
		out[i] = r.row
		switch {
		case united:
			out[i].value, err = attributed(r.value, f.record)
		case r.of > 0:
			out[i].value, err = marked(r.value, f.Name)
		}
		if err != nil {
			return fmt.Errorf("%s of source %q: %w", r.key, f.Name, err)
		}
	}
	return c.out.pack(pkg, out)
}

// gather merges the rows of a package, each from the first contributor that has it,
// unless a source before that one decides it in another bucket of the ecosystem.
func (c *composer) gather(name string, pkg []byte, from []contributor) ([]owned, error) {
	lists := make([][]row, len(from))
	for i, f := range from {
		b := f.bucket.Bucket(pkg)
		if b == nil {
			continue
		}
		var err error
		if lists[i], err = rowsIn(b); err != nil {
			return nil, err
		}
	}
	var rows []owned
	at := make([][]byte, len(from))
	for {
		for i, l := range lists {
			if at[i] = nil; len(l) > 0 {
				at[i] = l[0].key
			}
		}
		id := smallest(at)
		if id == nil {
			return rows, nil
		}
		var decided *owned
		for i := range lists {
			if !bytes.Equal(at[i], id) {
				continue
			}
			r := lists[i][0]
			lists[i] = lists[i][1:]
			if decided != nil {
				both, added, err := statement.Unite(decided.value, r.value)
				switch {
				case err != nil:
					return nil, fmt.Errorf("%s of sources %q and %q: %w", r.key, from[decided.of].Name, from[i].Name, err)
				case added:
					decided.value = both
					from[i].tally.Rows++
				default:
					c.decide(name, pkg, decided.row, r, from[decided.of].source, from[i].source)
				}
				continue
			}
			if by, other := c.elsewhere(name, pkg, id, from[i].rank); by != nil {
				c.decide(name, pkg, row{id, other}, r, by, from[i].source)
				continue
			}
			decided = &owned{r, i}
		}
		if decided != nil {
			rows = append(rows, *decided)
		}
	}
}

// decide counts a row that another one stands for.
func (c *composer) decide(name string, pkg []byte, winner, loser row, by, of *source) {
	if c.equal(winner.value, loser.value) {
		of.tally.Alike++
		return
	}
	of.tally.Overruled++
	if len(c.report.Disagreements) < maxDisagreements {
		c.report.Disagreements = append(c.report.Disagreements, Disagreement{
			Bucket: name, Package: string(pkg), ID: string(loser.key), Decided: by.Name, Overruled: of.Name,
		})
	}
}

// elsewhere finds the row of a vulnerability in a package that a source before a rank has
// in any bucket of a language's ecosystem, this one left out: the detectors read all of
// them, and of two rows with one identifier they take the one in the last bucket.
func (c *composer) elsewhere(name string, pkg, id []byte, rank int) (by *source, value []byte) {
	eco, _, ok := strings.Cut(name, "::")
	if !ok {
		return nil, nil
	}
	for _, s := range c.sources[:rank] {
		for _, other := range s.ecosystem(eco) {
			if other == name || c.replacer(other, s.rank) != nil {
				continue
			}
			b := s.tx.Bucket([]byte(other)).Bucket(pkg)
			if b == nil {
				continue
			}
			if v := b.Get(id); v != nil {
				return s, v
			}
		}
	}
	return nil, nil
}

// ecosystem are the buckets of a language.
func (s *source) ecosystem(eco string) []string {
	if s.languages == nil {
		s.languages = map[string][]string{}
		for _, name := range s.roots {
			if eco, _, ok := strings.Cut(name, "::"); ok {
				s.languages[eco] = append(s.languages[eco], name)
			}
		}
	}
	return s.languages[eco]
}
