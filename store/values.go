package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/packed"
)

// Value is an inventory or findings as it is stored: two bytes that say so, and the form
// of [packed] compressed with zstd. Its id is the hash of that. Versions before stored
// JSON compressed with zstd, with the hash of the JSON as its id.
type Value struct {
	ID   string
	Data []byte
	// Size is how many bytes it has uncompressed, 0 when that is not known.
	Size int `json:"-"`
}

// packedMark begins values in the form of [packed]; zstd begins with other bytes.
const packedMark = "\xdb\x01"

// Codec turns inventories and findings into values and back. It is safe for
// concurrent use.
type Codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	sized   *zstd.Decoder // for values whose size is known
	spaces  sync.Pool     // of *[]byte, for values that are not compressed
}

// NewCodec makes a codec; Close releases it.
func NewCodec() (*Codec, error) {
	// The fastest level: the table of texts has removed what the others would find. No sum
	// at the end: the id is a hash of all of it.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
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
	return &Codec{encoder: encoder, decoder: decoder, sized: sized}, nil
}

// Close releases the codec.
func (c *Codec) Close() error {
	c.decoder.Close()
	c.sized.Close()
	return c.encoder.Close()
}

// Encode makes the stored form of an inventory or findings; gate.ErrTooLarge over
// MaxValue, gate.ErrInvalid for what cannot be stored.
func (c *Codec) Encode(v any) (Value, error) {
	space := c.space()
	var err error
	switch v := v.(type) {
	case *gate.Inventory:
		*space, err = packed.AppendInventory((*space)[:0], v)
	case *gate.Findings:
		*space, err = packed.AppendFindings((*space)[:0], v)
	default:
		err = fmt.Errorf("there is no stored form of %T: %w", v, gate.ErrInvalid)
	}
	if err != nil {
		return Value{}, err
	}
	size := len(*space)
	if size > MaxValue {
		return Value{}, fmt.Errorf("%d bytes are over the limit of %d: %w", size, MaxValue, gate.ErrTooLarge)
	}
	data := c.encoder.EncodeAll(*space, append(make([]byte, 0, len(packedMark)+size/2), packedMark...))
	c.keep(space)
	return Value{ID: idOf(data), Data: data, Size: size}, nil
}

// keptSpace is how long a value may be whose memory is used again, in bytes: nearly all
// are below 100 kB.
const keptSpace = 1 << 20

func (c *Codec) space() *[]byte {
	if space, _ := c.spaces.Get().(*[]byte); space != nil {
		return space
	}
	return new([]byte)
}

func (c *Codec) keep(space *[]byte) {
	if cap(*space) <= keptSpace {
		c.spaces.Put(space)
	}
}

// Decode reads a stored value into v, an inventory or findings. Any error means that it
// is damaged, but for gate.ErrConflict: a later version has stored the inventory, and it
// is to be made again.
func (c *Codec) Decode(stored Value, v any) error {
	space := c.space()
	defer c.keep(space) // what is read keeps none of it
	data, err := c.open(stored, space)
	if err != nil {
		return err
	}
	if !isPacked(stored.Data) {
		return json.Unmarshal(data, v)
	}
	switch v := v.(type) {
	case *gate.Inventory:
		inv, err := packed.Inventory(data)
		if errors.Is(err, packed.ErrNewer) {
			return fmt.Errorf("%w: %w", err, gate.ErrConflict)
		}
		if err == nil {
			*v = *inv
		}
		return err
	case *gate.Findings:
		f, err := packed.Findings(data)
		if err == nil {
			*v = *f
		}
		return err
	}
	return fmt.Errorf("there is no stored form of %T: %w", v, gate.ErrInvalid)
}

// Check reports whether a stored value is what its id says.
func (c *Codec) Check(stored Value) error {
	space := c.space()
	defer c.keep(space)
	_, err := c.open(stored, space)
	return err
}

func isPacked(data []byte) bool {
	return len(data) >= len(packedMark) && string(data[:len(packedMark)]) == packedMark
}

// open unpacks what is what its id says, in a space.
func (c *Codec) open(stored Value, space *[]byte) ([]byte, error) {
	if isPacked(stored.Data) {
		if idOf(stored.Data) != stored.ID {
			return nil, errContent
		}
		stored.Data = stored.Data[len(packedMark):]
		return c.unpack(stored, space)
	}
	text, err := c.unpack(stored, space)
	if err == nil && idOf(text) != stored.ID {
		err = errContent
	}
	return text, err
}

var errContent = errors.New("content does not match its id")

// unpack takes no more memory than a value of its size.
func (c *Codec) unpack(stored Value, space *[]byte) (data []byte, err error) {
	if stored.Size <= 0 || stored.Size > MaxValue {
		data, err = c.decoder.DecodeAll(stored.Data, (*space)[:0])
	} else {
		if cap(*space) < stored.Size {
			*space = make([]byte, stored.Size)
		}
		return c.sized.DecodeAll(stored.Data, (*space)[:0:stored.Size])
	}
	if cap(data) > cap(*space) {
		*space = data
	}
	return data, err
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
