package gate

import (
	"context"
	"errors"
)

// StoreFault says in our own words what keeps a store from doing something, for
// people who are refused because of it: Words hold no address, no credential and
// nothing that a server said. It wraps the error that it explains. Stores make
// it; [StoreWords] finds it.
type StoreFault struct {
	Words string // for example "redis is out of memory (maxmemory)"
	Err   error
}

func (f *StoreFault) Error() string { return f.Words + ": " + f.Err.Error() }

// Unwrap gives access to the sentinel.
func (f *StoreFault) Unwrap() error { return f.Err }

// StoreWords is what a store said of its fault, fit for every reader, or what can be
// said without it: it never holds the text of a foreign error.
func StoreWords(err error) string {
	var f *StoreFault
	switch {
	case errors.As(err, &f):
		return f.Words
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "the store did not take the write in time"
	}
	return "the store did not take the write"
}

// NotTaken reports whether an error of a write leaves everything as it was before
// it, or open: the store refused or did not answer, and has said nothing against
// what was to be written. A decision that needs no more than what was read stands
// all the same.
func NotTaken(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || Any(err, func(c ErrorClass) bool { return c.Fault == FaultStore || c.Fault == FaultMachine })
}
