package advisory_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestBuild_archive_with_a_false_number: an archive whose end names few entries, and which
// has many, does not fill the memory. archive/zip compares the last 16 bits of the number.
func TestBuild_archive_with_a_false_number(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	const n = 1<<16 + 1
	for i := range n {
		if _, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("entry-%d.json", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	end, far := data[len(data)-22:], bytes.LastIndex(data, []byte("PK\x06\x07"))
	from := binary.LittleEndian.Uint64(data[bytes.LastIndex(data, []byte("PK\x06\x06"))+48:])
	copy(data[far:], "....") // the record with the true number
	binary.LittleEndian.PutUint16(end[8:], 1)
	binary.LittleEndian.PutUint16(end[10:], 1)
	binary.LittleEndian.PutUint32(end[12:], 60)
	binary.LittleEndian.PutUint32(end[16:], uint32(from))
	_, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{"all.zip": {Data: data}}, Out: t.TempDir() + "/out", Now: now})
	if !errors.Is(err, gate.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}
