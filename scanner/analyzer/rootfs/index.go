package rootfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
)

// AppendIndex writes entries in a compact form behind dst: for each its kind
// and who refuses it,
// how many bytes of its name are those of the entry before, the rest, and what
// belongs to the kind. [ParseIndex] reads it.
func AppendIndex(dst []byte, entries []Entry) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	before := ""
	for _, e := range entries {
		shared := 0
		for shared < len(before) && shared < len(e.Name) && before[shared] == e.Name[shared] {
			shared++
		}
		dst = append(dst, byte(e.Kind)|byte(e.Refused)<<4)
		dst = binary.AppendUvarint(dst, uint64(shared))
		dst = appendText(dst, e.Name[shared:])
		dst = binary.AppendUvarint(dst, uint64(e.Mode))
		switch e.Kind {
		case File:
			dst = binary.AppendUvarint(dst, uint64(max(e.Size, 0)))
		case Symlink, Hardlink:
			dst = appendText(dst, e.Link)
		}
		before = e.Name
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

var errIndex = errors.New("the index of a layer is damaged")

// ParseIndex reads what [AppendIndex] wrote, which may come from a hostile
// process: it costs at most what raw is long for each entry, and no more than
// max entries are read.
func ParseIndex(raw []byte, max int) ([]Entry, error) {
	r := &indexReader{raw: raw}
	n := r.number()
	if n > uint64(max) {
		return nil, fmt.Errorf("the index of a layer has %d entries, more than %d", n, max)
	}
	if n > uint64(len(raw)) {
		return nil, errIndex
	}
	entries := make([]Entry, 0, n)
	before, total := "", 0
	for range n {
		head := r.octet()
		e := Entry{Kind: Kind(head & 0xf), Refused: Refusal(head >> 4)}
		shared := r.number()
		if shared > uint64(len(before)) || e.Kind == 0 || e.Kind > lastKind {
			return nil, errIndex
		}
		e.Name = before[:shared] + r.text()
		e.Mode = uint32(r.number())
		switch e.Kind {
		case File:
			e.Size = int64(r.number())
		case Symlink, Hardlink:
			e.Link = r.text()
		}
		if total += len(e.Name); r.broken || e.Size < 0 || e.Name != path.Clean(e.Name) || total > maxIndexNames {
			return nil, errIndex
		}
		before = e.Name
		entries = append(entries, e)
	}
	if r.broken || len(r.raw) != 0 {
		return nil, errIndex
	}
	return entries, nil
}

// maxIndexNames bounds the bytes of all names of a layer, which share their
// beginnings in the index. 300,000 entries have some 30 MB.
const maxIndexNames = 512 << 20

// indexReader reads pieces of an index; after the first that is not there it is
// broken and gives zeros.
type indexReader struct {
	raw    []byte
	broken bool
}

func (r *indexReader) number() uint64 {
	n, size := binary.Uvarint(r.raw)
	if size <= 0 {
		r.broken, r.raw = true, nil
		return 0
	}
	r.raw = r.raw[size:]
	return n
}

func (r *indexReader) octet() byte {
	if len(r.raw) == 0 {
		r.broken = true
		return 0
	}
	b := r.raw[0]
	r.raw = r.raw[1:]
	return b
}

func (r *indexReader) text() string {
	n := r.number()
	if n > uint64(len(r.raw)) {
		r.broken, r.raw = true, nil
		return ""
	}
	s := string(r.raw[:n])
	r.raw = r.raw[n:]
	return s
}
