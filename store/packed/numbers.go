package packed

import "hash/maphash"

// numbers give each text a number, from 1, in the order in which the texts come. It is a
// table with open places: a map takes three times as long, which was most of writing a
// value.
type numbers struct {
	seed  maphash.Seed
	slots []uint32 // numbers, 0 where there is none; a power of two, half of them empty
	texts []string
}

// leastSlots is how many there are at first.
const leastSlots = 2048

func newNumbers() *numbers {
	return &numbers{seed: maphash.MakeSeed(), slots: make([]uint32, leastSlots)}
}

// slot is where a text is, or where it belongs.
func (n *numbers) slot(s string) *uint32 {
	mask := uint64(len(n.slots) - 1)
	for i := maphash.String(n.seed, s) & mask; ; i = (i + 1) & mask {
		if at := n.slots[i]; at == 0 || n.texts[at-1] == s {
			return &n.slots[i]
		}
	}
}

// of is the number of a text, 0 when it has none.
func (n *numbers) of(s string) uint64 { return uint64(*n.slot(s)) }

// add gives a text that has none a number.
func (n *numbers) add(s string) uint64 {
	if 2*len(n.texts) >= len(n.slots) {
		n.slots = make([]uint32, 2*len(n.slots))
		for i, t := range n.texts {
			*n.slot(t) = uint32(i) + 1
		}
	}
	n.texts = append(n.texts, s)
	*n.slot(s) = uint32(len(n.texts))
	return uint64(len(n.texts))
}

// forget forgets all, and keeps no text.
func (n *numbers) forget() {
	clear(n.slots)
	clear(n.texts)
	n.texts = n.texts[:0]
}
