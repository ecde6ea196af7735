package store

import "github.com/digestgate/digestgate/gate"

// Damaged says that the store itself is not as this program left it: files that were
// taken away, keys of another type. Unlike a store that does not answer it does not
// pass without help, and local copies do not make up for it. It wraps
// gate.ErrStoreUnavailable.
type Damaged struct {
	What string // the file or key, what is wrong with it, and what to do
}

// Error is What.
func (d *Damaged) Error() string { return d.What }

// Unwrap gives it its place among the errors.
func (d *Damaged) Unwrap() error { return gate.ErrStoreUnavailable }
