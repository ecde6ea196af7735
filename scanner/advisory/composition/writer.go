package composition

import (
	"errors"

	bolt "go.etcd.io/bbolt"
)

// pageSize is the same on all machines: their own would give other bytes.
const pageSize = 4096

// writer writes a database in key order, so that the same content gives the same bytes.
// bbolt gives pages to the changed buckets of a transaction in the order of a Go map;
// buckets that fit into their parent's page take none. So at most one bucket with pages
// of its own is changed in a transaction, besides those it is in.
type writer struct {
	db    *bolt.DB
	tx    *bolt.Tx
	root  *bolt.Bucket // that is being written
	name  string
	bytes int // in the transaction
}

const (
	// mostInline is below what bbolt keeps in the parent's page (a quarter of a page with
	// its header; bbolt bucket.go, inlineable).
	mostInline = pageSize/4 - 24
	// pageElement and pageHeader are what bbolt adds to a key and to a page.
	pageElement, pageHeader = 16, 16
	// mostInTransaction bounds the memory of a transaction, which holds its pages.
	mostInTransaction = 2 << 20
	// filled is how full a page is: keys come in their order.
	filled = 0.95
)

func newWriter(path string) (*writer, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		NoSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistArrayType, PageSize: pageSize,
	})
	if err != nil {
		return nil, err
	}
	return &writer{db: db}, nil
}

// open begins a root bucket; what follows is written into it.
func (w *writer) open(name []byte) error {
	if err := w.commit(); err != nil {
		return err
	}
	w.name = string(name)
	return w.begin()
}

func (w *writer) begin() (err error) {
	if w.tx, err = w.db.Begin(true); err != nil {
		return err
	}
	if w.root, err = w.tx.CreateBucketIfNotExists([]byte(w.name)); err != nil {
		return err
	}
	w.root.FillPercent = filled
	return nil
}

func (w *writer) commit() error {
	if w.tx == nil {
		return nil
	}
	tx := w.tx
	w.tx, w.root, w.bytes = nil, nil, 0
	return tx.Commit()
}

// added commits when the transaction has enough.
func (w *writer) added(bytes int, last bool) error {
	w.bytes += bytes
	if !last && w.bytes < mostInTransaction {
		return nil
	}
	if err := w.commit(); err != nil {
		return err
	}
	return w.begin()
}

// value writes a value of the root bucket.
func (w *writer) value(key, value []byte) error {
	if err := w.root.Put(key, value); err != nil {
		return err
	}
	return w.added(len(key)+len(value)+pageElement, false)
}

// row is a value of a bucket in the root bucket. Its bytes belong to a source or to who
// made it, and stay until the package is written.
type row struct{ key, value []byte }

// pack writes a bucket of the root bucket with its rows, which are in key order.
func (w *writer) pack(name []byte, rows []row) error {
	size := pageHeader
	for _, r := range rows {
		size += pageElement + len(r.key) + len(r.value)
	}
	b, err := w.root.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	b.FillPercent = filled
	for _, r := range rows {
		if err := b.Put(r.key, r.value); err != nil {
			return err
		}
	}
	return w.added(size+len(name), size > mostInline)
}

func (w *writer) close() error {
	err := w.commit()
	if err == nil {
		err = w.db.Sync()
	}
	return errors.Join(err, w.db.Close())
}

// abort closes a database that is thrown away.
func (w *writer) abort() {
	if w.tx != nil {
		_ = w.tx.Rollback()
	}
	_ = w.db.Close()
}
