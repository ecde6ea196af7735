package packed

import (
	"fmt"
	"testing"
)

// TestNumbers: each text has its own number, in the order in which the texts came, however
// many there are, and after all were forgotten there are none.
func TestNumbers(t *testing.T) {
	n := newNumbers()
	for _, count := range []int{10, 3 * leastSlots, 10} {
		for i := range count {
			text := fmt.Sprint("text ", i)
			if got := n.of(text); got != 0 {
				t.Fatalf("%q: got number %d before it was added", text, got)
			}
			if got := n.add(text); got != uint64(i)+1 {
				t.Fatalf("%q: got number %d, want %d", text, got, i+1)
			}
		}
		for i := range count {
			if got := n.of(fmt.Sprint("text ", i)); got != uint64(i)+1 {
				t.Fatalf("text %d of %d: got number %d", i, count, got)
			}
		}
		n.forget()
	}
}
