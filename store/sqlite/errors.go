package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/digestgate/digestgate/gate"
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
	var coded *sqlite.Error
	if errors.As(err, &coded) {
		switch coded.Code() & 0xff { // the primary code; the rest details it
		case sqlite3.SQLITE_INTERRUPT:
			return fmt.Errorf("%s: %w: %w", what, gate.ErrTimeout, err)
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("%s: disk is full: %w: %w: %w", what, gate.ErrStoreUnavailable, gate.ErrResource, err)
		case sqlite3.SQLITE_NOMEM:
			return fmt.Errorf("%s: %w: %w: %w", what, gate.ErrStoreUnavailable, gate.ErrResource, err)
		}
	}
	if errors.Is(err, errClosed) || errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	return fmt.Errorf("%s: %w: %w", what, gate.ErrStoreUnavailable, err)
}

var errClosed = fmt.Errorf("store is closed: %w", gate.ErrStoreUnavailable)

// classified reports whether err is an answer of ours, not a failure of the
// database.
func classified(err error) bool {
	_, ok := gate.Classify(err)
	return ok
}
