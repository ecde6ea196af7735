package advisory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/composition"
	"github.com/digestgate/digestgate/scanner/advisory/statement"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// PackageKey names the advisories of one package in one root bucket.
type PackageKey struct{ Bucket, Package string }

// Difference is what changed between two contents of advisory data: which
// images to match again follows from it.
type Difference struct {
	// Packages have other advisories than before, in a bucket that both have.
	Packages []PackageKey
	// Buckets exist on one side only, or have another source, by which Trivy chooses
	// among the severities of vendors, or speak of other architectures: every image of
	// that release or language is touched, also one that had been unassessable.
	Buckets []string
	// Vulnerabilities have another title, time, score or URL, or other severities.
	Vulnerabilities []string
	// RedHat says that the mapping from content sets to products changed, which
	// touches every image of that family.
	RedHat bool
}

// Empty reports that no finding can differ.
func (d Difference) Empty() bool {
	return len(d.Packages) == 0 && len(d.Buckets) == 0 && len(d.Vulnerabilities) == 0 && !d.RedHat
}

// Diff compares two directories with advisory data by walking both in key order. It
// opens the files itself, so that matching continues meanwhile. A set in another order is
// not a change: two builds of Trivy's database from the same input differ in that. Errors: gate.ErrInvalid, gate.ErrTimeout.
func Diff(ctx context.Context, oldDir, newDir string) (d Difference, err error) {
	err = guarded(func() error {
		older, err := openReadOnly(filepath.Join(oldDir, databaseFile))
		if err != nil {
			return err
		}
		defer older.Close()
		newer, err := openReadOnly(filepath.Join(newDir, databaseFile))
		if err != nil {
			return err
		}
		defer newer.Close()
		return older.View(func(a *bolt.Tx) error {
			return newer.View(func(b *bolt.Tx) error { return d.roots(ctx, a, b) })
		})
	})
	if err != nil {
		return Difference{}, fmt.Errorf("comparing advisory data %q with %q: %w: %w", oldDir, newDir, err, gate.ErrInvalid)
	}
	return d, nil
}

func (d *Difference) roots(ctx context.Context, a, b *bolt.Tx) error {
	return mergeJoin(a.Cursor(), b.Cursor(), func(key, _, _ []byte, side int) error {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", gate.ErrTimeout, err)
		}
		name := string(key)
		x, y := a.Bucket(key), b.Bucket(key)
		switch {
		case name == detailBucket:
			return d.details(x, y)
		case name == redHatCPEBucket:
			d.RedHat = side != 0 || !equalBuckets(x, y)
		case !isAdvisoryBucket(name):
			// The sources of buckets are compared with these.
		case side != 0:
			d.Buckets = append(d.Buckets, name)
		default:
			return d.bucket(name, x, y, composition.RecordOf(a, key), composition.RecordOf(b, key))
		}
		return nil
	})
}

// bucket compares the packages of a bucket that both have.
func (d *Difference) bucket(name string, x, y *bolt.Bucket, of, now composition.Record) error {
	equal := sameValue
	same, err := sameArches(name, x, y)
	switch {
	case err != nil:
		return err
	case !same || otherSource(of, now):
		d.Buckets = append(d.Buckets, name)
		return nil
	case of.United || now.United:
		// Rows name their source: a source that is added to a bucket, or leaves it, concerns
		// the packages that it speaks of.
		equal = func(v, w []byte) bool {
			if of.United && now.United && bytes.Equal(v, w) {
				return true
			}
			v, a := composition.Effective(v, of.DataSource)
			w, b := composition.Effective(w, now.DataSource)
			return sameSource(a, b) && sameValue(v, w)
		}
	}
	return mergeJoin(x.Cursor(), y.Cursor(), func(pkg, _, _ []byte, side int) error {
		if side != 0 || !equalRows(x.Bucket(pkg), y.Bucket(pkg), equal) {
			d.Packages = append(d.Packages, PackageKey{Bucket: name, Package: string(pkg)})
		}
		return nil
	})
}

// otherSource reports whether all of a bucket counts as another one's.
func otherSource(of, now composition.Record) bool {
	return !of.SameRules(now) || !of.United && !now.United && !sameSource(of.DataSource, now.DataSource)
}

// details compares the records of vulnerabilities.
func (d *Difference) details(x, y *bolt.Bucket) error {
	if x == nil || y == nil {
		return fmt.Errorf("bucket %q is missing", detailBucket)
	}
	return mergeJoin(x.Cursor(), y.Cursor(), func(id, v, w []byte, side int) error {
		if side != 0 || !sameDetail(string(id), v, w) {
			d.Vulnerabilities = append(d.Vulnerabilities, string(id))
		}
		return nil
	})
}

// mergeJoin walks two cursors in key order. side is -1 for a key that only x
// has, 1 for one that only y has, and 0 for a common one.
func mergeJoin(x, y *bolt.Cursor, visit func(key, v, w []byte, side int) error) error {
	k, v := x.First()
	l, w := y.First()
	for k != nil || l != nil {
		order := bytes.Compare(k, l)
		switch {
		case l == nil:
			order = -1
		case k == nil:
			order = 1
		}
		var err error
		switch order {
		case -1:
			err = visit(k, v, nil, -1)
			k, v = x.Next()
		case 1:
			err = visit(l, nil, w, 1)
			l, w = y.Next()
		default:
			err = visit(k, v, w, 0)
			k, v = x.Next()
			l, w = y.Next()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// equalBuckets compares all values, with nested buckets.
func equalBuckets(x, y *bolt.Bucket) bool { return equalRows(x, y, sameValue) }

// equalRows does so by equal.
func equalRows(x, y *bolt.Bucket, equal func(v, w []byte) bool) bool {
	if x == nil || y == nil {
		return x == y
	}
	same := true
	_ = mergeJoin(x.Cursor(), y.Cursor(), func(key, v, w []byte, side int) error {
		switch {
		case side != 0 || (v == nil) != (w == nil):
			same = false
		case v == nil:
			same = equalRows(x.Bucket(key), y.Bucket(key), equal)
		default:
			same = equal(v, w)
		}
		if !same {
			return errStop
		}
		return nil
	})
	return same
}

// errStop ends a walk early.
var errStop = fmt.Errorf("found a difference")

// sameArches reports whether the rows of a bucket of digestgate's own detector speak of the
// same architectures on both sides: images of others are unassessable.
func sameArches(name string, x, y *bolt.Bucket) (bool, error) {
	if b, ok := distribution.Product(name); !ok || b != name {
		return true, nil
	}
	var before, after statement.Arches
	if err := errors.Join(ArchesOf(x, &before), ArchesOf(y, &after)); err != nil {
		return false, err
	}
	return before.Equal(after), nil
}

// ArchesOf adds the rows of all packages of a bucket, nil for one that is not there.
func ArchesOf(b *bolt.Bucket, arches *statement.Arches) error {
	if b == nil {
		return nil
	}
	return b.ForEachBucket(func(pkg []byte) error {
		return b.Bucket(pkg).ForEach(func(_, row []byte) error {
			arches.Add(row)
			return nil
		})
	})
}
