package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
)

// Value is an inventory or findings as it is stored: the hash of its JSON, and
// the JSON compressed with zstd.
type Value struct {
	ID   string
	Data []byte
	// Size is how many bytes the JSON has, 0 when that is not known.
	Size int `json:"-"`
}

// Codec turns inventories and findings into values and back. It is safe for
// concurrent use.
type Codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	sized   *zstd.Decoder // for values whose size is known
}

// NewCodec makes a codec; Close releases it.
func NewCodec() (*Codec, error) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, err
	}
	// What is unpacked is at most what Encode takes, so that a damaged or
	// forged value costs no more memory than a good one.
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxValue), zstd.WithDecoderConcurrency(0))
	if err != nil {
		return nil, errors.Join(err, encoder.Close())
	}
	sized, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxValue), zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		decoder.Close()
		return nil, errors.Join(err, encoder.Close())
	}
	return &Codec{encoder, decoder, sized}, nil
}

// Close releases the codec.
func (c *Codec) Close() error {
	c.decoder.Close()
	c.sized.Close()
	return c.encoder.Close()
}

// Encode makes the stored form of v; gate.ErrTooLarge over MaxValue.
func (c *Codec) Encode(v any) (Value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return Value{}, fmt.Errorf("encoding: %w: %w", gate.ErrInvalid, err)
	}
	if len(text) > MaxValue {
		return Value{}, fmt.Errorf("%d bytes of JSON are over the limit of %d: %w", len(text), MaxValue, gate.ErrTooLarge)
	}
	return Value{ID: idOf(text), Data: c.encoder.EncodeAll(text, nil), Size: len(text)}, nil
}

// Decode reads a stored value into v. Any error means that it is damaged.
func (c *Codec) Decode(stored Value, v any) error {
	text, err := c.unpack(stored)
	if err != nil {
		return err
	}
	if idOf(text) != stored.ID {
		return errors.New("content does not match its id")
	}
	return json.Unmarshal(text, v)
}

// Check reports whether a stored value is what its id says.
func (c *Codec) Check(stored Value) error {
	text, err := c.unpack(stored)
	if err == nil && idOf(text) != stored.ID {
		err = errors.New("content does not match its id")
	}
	return err
}

// unpack takes no more memory than a value of its size.
func (c *Codec) unpack(stored Value) ([]byte, error) {
	if stored.Size <= 0 || stored.Size > MaxValue {
		return c.decoder.DecodeAll(stored.Data, nil)
	}
	return c.sized.DecodeAll(stored.Data, make([]byte, 0, stored.Size))
}

func idOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// CheckInventory refuses a stored inventory that is not that of d
// (gate.ErrNotFound: it counts as absent) or whose format this version does
// not know (gate.ErrConflict, so that the image is analysed again).
func CheckInventory(d gate.Digest, inv *gate.Inventory) error {
	switch {
	case inv.Digest != d:
		return fmt.Errorf("it is that of %s: %w", gate.Quoted(string(inv.Digest), 100), gate.ErrNotFound)
	case inv.Format > gate.InventoryFormat:
		return fmt.Errorf("format %d is newer than %d: %w", inv.Format, gate.InventoryFormat, gate.ErrConflict)
	}
	return nil
}

// CheckFindings refuses stored findings that are not those of d
// (gate.ErrNotFound).
func CheckFindings(d gate.Digest, f *gate.Findings) error {
	if f.Digest != d {
		return fmt.Errorf("they are those of %s: %w", gate.Quoted(string(f.Digest), 100), gate.ErrNotFound)
	}
	return nil
}
