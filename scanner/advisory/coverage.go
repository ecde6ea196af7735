package advisory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/coverage"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// LeftOut is what could not be understood in one file, or only by taking it for more than it
// says.
type LeftOut struct {
	File, Bucket string // Bucket is "" where the release is not known
	Count        int
	First        string // the first, with its place and why
}

// heard notes that a source of a format spoke of the bucket.
func (b *bucketData) heard(kind string, at time.Time) {
	if b.kinds == nil {
		b.kinds = map[string]bool{}
	}
	b.kinds[kind] = true
	if at.After(b.newest) {
		b.newest = at
	}
}

// coverage is what the sources of one bucket tell.
func (b *bucketData) coverage(name string) coverage.Record {
	r := coverage.Record{Bucket: name, Sources: slices.Sorted(maps.Keys(b.kinds)), Newest: b.newest, Unfixed: b.unfixed, Gaps: b.gaps}
	for _, advs := range b.packages {
		r.Rows += len(advs)
	}
	return r
}

// maxReasons bounds how many different reasons are counted apart.
const maxReasons = 100

// skip counts what is left out on purpose.
func (c *collection) skip(text string, args ...any) {
	reason := gate.Printable(fmt.Sprintf(text, args...), 200)
	if _, ok := c.skipped[reason]; !ok && len(c.skipped) >= maxReasons {
		reason = "statements that are left out for other reasons"
	}
	c.skipped[reason]++
}

// gap counts what could not be understood.
func (c *collection) gap(file, bucket string, g format.Gap) {
	key := file + "\x00" + bucket
	l := c.leftOut[key]
	if l == nil {
		if len(c.leftOut) >= maxReasons {
			c.skipped["statements that could not be understood, in more files"]++
			return
		}
		var first []string
		for _, s := range []string{g.What, g.Of, g.At} {
			if s != "" {
				first = append(first, s)
			}
		}
		l = &LeftOut{File: file, Bucket: bucket, First: gate.Printable(strings.Join(first, ", ")+": "+g.Why, 300)}
		c.leftOut[key] = l
	}
	l.Count++
}

// allLeftOut is sorted by file and bucket.
func (c *collection) allLeftOut() []LeftOut {
	var out []LeftOut
	for _, key := range slices.Sorted(maps.Keys(c.leftOut)) {
		out = append(out, *c.leftOut[key])
	}
	return out
}
