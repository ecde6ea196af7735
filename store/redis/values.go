package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// maxLarge is the largest inventory or findings as stored, in bytes: what is
// larger was not written by us. Inventories of 20,000 packages take 1 MB.
const maxLarge = 64 << 20

// Large values need no MAC of their own: the signed record names each by its
// hash.

// PutInventory stores a new inventory of the claim with the epoch.
func (s *Store) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error) {
	return s.putValue(ctx, "inventory", inv.Digest, s.keys.inventory(inv.Digest), inv, nil, func(b *store.Body, v store.Value) (bool, error) {
		return b.PutInventory(epoch, v, inv)
	})
}

// PutFindings stores findings of the stored inventory.
func (s *Store) PutFindings(ctx context.Context, f *gate.Findings, replaces string) (gate.Written, error) {
	return s.putValue(ctx, "findings", f.Digest, s.keys.findings(f.Digest), f, f.Change, func(b *store.Body, v store.Value) (bool, error) {
		return b.PutFindings(v, f, replaces)
	})
}

func (s *Store) putValue(ctx context.Context, thing string, d gate.Digest, key string, v any, changes *gate.StandingChange, rule func(*store.Body, store.Value) (bool, error)) (written gate.Written, err error) {
	value, err := s.codec.Encode(v)
	var entry []byte
	if err == nil && changes != nil {
		entry, err = store.EncodeHistory(changes)
	}
	if err != nil {
		return written, fmt.Errorf("storing the %s of %s: %w", thing, gate.Printable(string(d), 100), err)
	}
	if len(value.Data) > maxLarge {
		return written, fmt.Errorf("storing the %s of %s: %d bytes, compressed, are over the limit of %d: %w",
			thing, gate.Printable(string(d), 100), len(value.Data), maxLarge, gate.ErrTooLarge)
	}
	err = s.update(ctx, "storing the "+thing+" of", d, nil, func(r *record, _ map[string]gate.LocationState) (*change, error) {
		written = gate.Written{ID: value.ID, Version: r.Version, Same: true}
		if changed, err := rule(&r.Body, value); err != nil || !changed {
			return nil, err
		}
		written.Version, written.Same = r.Version+1, false
		return &change{value: string(value.Data), valueKey: key, entry: entry}, nil
	})
	return written, err
}

// reader is the reading side of the store over the connections of one use.
type reader struct {
	*Store
	client redis.UniversalClient
	copied bool // what has not changed is taken from the store's copies
}

// Inventory returns the stored inventory; gate.ErrConflict when its format is of
// a newer version, so that the image is analysed again.
func (s *Store) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	return reader{Store: s, client: s.client}.Inventory(ctx, d)
}

// Findings returns the stored findings.
func (s *Store) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	return reader{Store: s, client: s.client}.Findings(ctx, d)
}

// Inventory implements gate.Reader.
func (r reader) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	inv := new(gate.Inventory)
	return inv, r.load(ctx, "inventory", d, r.keys.inventory(d), inv,
		func(b store.Body) store.Value { return store.Value{ID: b.InventoryID, Size: b.InventorySize} }, func() error { return store.CheckInventory(d, inv) })
}

// Findings implements gate.Reader.
func (r reader) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	f := new(gate.Findings)
	return f, r.load(ctx, "findings", d, r.keys.findings(d), f,
		func(b store.Body) store.Value { return store.Value{ID: b.FindingsID, Size: b.FindingsSize} }, func() error { return store.CheckFindings(d, f) })
}

// load reads a large value together with the record that names it. A value that
// is missing, damaged, or another than the record names is gate.ErrNotFound.
func (r reader) load(ctx context.Context, thing string, d gate.Digest, key string, v any, named func(store.Body) store.Value, check func() error) error {
	what := fmt.Sprintf("reading the %s of %s", thing, gate.Printable(string(d), 100))
	mark := r.seals.mark()
	both, err := scriptLarge.Run(ctx, r.client, []string{r.keys.record(d), key}, maxLarge).Slice()
	if err != nil {
		return r.failedIn(ctx, what, err)
	}
	body, _ := r.believed(d, text(both, 0), mark)
	value, data := named(body), text(both, 1)
	if value.ID == "" || data == "" {
		if value.ID != "" {
			r.reject(thing, string(d), errors.New("the record names it, and it is not there"))
		}
		return fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	}
	value.Data = []byte(data)
	if err := r.codec.Decode(value, v); errors.Is(err, gate.ErrConflict) {
		return fmt.Errorf("%s: %w", what, err)
	} else if err != nil {
		r.suspectType(key, data)
		r.reject(thing, string(d), err)
		return fmt.Errorf("%s: it is damaged: %w", what, gate.ErrNotFound)
	}
	if err := check(); err != nil {
		if errors.Is(err, gate.ErrNotFound) {
			r.reject(thing, string(d), err)
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
