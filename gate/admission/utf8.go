package admission

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf8Text removes a byte order mark. Windows PowerShell writes UTF-16 when the
// output of a program is sent into a file.
func utf8Text(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	head, _ := in.Peek(3) // the next read returns the error
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(head, []byte("\ufeff")):
		_, _ = in.Discard(3)
		return in
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return in
	}
	_, _ = in.Discard(2)
	return &utf16Reader{in: in, order: order}
}

// utf16Reader makes UTF-8 of UTF-16.
type utf16Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	out   []byte // made, not yet read
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) < len(p) {
		r, err := u.rune()
		if err != nil {
			if len(u.out) > 0 {
				break
			}
			return 0, err
		}
		u.out = utf8.AppendRune(u.out, r)
	}
	n := copy(p, u.out)
	u.out = append(u.out[:0], u.out[n:]...)
	return n, nil
}

func (u *utf16Reader) rune() (rune, error) {
	var unit [2]byte
	if _, err := io.ReadFull(u.in, unit[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		return 0, err
	}
	first := rune(u.order.Uint16(unit[:]))
	if !utf16.IsSurrogate(first) {
		return first, nil
	}
	next, _ := u.in.Peek(2)
	if len(next) < 2 {
		return utf8.RuneError, nil
	}
	both := utf16.DecodeRune(first, rune(u.order.Uint16(next)))
	if both != utf8.RuneError {
		_, _ = u.in.Discard(2)
	}
	return both, nil
}
