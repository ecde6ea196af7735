package match

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	trivydb "github.com/aquasecurity/trivy-db/pkg/db"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/composition"
)

// detailBucket must exist: trivy-db dereferences it without looking
// (pkg/db/vulnerability.go).
const detailBucket = "vulnerability"

// database is one content of advisory data on the disk with what is cached of
// it. It is immutable but for the caches.
type database struct {
	dir     string
	content gate.Digest
	buckets map[string]bool // root buckets
	details *details
	// redHat is the source of the composition whose rows of Red Hat are used: the detector
	// names none.
	redHat string
	// arches are the statement.Arches of buckets, once they were asked for.
	arches sync.Map
}

// openDatabase reads which releases and sources the data has, and nothing
// else: its whole content was checked before it came here.
func openDatabase(dir string, content gate.Digest) (d *database, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			d, err = nil, fmt.Errorf("opening advisory database in %q: the file is corrupt (%v): %w", dir, r, gate.ErrInvalid)
		}
	}()
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, readOnly())
	if err != nil {
		return nil, fmt.Errorf("opening advisory database in %q: %w: %w", dir, err, gate.ErrInvalid)
	}
	defer db.Close()
	d = &database{dir: dir, content: content, buckets: map[string]bool{}, details: newDetails()}
	err = db.View(func(tx *bolt.Tx) error {
		d.redHat, _ = composition.SplitName(composition.RecordOf(tx, []byte("Red Hat")).Name)
		return tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
			d.buckets[string(name)] = true
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("opening advisory database in %q: %w: %w", dir, err, gate.ErrInvalid)
	}
	if !d.buckets[detailBucket] {
		return nil, fmt.Errorf("advisory database in %q has no bucket %q: %w", dir, detailBucket, gate.ErrInvalid)
	}
	return d, nil
}

// readable looks at one page of the file, so that a match finds that it is damaged also
// when all of its answers are remembered. It is called with the connection held.
func (d *database) readable() error {
	return trivydb.Config{}.Connection().View(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte(detailBucket)) == nil {
			return fmt.Errorf("the advisory database has no bucket %q", detailBucket)
		}
		return nil
	})
}

// hasPrefix reports whether a root bucket begins with prefix.
func (d *database) hasPrefix(prefix string) bool {
	for name := range d.buckets {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func readOnly() *bolt.Options {
	// Without ReadOnly, trivy-db creates an empty database where none is, and
	// every image looks clean.
	return &bolt.Options{ReadOnly: true, Timeout: time.Second}
}

// connection guards the package variable of trivy-db that its detectors read
// (pkg/db.db). It is a package variable for the same reason as that one: there
// is one for the process, however many matchers there are.
var connection guard

// guard says whose database trivy-db has open.
type guard struct {
	mu    sync.RWMutex
	owner *database // nil: none that may be read
	// swaps counts who waits for the lock for writing.
	swaps atomic.Int32
}

// acquire makes trivy-db read d and holds it there until release. Matchers of
// different data take turns. Errors: gate.ErrAdvisoriesUnavailable,
// gate.ErrTimeout.
func (g *guard) acquire(ctx context.Context, d *database) error {
	for {
		g.mu.RLock()
		if g.owner == d {
			return nil
		}
		g.mu.RUnlock()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for the advisory database: %w: %w", gate.ErrTimeout, err)
		}
		if err := g.swap(d, func() {}); err != nil {
			return err
		}
	}
}

func (g *guard) release() { g.mu.RUnlock() }

// swap opens d in trivy-db in place of what it has and calls then before
// anybody can read. On an error nothing is open; the next acquire opens again.
func (g *guard) swap(d *database, then func()) error {
	g.swaps.Add(1)
	g.mu.Lock()
	g.swaps.Add(-1)
	if g.owner == d {
		then()
		g.mu.Unlock()
		return nil
	}
	old := trivydb.Config{}.Connection()
	g.owner = nil // a failed Init leaves trivy-db with nil
	err := trivydb.Init(d.dir, trivydb.WithBoltOptions(readOnly()))
	if err == nil {
		g.owner = d
		then()
	}
	g.mu.Unlock()
	if old != nil {
		_ = old.Close() // read-only: nothing can be lost
	}
	if err != nil {
		return fmt.Errorf("opening advisory database in %q: %w: %w", d.dir, err, gate.ErrAdvisoriesUnavailable)
	}
	return nil
}

// drop closes d if trivy-db has it open.
func (g *guard) drop(d *database) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d != nil && g.owner == d {
		g.owner = nil
		_ = trivydb.Config{}.Connection().Close() // read-only: nothing can be lost
	}
}
