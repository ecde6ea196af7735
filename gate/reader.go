package gate

import "context"

// Reader is the part of the store that decisions are made from.
type Reader interface {
	// Read returns records, their newest jobs and tags in one round trip; unknown ones
	// are missing from the result. ErrStoreUnavailable: nothing is known, admission
	// refuses with STORE_UNAVAILABLE or uses its copies.
	Read(ctx context.Context, req ReadRequest) (ReadResult, error)
	// Inventory returns the stored inventory of a digest. ErrNotFound: there is none,
	// the digest is analysed again; ErrStoreUnavailable as for Read.
	Inventory(ctx context.Context, d Digest) (*Inventory, error)
	// Findings returns the stored findings of a digest. ErrNotFound: there are none,
	// the inventory is matched; ErrStoreUnavailable as for Read.
	Findings(ctx context.Context, d Digest) (*Findings, error)
}

// RecordReader is the part of a store that says what is recorded.
type RecordReader interface {
	// Read is that of Reader.
	Read(ctx context.Context, req ReadRequest) (ReadResult, error)
}

// ReadEntry reads one digest. Errors: those of the reader.
func ReadEntry(ctx context.Context, r RecordReader, d Digest) (Entry, error) {
	res, err := r.Read(ctx, ReadRequest{Digests: []Digest{d}})
	if err != nil {
		return Entry{}, err
	}
	return res.Digests[d], nil
}
