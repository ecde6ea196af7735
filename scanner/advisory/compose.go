package advisory

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
)

// compose gives the refused buckets of a new database the rows that a former generation
// has of them, and says in the manifest of which source and time these are. The files of
// next are changed; they belong to the caller. Errors: gate.ErrInvalid, gate.ErrResource,
// gate.ErrTimeout.
func compose(ctx context.Context, next, former *Database, refused []BucketFinding) (*Database, error) {
	m := Manifest{Composer: composerVersion, Sources: slices.Clone(next.Manifest.Sources)}
	for _, b := range refused {
		h := former.Manifest.holding(b.Bucket)
		h.Reason = gate.Printable(b.Reason, 300)
		m.Held = append(m.Held, h)
		if !slices.ContainsFunc(m.Sources, func(s Source) bool { return s.Digest == h.Of }) {
			m.Sources = append(m.Sources, Source{Kind: KindTrivyDB, Digest: h.Of, Priority: len(m.Sources), UpdatedAt: h.UpdatedAt})
		}
	}
	copied := slices.Clone(m.Held)
	for _, h := range next.Manifest.Held { // what its source says of its own rows
		if !slices.ContainsFunc(copied, func(c Held) bool { return c.Bucket == h.Bucket }) {
			m.Held = append(m.Held, h)
		}
	}
	err := guarded(func() error { return holdBuckets(ctx, next.Dir, former.Dir, copied) })
	if err != nil {
		return nil, resourceError("composing advisory data", err)
	}
	db, err := Inspect(ctx, next.Dir, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("reading back what was composed: %w", err)
	}
	m.Database, m.Bytes = db.Content, db.Summary.Bytes
	db.Manifest, db.Content = m, m.Digest()
	return db, nil
}

// holding says of which source and time the rows of a bucket are in a generation.
func (m Manifest) holding(bucket string) Held {
	for _, h := range m.Held {
		if h.Bucket == bucket {
			return h
		}
	}
	return Held{Bucket: bucket, Of: m.Sources[0].Digest, UpdatedAt: m.Sources[0].UpdatedAt}
}

// holdBuckets copies buckets from the database in from into the one in to.
func holdBuckets(ctx context.Context, to, from string, held []Held) error {
	src, err := openReadOnly(filepath.Join(from, databaseFile))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := bolt.Open(filepath.Join(to, databaseFile), 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer dst.Close()
	err = src.View(func(former *bolt.Tx) error {
		for _, h := range held {
			if err := holdBucket(ctx, dst, former, h.Bucket); err != nil {
				return fmt.Errorf("bucket %q: %w", h.Bucket, err)
			}
		}
		return nil
	})
	if err == nil {
		err = dst.Sync()
	}
	if err != nil {
		return err
	}
	return dst.Close()
}

// copiedAtOnce is how many packages are copied in one transaction, which is in memory.
const copiedAtOnce = 1000

func holdBucket(ctx context.Context, dst *bolt.DB, former *bolt.Tx, name string) error {
	err := dst.Update(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte(name)) != nil {
			if err := tx.DeleteBucket([]byte(name)); err != nil {
				return err
			}
		}
		_, err := tx.CreateBucket([]byte(name))
		return err
	})
	old := former.Bucket([]byte(name))
	if err != nil || old == nil {
		return err
	}
	c := old.Cursor()
	for k, v := c.First(); k != nil; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", gate.ErrTimeout, err)
		}
		err := dst.Update(func(tx *bolt.Tx) error {
			into := tx.Bucket([]byte(name))
			for n := 0; k != nil && n < copiedAtOnce; n++ {
				if err := copyEntry(tx, former, into, old, k, v); err != nil {
					return err
				}
				k, v = c.Next()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return dst.Update(func(tx *bolt.Tx) error { return copyKey(tx, former, sourceBucket, []byte(name)) })
}

// copyEntry copies a value, or a bucket with all that is nested in it, and the details of
// vulnerabilities that only the former data has.
func copyEntry(tx, former *bolt.Tx, into, from *bolt.Bucket, k, v []byte) error {
	if v != nil {
		if err := copyKey(tx, former, detailBucket, k); err != nil {
			return err
		}
		return into.Put(k, v)
	}
	nested, err := into.CreateBucketIfNotExists(k)
	if err != nil {
		return err
	}
	inner := from.Bucket(k)
	return inner.ForEach(func(k, v []byte) error { return copyEntry(tx, former, nested, inner, k, v) })
}

// copyKey copies one value of a root bucket that the newer data does not have.
func copyKey(tx, former *bolt.Tx, bucket string, key []byte) error {
	from := former.Bucket([]byte(bucket))
	if from == nil || len(key) == 0 {
		return nil
	}
	value := from.Get(key)
	if value == nil {
		return nil
	}
	into, err := tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil || into.Get(key) != nil {
		return err
	}
	return into.Put(key, value)
}
