package format

import (
	"io"
	"unicode/utf8"
)

// Clean returns the text of r as XML and JSON readers take it: a mark of the byte order at
// its beginning is removed, bytes that are not UTF-8 and characters that XML forbids become
// U+FFFD. openEuler's CVRF files have such bytes in descriptions; refusing the file would
// lose its advisory. Versions and names with U+FFFD are refused where they are looked at.
func Clean(r io.Reader) io.Reader {
	return &cleaner{r: r, buf: make([]byte, 0, 32<<10), first: true}
}

type cleaner struct {
	r     io.Reader
	buf   []byte // read and not looked at; its end may be the begin of a character
	out   []byte // clean and not handed on
	first bool   // nothing was read yet
	err   error
}

const replacement = "\uFFFD"

// Read implements io.Reader.
func (c *cleaner) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil && len(c.buf) == 0 {
			return 0, c.err
		}
		c.fill()
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// fill reads a piece and cleans all of it but an incomplete character at its end.
func (c *cleaner) fill() {
	if c.err == nil {
		var n int
		n, c.err = c.r.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+n]
	}
	if c.first && (len(c.buf) >= 3 || c.err != nil) {
		c.first = false
		if string(c.buf[:min(3, len(c.buf))]) == "\uFEFF" {
			c.buf = append(c.buf[:0], c.buf[3:]...)
		}
	}
	if c.first {
		return
	}
	c.out = c.out[:0]
	rest := c.buf
	for len(rest) > 0 {
		if b := rest[0]; b < utf8.RuneSelf {
			if b < ' ' && b != '\n' && b != '\r' && b != '\t' {
				c.out = append(c.out, replacement...)
			} else {
				c.out = append(c.out, b)
			}
			rest = rest[1:]
			continue
		}
		if c.err == nil && !utf8.FullRune(rest) {
			break
		}
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			c.out = append(c.out, replacement...)
		} else {
			c.out = append(c.out, rest[:size]...)
		}
		rest = rest[size:]
	}
	c.buf = append(c.buf[:0], rest...)
}
