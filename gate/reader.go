package gate

import "context"

// Reader is the part of the store that decisions are made from.
type Reader interface {
	Read(ctx context.Context, req ReadRequest) (ReadResult, error)
	Inventory(ctx context.Context, d Digest) (*Inventory, error)
	Findings(ctx context.Context, d Digest) (*Findings, error)
}

// RecordReader is the part of a store that says what is recorded.
type RecordReader interface {
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
