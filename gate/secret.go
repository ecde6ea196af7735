package gate

import (
	"bytes"
	"fmt"
)

// MinSecret is the length in bytes from which a secret is out of reach of
// guessing at the rates that a server answers; shorter ones are warned about.
const MinSecret = 16

// SecretText is what a file with one secret holds, without white space around it and
// without the byte order mark that some editors write in front: no client sends it.
// ErrInvalid for UTF-16, which would never match.
func SecretText(raw []byte) ([]byte, error) {
	text, err := PlainText(raw)
	return bytes.TrimSpace(text), err
}

// PlainText is the content of a file that people write, without the byte order mark
// that some editors put at its beginning and that would hide the first word from every
// reader. ErrInvalid for UTF-16.
func PlainText(raw []byte) ([]byte, error) {
	utf16 := bytes.HasPrefix(raw, []byte("\xff\xfe")) || bytes.HasPrefix(raw, []byte("\xfe\xff"))
	// A random key may begin like that; text in UTF-16 also has zero bytes.
	if utf16 && bytes.IndexByte(raw, 0) >= 0 {
		return nil, fmt.Errorf("it is text in UTF-16; save it as UTF-8 without a byte order mark: %w", ErrInvalid)
	}
	return bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), nil
}
