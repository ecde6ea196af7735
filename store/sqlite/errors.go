package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// storeError gives an error of the database its place in the closed set of
// gate. A full disk wraps gate.ErrResource too, so that its reader knows what
// to do about it.
func storeError(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w: %w", what, gate.ErrTimeout, err)
	}
	var damaged *store.Damaged
	if errors.As(err, &damaged) {
		return fmt.Errorf("%s: %w", what, &gate.StoreFault{Words: "a file of the store was removed or replaced", Err: err})
	}
	var coded *sqlite.Error
	if errors.As(err, &coded) {
		if coded.Code()&0xff == sqlite3.SQLITE_INTERRUPT {
			return fmt.Errorf("%s: %w: %w", what, gate.ErrTimeout, err)
		}
		if words, class := fault(coded.Code()); words != "" {
			return fmt.Errorf("%s: %w", what, &gate.StoreFault{Words: words, Err: fmt.Errorf("%w: %w", class, err)})
		}
	}
	if errors.Is(err, errClosed) || errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	return fmt.Errorf("%s: %w: %w", what, gate.ErrStoreUnavailable, err)
}

// full is what the machine lacks.
var full = fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, gate.ErrResource)

// fault says in words for everybody what a result code means for the store, ""
// for one that needs none (sqlite.org/rescode.html).
func fault(code int) (words string, class error) {
	switch code & 0xff { // the primary code; the rest details it
	case sqlite3.SQLITE_FULL:
		return "the store's disk is full", full
	case sqlite3.SQLITE_NOMEM:
		return "the store has no memory left", full
	case sqlite3.SQLITE_READONLY:
		return "the store's file cannot be written", gate.ErrStoreUnavailable
	case sqlite3.SQLITE_IOERR:
		return "the store's disk fails", gate.ErrStoreUnavailable
	case sqlite3.SQLITE_CANTOPEN:
		return "the store's file cannot be opened", gate.ErrStoreUnavailable
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another program holds the store's file", gate.ErrStoreUnavailable
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "the store's file is damaged", gate.ErrStoreUnavailable
	}
	return "", nil
}

var errClosed = fmt.Errorf("store is closed: %w", gate.ErrStoreUnavailable)

// classified reports whether err is an answer of ours, not a failure of the
// database.
func classified(err error) bool {
	_, ok := gate.Classify(err)
	return ok
}
