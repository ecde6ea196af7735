package agree

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
)

// maxUnpacked bounds what [PackJSON] packs, and what is unpacked of it: many times
// what a setting takes when it is compressed.
const maxUnpacked = 16 << 20

// Pack is a value as JSON, compressed with zstd, to be kept in a setting.
func Pack(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return compress(text)
}

// Unpack reads what [Pack] has made; its JSON may have limit bytes.
func Unpack(packed []byte, limit uint64, v any) error {
	text, err := decompress(packed, limit)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// PackJSON makes a content of a value: it is the digest of its JSON, and is kept
// in the store. Values that are equal must have equal JSON.
func PackJSON(v any) (Content, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return Content{}, fmt.Errorf("packing: %w: %w", gate.ErrInvalid, err)
	}
	if len(text) > maxUnpacked {
		return Content{}, fmt.Errorf("packing: %d bytes of JSON, more than %d: %w", len(text), maxUnpacked, gate.ErrTooLarge)
	}
	packed, err := compress(text)
	return Content{Digest: digestOf(text), Packed: packed}, err
}

// UnpackJSON reads a content that [PackJSON] has made. gate.ErrInvalid: it is
// damaged, or does not fit T.
func UnpackJSON[T any](a Activation) (v T, err error) {
	text, err := decompress(a.Packed, maxUnpacked)
	if err == nil && digestOf(text) != a.Content {
		err = errors.New("it does not have the digest of the content")
	}
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		return v, fmt.Errorf("unpacking what is in force under number %d: %w: %w", a.Number, gate.ErrInvalid, err)
	}
	return v, nil
}

func digestOf(text []byte) gate.Digest {
	sum := sha256.Sum256(text)
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func compress(text []byte) ([]byte, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer encoder.Close()
	return encoder.EncodeAll(text, nil), nil
}

func decompress(packed []byte, limit uint64) ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(limit), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	return decoder.DecodeAll(packed, nil)
}
