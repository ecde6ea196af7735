package store

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// Body is the record of one digest as a store keeps it: gate's record without
// its locations, which have places of their own, and what no reader needs.
// Its methods are the rules of [Records], the same for every store; each
// reports whether it changed anything, and changes nothing when it refuses.
type Body struct {
	gate.Record
	// Tried says why an analysis found the digest unassessable. It stands apart
	// from the manifest, whose repeated reads know nothing of it.
	Tried string `json:"tried,omitempty"`
	// InventorySize and FindingsSize are how many bytes the stored values
	// unpack to; 0 when they were stored before this was kept.
	InventorySize int `json:"inventorySize,omitempty"`
	FindingsSize  int `json:"findingsSize,omitempty"`
}

// Shown is the record as gate knows it. An analysis says nothing about a digest that is
// not an image: earlier versions analysed what an index called one.
func (b *Body) Shown() gate.Record {
	out := b.Record
	if k := out.Manifest.Kind; out.Manifest.Unassessable == "" && (k == gate.KindImage || k == gate.KindUnknown) {
		out.Manifest.Unassessable = b.Tried
	}
	return out
}

// Fence refuses a write of an epoch that another claim has overtaken, and
// announces the epoch otherwise.
func (b *Body) Fence(epoch int64) (changed bool, err error) {
	if epoch < b.Epoch {
		return false, fmt.Errorf("epoch %d has announced itself, this is %d: %w", b.Epoch, epoch, gate.ErrFenced)
	}
	changed = epoch != b.Epoch
	b.Epoch = epoch
	return changed, nil
}

// PutManifest sets what the manifest is. The first reading of it under the rule of
// gate.Manifest.Hashed, and every one that finds no image, also takes back what an
// analysis found: it may have believed an index or a registry.
func (b *Body) PutManifest(m gate.Manifest) (changed bool, err error) {
	if b.Tried != "" && (m.Kind != gate.KindImage || m.Hashed && !b.Manifest.Hashed) {
		b.Tried, changed = "", true
	}
	before, err := json.Marshal(b.Manifest)
	if err != nil {
		return false, err
	}
	after, err := json.Marshal(m)
	if err != nil {
		return false, err
	}
	b.Manifest = m
	return changed || !bytes.Equal(before, after), nil
}

// PutUnassessable sets why the digest can never be analysed.
func (b *Body) PutUnassessable(epoch int64, reason string) (changed bool, err error) {
	if reason == "" {
		return false, fmt.Errorf("without a reason: %w", gate.ErrInvalid)
	}
	if _, err := b.Fence(epoch); err != nil {
		return false, err
	}
	b.Tried = reason
	return true, nil
}

// PutInventory sets the inventory, which is stored as v.
func (b *Body) PutInventory(epoch int64, v Value, inv *gate.Inventory) (changed bool, err error) {
	if _, err := b.Fence(epoch); err != nil {
		return false, err
	}
	b.TakeInventory(v.ID, inv)
	b.InventorySize, b.Tried = v.Size, ""
	return true, nil
}

// PutFindings sets the findings, which are stored as v, if they are of the stored
// inventory and of no older generation than those before, which replaces names.
func (b *Body) PutFindings(v Value, f *gate.Findings, replaces string) (changed bool, err error) {
	switch {
	case b.InventoryID == "" || b.InventoryID != f.InventoryID:
		return false, fmt.Errorf("they are of inventory %s, stored is %q: %w",
			gate.Quoted(f.InventoryID, 80), b.InventoryID, gate.ErrConflict)
	case b.FindingsOf == f.InventoryID && f.Generation < b.Generation:
		return false, fmt.Errorf("they are of generation %d, stored is %d: %w", f.Generation, b.Generation, gate.ErrConflict)
	case b.FindingsID == v.ID:
		return false, nil
	case b.FindingsID != replaces:
		return false, fmt.Errorf("they replace %s, stored is %q: %w", gate.Quoted(replaces, 80), b.FindingsID, gate.ErrConflict)
	}
	b.TakeFindings(v.ID, f)
	b.FindingsSize = v.Size
	return true, nil
}

// Forget empties the record, which has version have, if that is the one that the caller
// has read; see [Records.Forget].
func (b *Body) Forget(have, version int64) (changed bool, err error) {
	switch {
	case b.Forgotten && have == version+1:
		return false, nil // by an earlier try
	case b.Forgotten || version <= 0 || have != version:
		return false, fmt.Errorf("it has version %d, the decision to forget it was made with %d: %w", have, version, gate.ErrConflict)
	}
	*b = Body{Record: gate.Record{Digest: b.Digest, Version: b.Version, Epoch: b.Epoch, Forgotten: true}}
	return true, nil
}

// Rests refuses verdicts that were evaluated from something else than what is
// recorded now.
func (b *Body) Rests(basis gate.Basis) error {
	shown := b.Shown()
	if now := shown.Basis(); !now.Is(basis) {
		return fmt.Errorf("they are of inventory %s and findings %s, stored are %q and %q: %w",
			gate.Quoted(basis.InventoryID, 80), gate.Quoted(basis.FindingsID, 80), now.InventoryID, now.FindingsID, gate.ErrConflict)
	}
	return nil
}

// Tells reports whether a verdict that replaces another is told to the feed: when its
// outcome is another, which is what lists show. What else of it has changed, its reasons and
// the policies that gave it, is read where it is shown.
func Tells(old, fresh gate.Decision) bool { return old.Outcome != fresh.Outcome }
