package admission

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// plainJSON reports that a text is JSON and UTF-8, as json.Valid and utf8.Valid
// would, and nests at most maxNesting levels deep. One pass takes a third of the
// time of theirs. false says nothing: the text may be deeper, and whether it is
// refused the others decide. A fuzz target compares the two.
func plainJSON(raw []byte) bool {
	v := validity{raw: raw}
	if !v.value() {
		return false
	}
	return v.space() == len(raw) && (!v.foreign || utf8.Valid(raw))
}

// validity is the pass over a text. Its nesting is kept in bits, one for each level
// that is open: whether it is an object.
type validity struct {
	raw     []byte
	at      int
	objects [maxNesting/64 + 1]uint64
	level   int
	foreign bool // there are bytes outside ASCII
}

// value passes the whole value that begins at v.at, spaces in front of it too.
func (v *validity) value() bool {
	for {
		closed, ok := v.begin()
		if !ok {
			return false
		}
		if !closed {
			continue // the first value inside
		}
		if more, ok := v.end(); !ok || !more {
			return ok
		}
	}
}

// begin passes one scalar, or the brackets of an empty value; closed is false after
// the opening bracket of one with a value in it, which begins at v.at then.
func (v *validity) begin() (closed, ok bool) {
	if v.space() == len(v.raw) {
		return false, false
	}
	switch c := v.raw[v.at]; c {
	case '{', '[':
		if v.level == maxNesting {
			return false, false
		}
		object := c == '{'
		word, bit := v.level/64, uint64(1)<<(v.level%64)
		v.objects[word] &^= bit
		if object {
			v.objects[word] |= bit
		}
		v.at++
		if at := v.space(); at < len(v.raw) && v.raw[at] == c+2 { // ] follows [ by two, and } follows {
			v.at++
			return true, true
		}
		v.level++
		return false, !object || v.name()
	case '"':
		return true, v.text()
	case 't':
		return true, v.word("true")
	case 'f':
		return true, v.word("false")
	case 'n':
		return true, v.word("null")
	}
	return true, v.number()
}

// end passes what follows a value, up to where the next one begins; more is false
// after the last.
func (v *validity) end() (more, ok bool) {
	for v.level > 0 {
		at := v.space()
		if at == len(v.raw) {
			return false, false
		}
		object := v.objects[(v.level-1)/64]>>((v.level-1)%64)&1 == 1
		v.at++
		switch c := v.raw[at]; {
		case c == ',':
			return true, !object || v.name()
		case c == '}' && object, c == ']' && !object:
			v.level--
		default:
			return false, false
		}
	}
	return false, true
}

// name passes the name of a member and its colon.
func (v *validity) name() bool {
	if at := v.space(); at == len(v.raw) || v.raw[at] != '"' || !v.text() {
		return false
	}
	if at := v.space(); at == len(v.raw) || v.raw[at] != ':' {
		return false
	}
	v.at++
	return true
}

func (v *validity) space() int {
	at := v.at
	for at < len(v.raw) && (v.raw[at] == ' ' || v.raw[at] == '\n' || v.raw[at] == '\t' || v.raw[at] == '\r') {
		at++
	}
	v.at = at
	return at
}

func (v *validity) word(word string) bool {
	if len(v.raw)-v.at < len(word) || string(v.raw[v.at:v.at+len(word)]) != word {
		return false
	}
	v.at += len(word)
	return true
}

// text passes a string, whose quotation mark is at v.at.
func (v *validity) text() bool {
	raw, i := v.raw, v.at+1
	for {
		i = plainEnd(raw, i)
		if i == len(raw) {
			return false
		}
		switch c := raw[i]; {
		case c == '"':
			v.at = i + 1
			return true
		case c >= utf8.RuneSelf:
			v.foreign = true
			i++
		case c != '\\':
			return false // a control character
		case i+1 == len(raw):
			return false
		default:
			switch raw[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if len(raw)-i < 6 || !hexadecimal(raw[i+2:i+6]) {
					return false
				}
				i += 6
			default:
				return false
			}
		}
	}
}

func hexadecimal(digits []byte) bool {
	for _, c := range digits {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// number passes a number.
func (v *validity) number() bool {
	raw, i := v.raw, v.at
	if i < len(raw) && raw[i] == '-' {
		i++
	}
	whole := digits(raw, i)
	if whole == i || raw[i] == '0' && whole > i+1 {
		return false
	}
	i = whole
	if i < len(raw) && raw[i] == '.' {
		end := digits(raw, i+1)
		if end == i+1 {
			return false
		}
		i = end
	}
	if i < len(raw) && raw[i]|0x20 == 'e' {
		if i++; i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
			i++
		}
		end := digits(raw, i)
		if end == i {
			return false
		}
		i = end
	}
	v.at = i
	return true
}

func digits(raw []byte, i int) int {
	for i < len(raw) && raw[i] >= '0' && raw[i] <= '9' {
		i++
	}
	return i
}

// Eight bytes of a text at a time: each, and the highest bit of each.
const (
	each8 = 0x0101010101010101
	high8 = 0x8080808080808080
)

// zeros marks the highest bit of the first byte of a word that is 0; above it there
// may be others that are none.
func zeros(w uint64) uint64 { return (w - each8) & ^w & high8 }

// plainEnd is where a text stops being printable ASCII without a quotation mark or
// a backslash.
func plainEnd(raw []byte, i int) int {
	for ; len(raw)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(raw[i:])
		control := (w - each8*0x20) & ^w & high8 // as in zeros, for bytes below 0x20
		if found := control | zeros(w^each8*'"') | zeros(w^each8*'\\') | w&high8; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(raw) && raw[i] >= 0x20 && raw[i] < utf8.RuneSelf && raw[i] != '"' && raw[i] != '\\' {
		i++
	}
	return i
}

// printable reports whether a text is printable ASCII.
func printable(raw []byte) bool {
	i := 0
	for ; len(raw)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(raw[i:])
		if (w-each8*0x20)&^w&high8|zeros(w^each8*0x7f)|w&high8 != 0 {
			return false
		}
	}
	for ; i < len(raw); i++ {
		if raw[i] < 0x20 || raw[i] > 0x7e {
			return false
		}
	}
	return true
}

// bracketOrText is where the next bracket of an object or array, or the next
// quotation mark, is, from i on; of valid JSON, outside of its strings.
func bracketOrText(raw []byte, i int) int {
	for ; len(raw)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(raw[i:])
		lower := w | each8*0x20 // [ becomes {, and ] becomes }
		if found := zeros(w^each8*'"') | zeros(lower^each8*'{') | zeros(lower^each8*'}'); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(raw) && raw[i] != '"' && raw[i]|0x20 != '{' && raw[i]|0x20 != '}' {
		i++
	}
	return i
}
