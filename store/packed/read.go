package packed

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
)

// reader reads the fields of one value. After an error it reads zeros, and lists are
// empty.
type reader struct {
	form  byte
	data  []byte
	at    int // what is read of it
	texts []string
	next  int // text of the table that is not used yet
	err   error
}

// textBlock is how many bytes of texts share one piece of memory: what keeps a text
// keeps no more than that besides.
const textBlock = 512

// read reads a value with fields.
func read(data []byte, kind byte, fields func(*reader)) error {
	if len(data) < 2 || data[0] == 0 || data[1] != kind {
		return ErrDamaged
	}
	if data[0] > form {
		return ErrNewer
	}
	r := &reader{form: data[0], data: data[2:]}
	r.table()
	if r.err == nil {
		fields(r)
	}
	if r.err == nil && (r.left() > 0 || r.next != len(r.texts)) {
		r.damaged("%d bytes and %d texts are left", r.left(), len(r.texts)-r.next)
	}
	return r.err
}

func (r *reader) damaged(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+": %w", append(args, ErrDamaged)...)
	}
	r.data, r.at = nil, 0
}

func (r *reader) left() int { return len(r.data) - r.at }

// table reads the texts.
func (r *reader) table() {
	n := r.number()
	if n > uint64(r.left()) {
		r.damaged("%d texts in %d bytes", n, r.left())
		return
	}
	lengths := make([]int, n)
	sum := uint64(0)
	for i := range lengths {
		length := r.number()
		if sum += length; length > math.MaxInt32 || sum > uint64(r.left()) {
			r.damaged("texts are longer than all")
			return
		}
		lengths[i] = int(length)
	}
	if r.err != nil || sum > uint64(r.left()) {
		r.damaged("texts are longer than all")
		return
	}
	all := r.data[r.at:][:sum]
	r.at += int(sum)
	if !utf8.Valid(all) {
		r.damaged("texts are not UTF-8")
		return
	}
	r.texts = make([]string, n)
	for i := 0; i < len(lengths); {
		end, size := i, 0
		for end < len(lengths) && (end == i || size+lengths[end] <= textBlock) {
			size += lengths[end]
			end++
		}
		block := string(all[:size])
		all = all[size:]
		for ; i < end; i++ {
			r.texts[i], block = block[:lengths[i]], block[lengths[i]:]
			if len(r.texts[i]) > 0 && !utf8.RuneStart(r.texts[i][0]) {
				r.damaged("a text begins within a character")
				return
			}
		}
	}
}

func (r *reader) number() uint64 {
	if r.at < len(r.data) && r.data[r.at] < 0x80 { // most are small
		r.at++
		return uint64(r.data[r.at-1])
	}
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 {
		r.damaged("a number is cut off")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) integer() int64 {
	v := r.number()
	return int64(v>>1) ^ -int64(v&1)
}

// small is an integer as Go has them on every machine that this runs on.
func (r *reader) small() int { return int(r.integer()) }

func (r *reader) flag() bool {
	v := r.number()
	if v > 1 {
		r.damaged("a flag is %d", v)
	}
	return v == 1
}

func (r *reader) text() string {
	n := r.number()
	if n > 0 {
		if n > uint64(r.next) {
			r.damaged("there is no text %d", n)
			return ""
		}
		return r.texts[n-1]
	}
	if r.next >= len(r.texts) {
		r.damaged("there are no more than %d texts", len(r.texts))
		return ""
	}
	r.next++
	return r.texts[r.next-1]
}

func (r *reader) digest() gate.Digest { return gate.Digest(r.text()) }

// list is how long a list is; each element takes at least least bytes.
func (r *reader) list(least int) (n int, isNil bool) {
	length := r.number()
	if length == 0 {
		return 0, true
	}
	if length--; length > uint64(r.left()/least) {
		r.damaged("a list of %d is longer than all", length)
		return 0, true
	}
	return int(length), false
}

func (r *reader) textList() []string {
	n, isNil := r.list(1)
	if isNil {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.text()
	}
	return list
}

func (r *reader) time() time.Time {
	seconds, rest := r.integer(), r.number()
	if seconds < firstSecond || seconds > lastSecond || rest>>1 >= 1e9 {
		r.damaged("a time is none")
		return time.Time{}
	}
	t := time.Unix(seconds, int64(rest>>1)).UTC()
	if rest&1 == 0 {
		return t
	}
	offset := r.integer()
	if offset == 0 || offset <= -maxOffset || offset >= maxOffset {
		r.damaged("the place of a time is none")
		return time.Time{}
	}
	return t.In(time.FixedZone("", int(offset)))
}

func (r *reader) score() float64 {
	v := r.integer()
	if v&1 == 1 {
		return float64(v>>1) / 10
	}
	if v != 0 || r.left() < 8 {
		r.damaged("a score is none")
		return 0
	}
	score := math.Float64frombits(binary.LittleEndian.Uint64(r.data[r.at:]))
	r.at += 8
	if math.IsNaN(score) || math.IsInf(score, 0) {
		r.damaged("a score cannot be compared")
		return 0
	}
	return score
}
