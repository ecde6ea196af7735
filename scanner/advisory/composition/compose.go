package composition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/scanner/advisory/coverage"
)

// Version counts the rules of composing: other rules make another database of the same
// sources.
const Version = 2

// databaseFile is the file of a database in its directory.
const databaseFile = "trivy.db"

// Source is one of the databases that are put together.
type Source struct {
	// Name is its name in the configuration; it fits [NamePattern].
	Name string
	// Dir is the directory with its trivy.db, which no process writes to meanwhile.
	Dir string
	// Replaces are buckets ("debian 12") and ecosystems ("debian", "npm") in which no
	// source after this one counts.
	Replaces []string
}

// Report says what became of the rows of each source, in the order of the sources.
type Report struct {
	Sources []Tally
	// Disagreements are the first of the rows that were decided against.
	Disagreements []Disagreement
}

// Tally is what became of the rows of one source.
type Tally struct {
	Name string
	Rows int // in the composition, also joined to those of a source before it
	// Alike are rows that a source before it has as well, Overruled those that it has
	// otherwise, Replaced those in buckets that a source before it replaces.
	Alike, Overruled, Replaced int
	// Buckets are those that have rows of it, or that it names without any row.
	Buckets []string
	// Unused are the buckets that cannot be united with those of a source before it.
	Unused []string
}

// Disagreement is a row of one source that differs from that of the source that decided.
type Disagreement struct {
	Bucket, Package, ID string
	Decided, Overruled  string // names of sources
}

// maxDisagreements bounds what a report names; the tallies count all.
const maxDisagreements = 50

// source is a Source that is open.
type source struct {
	Source
	rank  int
	db    *bolt.DB
	tx    *bolt.Tx
	tally *Tally
	roots []string // root buckets, sorted
	// languages are the buckets of each language.
	languages map[string][]string
}

// composer is one composition under way.
type composer struct {
	sources []*source
	out     *writer
	report  *Report
	// equal compares two rows as a matcher sees them.
	equal func(a, b []byte) bool
}

// Compose writes the database that the sources make together as trivy.db into dir, where
// there is none. equal tells whether two rows say the same. The first source decides
// first. Its errors are those of bbolt and of the file system, and what is wrong with a
// row; the caller removes what was written then. A source that is damaged may panic or
// fault, as every reader of bbolt may.
func Compose(ctx context.Context, dir string, list []Source, equal func(a, b []byte) bool) (Report, error) {
	c := &composer{report: &Report{Sources: make([]Tally, len(list))}, equal: equal}
	defer c.close()
	for i, s := range list {
		if !NamePattern.MatchString(s.Name) || slices.ContainsFunc(list[:i], func(o Source) bool { return o.Name == s.Name }) {
			return Report{}, fmt.Errorf("the name of source %d, %q, is not a name or is there twice", i+1, s.Name)
		}
		c.report.Sources[i].Name = s.Name
		if err := c.open(s, i); err != nil {
			return Report{}, fmt.Errorf("opening source %q: %w", s.Name, err)
		}
	}
	var err error
	if c.out, err = newWriter(filepath.Join(dir, databaseFile)); err != nil {
		return Report{}, err
	}
	if err := c.compose(ctx); err != nil {
		c.out.abort()
		return Report{}, err
	}
	return *c.report, c.out.close()
}

func (c *composer) open(s Source, rank int) error {
	// Without ReadOnly a missing file would be created empty.
	db, err := bolt.Open(filepath.Join(s.Dir, databaseFile), 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	opened := &source{Source: s, rank: rank, db: db, tally: &c.report.Sources[rank]}
	c.sources = append(c.sources, opened)
	if opened.tx, err = db.Begin(false); err != nil {
		return err
	}
	return opened.tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		opened.roots = append(opened.roots, string(name))
		return nil
	})
}

func (c *composer) close() {
	for _, s := range c.sources {
		if s.tx != nil {
			_ = s.tx.Rollback()
		}
		_ = s.db.Close()
	}
}

