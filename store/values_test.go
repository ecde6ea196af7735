package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/packed"
)

func codec(t *testing.T) *Codec {
	t.Helper()
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestStoredBefore: what versions before have stored, JSON compressed with zstd, is
// still read, and its id is that of the JSON.
func TestStoredBefore(t *testing.T) {
	c := codec(t)
	want := gate.Inventory{Format: 1, Digest: "sha256:a", AnalyzedAt: time.Unix(1, 0).UTC(), Packages: []gate.Package{{Name: "a", Licenses: []string{"MIT"}}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, len(text)} {
		before := Value{ID: idOf(text), Data: c.encoder.EncodeAll(text, nil), Size: size}
		var got gate.Inventory
		if err := c.Decode(before, &got); err != nil || c.Check(before) != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		before.ID = idOf(before.Data)
		if err := c.Decode(before, &got); err == nil {
			t.Error("the hash of the compressed JSON is taken for its id")
		}
	}
}

// TestEveryByteCounts: a stored value that is changed in any byte is refused.
func TestEveryByteCounts(t *testing.T) {
	c := codec(t)
	value, err := c.Encode(&gate.Findings{Digest: "sha256:a", Vulnerabilities: []gate.Vulnerability{{ID: "CVE-1", Severity: "HIGH", CVSS: 9.8}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range value.Data {
		changed := value
		changed.Data = bytes.Clone(value.Data)
		changed.Data[i] ^= 1
		if err := c.Decode(changed, new(gate.Findings)); err == nil {
			t.Errorf("byte %d of %d does not count", i, len(value.Data))
		}
	}
	if err := c.Decode(value, new(gate.Inventory)); err == nil {
		t.Error("findings are read as an inventory")
	}
}

// TestNewer: an inventory that a later version has stored is to be made again, such
// findings count as damaged.
func TestNewer(t *testing.T) {
	c := codec(t)
	data := append([]byte(packedMark), c.encoder.EncodeAll([]byte{99, 'i', 0}, nil)...)
	if err := c.Decode(Value{ID: idOf(data), Data: data}, new(gate.Inventory)); !errors.Is(err, gate.ErrConflict) || !errors.Is(err, packed.ErrNewer) {
		t.Errorf("inventory: got %v", err)
	}
	data = append([]byte(packedMark), c.encoder.EncodeAll([]byte{99, 'f', 0}, nil)...)
	if err := c.Decode(Value{ID: idOf(data), Data: data}, new(gate.Findings)); err == nil || errors.Is(err, gate.ErrConflict) {
		t.Errorf("findings: got %v", err)
	}
}

// TestBomb: a few bytes that unpack to 60 MiB cost no more memory than the value
// in whose place they are.
func TestBomb(t *testing.T) {
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	value, err := c.Encode(&gate.Findings{Matcher: "m"})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{value.Size, 0} { // 0 was stored before sizes were kept
		var back gate.Findings
		if err := c.Decode(Value{ID: value.ID, Data: value.Data, Size: size}, &back); err != nil || back.Matcher != "m" {
			t.Fatalf("Decode with size %d: got %v, %v", size, back, err)
		}
	}
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer packer.Close()
	for _, mark := range []string{"", packedMark} {
		value.Data = packer.EncodeAll(make([]byte, 60<<20), []byte(mark))
		if mark != "" {
			value.ID = idOf(value.Data) // forged together with the record
		}
		takesLittle(t, c, value)
	}
}

func takesLittle(t *testing.T, c *Codec, value Value) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := c.Decode(value, new(gate.Findings)); err == nil {
		t.Error("the bomb was taken")
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 20 {
		t.Errorf("%d bytes took %d MiB", len(value.Data), took)
	}
}
