package store

import (
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestBomb: a few bytes that unpack to 60 MiB cost no more memory than the value
// in whose place they are.
func TestBomb(t *testing.T) {
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	value, err := c.Encode(map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{value.Size, 0} { // 0 was stored before sizes were kept
		var back map[string]string
		if err := c.Decode(Value{ID: value.ID, Data: value.Data, Size: size}, &back); err != nil || back["a"] != "b" {
			t.Fatalf("Decode with size %d: got %v, %v", size, back, err)
		}
	}
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer packer.Close()
	value.Data = packer.EncodeAll(make([]byte, 60<<20), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := c.Decode(value, new(any)); err == nil {
		t.Error("the bomb was taken")
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 20 {
		t.Errorf("%d bytes took %d MiB", len(value.Data), took)
	}
}