func (c *composer) compose(ctx context.Context) error {
	var names []string
	for _, s := range c.sources {
		names = append(names, s.roots...)
	}
	slices.Sort(names)
	records := map[string][]byte{}
	for _, name := range slices.Compact(names) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.bucket(ctx, name, records); err != nil {
			return fmt.Errorf("bucket %q: %w", name, err)
		}
	}
	if err := c.out.open([]byte(sourceBucket)); err != nil {
		return err
	}
	for _, name := range sortedKeys(records) {
		if err := c.out.value([]byte(name), records[name]); err != nil {
			return err
		}
	}
	return nil
}

// bucket writes one root bucket.
func (c *composer) bucket(ctx context.Context, name string, records map[string][]byte) error {
	var have []*source
	for _, s := range c.sources {
		if _, ok := slices.BinarySearch(s.roots, name); ok {
			have = append(have, s)
		}
	}
	switch {
	case name == sourceBucket:
		return nil // written last, from the records
	case name == detailBucket:
		return c.details(ctx, have)
	case name == redHatCPEBucket:
		// The numbers in it are those of one source's rows.
		return c.copyRoot(ctx, name, have[:1])
	case name == redHatBucket:
		return c.advisories(ctx, name, c.alone(name, have), records)
	case name == coverage.RootBucket:
		return c.coverage(ctx, have)
	case !isPublished(name):
		return nil // of upstream's build, and read by no detector
	}
	return c.advisories(ctx, name, have, records)
}

// isPublished reports whether a root bucket is more than a trace of upstream's build.
func isPublished(name string) bool {
	switch name {
	case "advisory-detail", "vulnerability-detail", "vulnerability-id":
		return false
	}
	return true
}

// alone is the first of the sources: the others cannot be united with it.
func (c *composer) alone(name string, have []*source) []*source {
	for _, s := range have[1:] {
		if c.replacer(name, s.rank) != nil {
			s.tally.Replaced += rowsOf(s.tx.Bucket([]byte(name)))
			continue
		}
		s.tally.Unused = append(s.tally.Unused, name)
	}
	return have[:1]
}

// Ecosystem is a bucket's name without release or publisher: "debian", "npm".
func Ecosystem(bucket string) string {
	if eco, _, ok := strings.Cut(bucket, "::"); ok {
		return eco
	}
	if i := strings.LastIndexByte(bucket, ' '); i > 0 {
		if last := bucket[i+1:]; last == "edge" || last != "" && last[0] >= '0' && last[0] <= '9' {
			return bucket[:i]
		}
	}
	return bucket
}

// replacer is the first source before the one of a rank that replaces a bucket, nil for
// none.
func (c *composer) replacer(name string, rank int) *source {
	for _, s := range c.sources[:rank] {
		if slices.Contains(s.Replaces, name) || slices.Contains(s.Replaces, Ecosystem(name)) {
			return s
		}
	}
	return nil
}

// rowsOf counts the rows of a bucket's packages.
func rowsOf(b *bolt.Bucket) (n int) {
	_ = b.ForEachBucket(func(pkg []byte) error {
		return b.Bucket(pkg).ForEach(func(_, v []byte) error {
			if v != nil {
				n++
			}
			return nil
		})
	})
	return n
}

// copyRoot writes the root bucket of one source as it is.
func (c *composer) copyRoot(ctx context.Context, name string, have []*source) error {
	if err := c.out.open([]byte(name)); err != nil {
		return err
	}
	from := have[0].tx.Bucket([]byte(name))
	return from.ForEach(func(k, v []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if v != nil {
			return c.out.value(k, v)
		}
		rows, err := rowsIn(from.Bucket(k))
		if err != nil {
			return err
		}
		return c.out.pack(k, rows)
	})
}

var errNested = errors.New("there is a bucket where an advisory is wanted")

// rowsIn are the rows of a package. They stay where the source has them.
func rowsIn(b *bolt.Bucket) (rows []row, err error) {
	err = b.ForEach(func(k, v []byte) error {
		if v == nil {
			return fmt.Errorf("key %q: %w", k, errNested)
		}
		rows = append(rows, row{k, v})
		return nil
	})
	return rows, err
}

func sortedKeys(m map[string][]byte) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// smallest is the least of the keys that cursors stand at, nil when all are at their end.
func smallest(at [][]byte) []byte {
	var least []byte
	for _, k := range at {
		if k != nil && (least == nil || bytes.Compare(k, least) < 0) {
			least = k
		}
	}
	return least
}
