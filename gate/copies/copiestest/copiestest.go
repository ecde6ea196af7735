// Package copiestest fills caches with records and tags that take as much memory as real
// ones, and checks that they hold what they promise.
package copiestest

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// heap is what is reachable now, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what has a finalizer or lies in a pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Name is a text of n bytes of its own that differs by i.
func Name(i, n int) string { return fmt.Sprintf("%0*d", n, i) }

// Digest is the digest with a number.
func Digest(i int) gate.Digest { return gate.Digest("sha256:" + Name(i, 64)) }

// Mapped is a tag mapping whose names have n bytes at most.
func Mapped(i, n int) gate.TagMapping {
	key := gate.TagKey{Location: gate.Location{Registry: Name(i, min(n, 63)), Repository: Name(i, min(n, 255))}, Tag: Name(i, min(n, 128))}
	return gate.TagMapping{TagKey: key, Digest: Digest(i), Host: Name(i, min(n, 253))}
}

// Held is a cache that is filled by Offer, i being another each time.
type Held struct {
	Bound  int64 // in bytes
	Offer  func(i int)
	Weight func() int64
	Count  func() int
}

// Check fills caches beyond their bounds, and compares what they weigh with what they take.
func Check(t *testing.T, build map[string]func() Held) {
	t.Helper()
	for what, fill := range build {
		t.Run(what, func(t *testing.T) {
			before := heap()
			c := fill()
			for i := range 500 {
				c.Offer(i)
			}
			each := c.Weight() / int64(c.Count())
			for i := range int(c.Bound / each * 5 / 4) { // a quarter more than fits
				c.Offer(500 + i)
			}
			weight, count := c.Weight(), c.Count()
			grown := heap() - before
			runtime.KeepAlive(c)
			t.Logf("%d entries of %d bytes: weighed %d KiB of %d, the heap grew by %d", count, weight/int64(count), weight>>10, c.Bound>>10, grown>>10)
			if weight > c.Bound || weight < c.Bound*8/10 {
				t.Errorf("full, it weighs %d bytes; want at most %d and nearly that", weight, c.Bound)
			}
			if grown > 2*weight || grown < weight/2 {
				t.Errorf("it weighs %d bytes and the heap grew by %d: no truthful weight", weight, grown)
			}
		})
	}
}
