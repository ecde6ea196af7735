package packed

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
)

// writer collects the texts and the fields of one value.
type writer struct {
	numbers *numbers
	lengths []byte
	texts   []byte
	fields  []byte
	err     error
	// lately are texts of each field of the last vulnerabilities, which mostly come again:
	// comparing them takes less than looking a text up.
	lately [latelyFields][latelyTexts]numbered
}

// numbered is a text and its number.
type numbered struct {
	text   string
	number uint64
}

const (
	latelyFields = 16
	latelyTexts  = 2
)

// repeated is text for a text of a field that often has the same.
func (w *writer) repeated(field int, s string) {
	last := &w.lately[field]
	for i := range last {
		if last[i].number > 0 && last[i].text == s {
			w.number(last[i].number)
			return
		}
	}
	n := w.text(s)
	last[1], last[0] = last[0], numbered{s, n}
}

// writers keep the memory of writers, whose tables cost most of a small value.
var writers = sync.Pool{New: func() any { return &writer{numbers: newNumbers()} }}

// maxKept is how many texts a writer may have had to be used again.
const maxKept = 20_000

func newWriter() *writer { return writers.Get().(*writer) }

func (w *writer) release() {
	if len(w.numbers.texts) > maxKept {
		return
	}
	w.numbers.forget()
	w.lately = [latelyFields][latelyTexts]numbered{} // which keep other memory
	w.lengths, w.texts, w.fields, w.err = w.lengths[:0], w.texts[:0], w.fields[:0], nil
	writers.Put(w)
}

// append puts the parts together: the form, what it is, how many texts, their lengths,
// the texts, and the fields.
func (w *writer) append(to []byte, kind byte) ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	to = binary.AppendUvarint(append(to, form, kind), uint64(len(w.numbers.texts)))
	return append(append(append(to, w.lengths...), w.texts...), w.fields...), nil
}

func (w *writer) number(n uint64)      { w.fields = binary.AppendUvarint(w.fields, n) }
func (w *writer) integer(n int64)      { w.fields = binary.AppendVarint(w.fields, n) }
func (w *writer) flag(v bool)          { w.number(bit(v, 0)) }
func (w *writer) digest(d gate.Digest) { w.text(string(d)) }

// text writes the number of a text, which it returns; 0 is the next of the table.
func (w *writer) text(s string) uint64 {
	n := w.numbers.of(s)
	if n == 0 && !utf8.ValidString(s) {
		s = valid(s)
		n = w.numbers.of(s)
	}
	if n > 0 {
		w.number(n)
		return n
	}
	n = w.numbers.add(s)
	w.lengths = binary.AppendUvarint(w.lengths, uint64(len(s)))
	w.texts = append(w.texts, s...)
	w.number(0)
	return n
}

// valid replaces each byte that is not UTF-8, as encoding/json does.
func valid(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

// list writes how long a list is, and whether it is nil.
func (w *writer) list(n int, isNil bool) {
	if isNil {
		w.number(0)
		return
	}
	w.number(uint64(n) + 1)
}

// textList writes a list of texts.
func (w *writer) textList(list []string) {
	w.list(len(list), list == nil)
	for _, s := range list {
		w.text(s)
	}
}

// Times that JSON has a form for.
var (
	firstSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

const maxOffset = 24 * 60 * 60 // seconds

// time writes seconds since 1970, nanoseconds, and how far from UTC the place is.
func (w *writer) time(t time.Time) {
	_, offset := t.Zone()
	if year := t.Year(); year < 0 || year > 9999 || offset <= -maxOffset || offset >= maxOffset || t.Unix() < firstSecond || t.Unix() > lastSecond {
		w.err = fmt.Errorf("encoding: the year of a time is %d, want 0 to 9999: %w", year, gate.ErrInvalid)
		return
	}
	w.integer(t.Unix())
	w.number(uint64(t.Nanosecond())<<1 | bit(offset != 0, 0))
	if offset != 0 {
		w.integer(int64(offset))
	}
}

// score writes a number of CVSS, which has one decimal.
func (w *writer) score(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		w.err = fmt.Errorf("encoding: the score %v cannot be compared: %w", v, gate.ErrInvalid)
		return
	}
	negative := v == 0 && math.Signbit(v) // JSON keeps its sign
	if tenths := math.Round(v * 10); !negative && math.Abs(tenths) <= 1000 && math.Float64bits(tenths/10) == math.Float64bits(v) {
		w.integer(int64(tenths)<<1 | 1)
		return
	}
	w.integer(0)
	w.fields = binary.LittleEndian.AppendUint64(w.fields, math.Float64bits(v))
}

func bit(v bool, at int) uint64 {
	if v {
		return 1 << at
	}
	return 0
}
