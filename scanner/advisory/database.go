package advisory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/coverage"
)

// Database is a checked directory with advisory data.
type Database struct {
	Dir string
	// Content is the digest of schema version, time of the data and trivy.db; of a
	// generation that is kept here, that of its manifest.
	Content   gate.Digest
	UpdatedAt time.Time
	Summary   Summary
	Manifest  Manifest
}

// Inspect reads a directory completely, checks it and says what it holds. It is meant
// for directories that no process writes to: a file that shrinks meanwhile is reported
// as corrupt. Errors wrap gate.ErrInvalid; a context that ends, gate.ErrTimeout.
func Inspect(ctx context.Context, dir string, now time.Time) (*Database, error) {
	meta, err := readMetadata(dir, now)
	if err != nil {
		return nil, err
	}
	sum, size, err := hashFile(ctx, filepath.Join(dir, databaseFile))
	if err != nil {
		return nil, err
	}
	db := &Database{Dir: dir, Content: contentDigest(meta, sum), UpdatedAt: meta.UpdatedAt}
	db.Summary, err = summarize(ctx, filepath.Join(dir, databaseFile), size)
	if err != nil {
		return nil, err
	}
	db.Manifest = single(db.Content, db.UpdatedAt, size)
	return db, nil
}

// contentDigest names the content: the bytes of the database and the metadata
// that matter. When it was downloaded does not.
func contentDigest(m metadata, database [sha256.Size]byte) gate.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "digestgate advisories\nschema %d\nupdated %s\ntrivy.db %x\n",
		m.Version, m.UpdatedAt.UTC().Format(time.RFC3339Nano), database)
	return gate.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

func hashFile(ctx context.Context, path string) (sum [sha256.Size]byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, 0, fmt.Errorf("reading advisory database: %w: %w", err, gate.ErrInvalid)
	}
	defer f.Close()
	h := sha256.New()
	size, err = copyContext(ctx, h, f)
	if err != nil {
		return sum, 0, fmt.Errorf("reading advisory database %q: %w", path, err)
	}
	return [sha256.Size]byte(h.Sum(nil)), size, nil
}

// copyContext is io.Copy that stops when ctx ends.
func copyContext(ctx context.Context, dst io.Writer, src io.Reader) (int64, error) {
	const step = 4 << 20 // copied between two looks at ctx: some milliseconds
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, fmt.Errorf("%w: %w", gate.ErrTimeout, err)
		}
		k, err := io.CopyN(dst, src, step)
		n += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// openReadOnly opens a bbolt file that nobody writes to.
func openReadOnly(path string) (*bolt.DB, error) {
	// Without ReadOnly a missing file would be created empty, and a second
	// reader would wait for the lock.
	return bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
}

// summarize walks every page of the database, so that a torn or truncated file
// is found now and not by the first image that has the package.
func summarize(ctx context.Context, path string, size int64) (s Summary, err error) {
	s.Bytes = size
	err = guarded(func() error {
		db, err := openReadOnly(path)
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bolt.Tx) error {
			if err := checkPages(path, db.Info().PageSize, tx, size); err != nil {
				return err
			}
			return s.walk(ctx, tx)
		})
	})
	if err != nil {
		return Summary{}, fmt.Errorf("checking advisory database %q: %w: %w", path, err, gate.ErrInvalid)
	}
	return s, nil
}

// checkPages checks the tree of pages that the transaction would walk.
func checkPages(path string, pageSize int, tx *bolt.Tx, size int64) error {
	if pageSize < 512 || pageSize > 1<<20 || tx.Size() > size {
		return fmt.Errorf("the file has %d bytes of %d", size, tx.Size())
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	pages := uint64(tx.Size()) / uint64(pageSize)
	w := &pageWalk{file: f, size: pageSize, pages: pages, seen: make([]bool, pages)}
	return w.page(uint64(tx.Cursor().Bucket().Root()), span{}, 0)
}

func (s *Summary) walk(ctx context.Context, tx *bolt.Tx) error {
	for _, name := range rootNames(tx) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", gate.ErrTimeout, err)
		}
		root := tx.Bucket([]byte(name))
		if !isAdvisoryBucket(name) {
			n, err := countValues(root, name == detailBucket)
			if err != nil {
				return fmt.Errorf("bucket %q: %w", name, err)
			}
			switch name {
			case detailBucket:
				s.Vulnerabilities = n
			case redHatCPEBucket:
				s.RedHatCPE = n
			case coverage.RootBucket:
				if s.Coverage, err = coverageOf(root); err != nil {
					return err
				}
			}
			continue
		}
		count := BucketCount{Name: name}
		err := root.ForEachBucket(func(pkg []byte) error {
			n, err := countValues(root.Bucket(pkg), true)
			if err != nil {
				return fmt.Errorf("package %q: %w", pkg, err)
			}
			count.Packages++
			count.Advisories += n
			return nil
		})
		if err != nil {
			return fmt.Errorf("bucket %q: %w", name, err)
		}
		s.Buckets = append(s.Buckets, count)
		s.form(tx, name, root)
	}
	switch {
	case tx.Bucket([]byte(detailBucket)) == nil:
		// The detectors' library dereferences nil without it.
		return fmt.Errorf("bucket %q is missing", detailBucket)
	case len(s.Buckets) == 0:
		return fmt.Errorf("there is no bucket with advisories, so that every image would look clean")
	}
	return nil
}

// coverageOf reads what the sources say about buckets.
func coverageOf(root *bolt.Bucket) (list []coverage.Record, err error) {
	err = root.ForEach(func(k, v []byte) error {
		r, err := coverage.Decode(k, v)
		list = append(list, r)
		return err
	})
	return list, err
}

// countValues walks a bucket with all that is nested in it and counts the
// values. With objects each value must look like a JSON object; decoding all
// of them would cost more than everything else together.
func countValues(b *bolt.Bucket, objects bool) (n int, err error) {
	err = b.ForEach(func(k, v []byte) error {
		if v == nil {
			m, err := countValues(b.Bucket(k), objects)
			n += m
			return err
		}
		if objects && (len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}') {
			return fmt.Errorf("key %q: the value is not a JSON object", k)
		}
		n++
		return nil
	})
	return n, err
}

// guarded runs fn and turns panics and memory faults into errors: bbolt maps
// the file into memory, trusts its page numbers, and reading a page that is not
// there ends a process otherwise.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is corrupt (%v)", r)
		}
	}()
	return fn()
}
