package composition

import (
	"bytes"
	"context"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/scanner/advisory/coverage"
)

// coverage writes what the sources say about buckets, joined where several say something.
func (c *composer) coverage(ctx context.Context, have []*source) error {
	if err := c.out.open([]byte(coverage.RootBucket)); err != nil {
		return err
	}
	cursors, at, values := make([]*bolt.Cursor, len(have)), make([][]byte, len(have)), make([][]byte, len(have))
	for i, s := range have {
		cursors[i] = s.tx.Bucket([]byte(coverage.RootBucket)).Cursor()
		at[i], values[i] = cursors[i].First()
	}
	for key := smallest(at); key != nil; key = smallest(at) {
		if err := ctx.Err(); err != nil {
			return err
		}
		key = bytes.Clone(key)
		var joined coverage.Record
		for i := range at {
			if !bytes.Equal(at[i], key) {
				continue
			}
			r, err := coverage.Decode(key, values[i])
			if err != nil {
				return err
			}
			joined = coverage.Join(joined, r)
			at[i], values[i] = cursors[i].Next()
		}
		value, err := joined.Encode()
		if err != nil {
			return err
		}
		if err := c.out.value(key, value); err != nil {
			return err
		}
	}
	return nil
}
