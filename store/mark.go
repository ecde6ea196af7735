package store

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/digestgate/digestgate/gate"
)

// Marker makes the marks of one opened store. It is safe for concurrent use.
type Marker struct{ seed maphash.Seed }

// NewMarker makes a marker with a secret of its own: an attacker who writes to the store
// cannot choose two values with one mark.
func NewMarker() Marker { return Marker{maphash.MakeSeed()} }

// Add is a mark of what mark stands for and of one more stored row: its numbers and
// texts, in the order of its columns. The order of rows does not matter.
func (m Marker) Add(mark gate.Mark, numbers []int64, texts ...[]byte) gate.Mark {
	var h maphash.Hash
	h.SetSeed(m.seed)
	var room [8]byte
	number := func(n int64) {
		binary.LittleEndian.PutUint64(room[:], uint64(n))
		h.Write(room[:])
	}
	for _, n := range numbers {
		number(n)
	}
	for _, t := range texts { // each with its length, so that no two rows are written alike
		number(int64(len(t)))
		h.Write(t)
	}
	if mark += gate.Mark(h.Sum64()); mark == 0 {
		mark = 1
	}
	return mark
}
