package gate

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable makes text from outside fit for a log line or a terminal: bytes
// that are not printable ASCII become escapes and the result is cut to at most
// limit bytes, with "..." at the end when something was cut. It adds no quotation
// marks; for a value that a message quotes use [Quoted].
func Printable(s string, limit int) string {
	switch {
	case len(s) <= limit:
		if clean(s) {
			return s
		}
	case limit >= 3 && clean(s[:limit]):
		return s[:limit-3] + "..."
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

// Quoted is text from outside in quotation marks, for a message. It shows the value
// as it was, escaped once. At most limit bytes stand between the marks, with "..." at
// their end when something was cut; no escape is cut in two. Format it with %s: %q
// would escape it a second time, as it would the result of [Printable].
func Quoted(s string, limit int) string {
	return string(AppendQuoted(make([]byte, 0, min(len(s), max(limit, 0))+2), s, limit))
}

// AppendQuoted appends what [Quoted] returns to b.
func AppendQuoted(b []byte, s string, limit int) []byte {
	if len(s) <= limit && verbatim(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	const dots = "..."
	limit = max(limit, 0)
	b = append(b, '"')
	start := len(b)
	keep := len(b) // what stays when dots follow
	for rest := s; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		var room [len(`"\U0010ffff"`)]byte
		piece := strconv.AppendQuoteToASCII(room[:0], rest[:size])
		piece = piece[1 : len(piece)-1]
		if len(b)-start+len(piece) > limit {
			return append(append(b[:keep], dots[:min(len(dots), limit)]...), '"')
		}
		b = append(b, piece...)
		if len(b)-start <= limit-len(dots) {
			keep = len(b)
		}
		rest = rest[size:]
	}
	return append(b, '"')
}

// verbatim reports whether s stands in quotation marks as it is.
func verbatim(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
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
