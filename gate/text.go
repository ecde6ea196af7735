package gate

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable makes text from outside fit for a log line or a terminal: bytes
// that are not printable ASCII become escapes and the result is cut to at most
// limit bytes, with "..." at the end when something was cut.
func Printable(s string, limit int) string {
	if len(s) <= limit && clean(s) {
		return s
	}
	var b strings.Builder
	cut := false
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+size]
		if r < 0x20 || r > 0x7e {
			q := strconv.QuoteToASCII(piece)
			piece = q[1 : len(q)-1]
		}
		if b.Len()+len(piece) > limit {
			cut = true
			break
		}
		b.WriteString(piece)
		i += size
	}
	if !cut {
		return b.String()
	}
	out := b.String()
	if limit < 3 {
		return out
	}
	return out[:min(len(out), limit-3)] + "..."
}

// clean reports whether s is printable ASCII, as most text is.
func clean(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
