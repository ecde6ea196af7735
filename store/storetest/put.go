package storetest

import (
	"context"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// PutInventory stores an inventory, for tests that ask no more than that.
func PutInventory(ctx context.Context, s store.Records, epoch int64, inv *gate.Inventory) error {
	_, err := s.PutInventory(ctx, epoch, inv)
	return err
}

// readingRecords are records that can be looked at.
type readingRecords interface {
	store.Records
	gate.RecordReader
}

// PutFindings stores findings in place of whatever is stored.
func PutFindings(ctx context.Context, s readingRecords, f *gate.Findings) error {
	entry, err := gate.ReadEntry(ctx, s, f.Digest)
	if err != nil {
		return err
	}
	_, err = s.PutFindings(ctx, f, entry.Record.FindingsID)
	return err
}

// PutVerdicts stores verdicts whatever they were evaluated from.
func PutVerdicts(ctx context.Context, s readingRecords, d gate.Digest, verdicts []gate.Verdict) error {
	entry, err := gate.ReadEntry(ctx, s, d)
	if err != nil {
		return err
	}
	_, err = s.PutVerdicts(ctx, d, entry.Record.Basis(), verdicts)
	return err
}
