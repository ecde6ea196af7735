package advisory

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// bbolt follows the page numbers in a file without looking whether they lead
// in a circle or out of it: a damaged file makes it loop until memory is used
// up, which nothing in the process can stop. So the tree of pages is checked
// before bbolt walks it. The layout is that of bbolt's internal/common (page.go,
// bucket.go), unchanged since its version 1.0; numbers are little-endian on
// every platform that we build for.
const (
	pageHeader    = 16 // id uint64, flags uint16, count uint16, overflow uint32
	pageElement   = 16 // branch: pos, ksize uint32, page uint64; leaf: flags, pos, ksize, vsize uint32
	bucketHeader  = 16 // root page uint64, sequence uint64
	branchPage    = 0x01
	leafPage      = 0x02
	bucketElement = 0x01
	// maxPageDepth bounds branches and nested buckets together. A tree of
	// 4 kB pages with 2^40 keys is 8 deep, and buckets nest three times.
	maxPageDepth = 64
	// maxPageBytes bounds a page with its overflow, which is read into memory. The
	// largest record of a vulnerability has some hundred kB.
	maxPageBytes = 64 << 20
)

// pageWalk checks a file.
type pageWalk struct {
	file  io.ReaderAt
	size  int    // of a page, bytes
	pages uint64 // in the file
	seen  []bool // page is part of the tree
}

// span bounds the keys of a part of the tree: at least from, below to; nil is
// no bound.
type span struct{ from, to []byte }

func (s span) has(key []byte) bool {
	return bytes.Compare(key, s.from) >= 0 && (s.to == nil || bytes.Compare(key, s.to) < 0)
}

// page checks the page with the number id and all below it.
func (w *pageWalk) page(id uint64, keys span, depth int) error {
	if depth > maxPageDepth {
		return fmt.Errorf("page %d: nested too deeply", id)
	}
	if id < 2 || id >= w.pages { // pages 0 and 1 are the file's header
		return fmt.Errorf("page %d: not in the file, which has %d", id, w.pages)
	}
	header := make([]byte, pageHeader)
	offset := int64(id) * int64(w.size)
	if _, err := w.file.ReadAt(header, offset); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	extra := uint64(binary.LittleEndian.Uint32(header[12:]))
	if got := binary.LittleEndian.Uint64(header); got != id || id+extra >= w.pages {
		return fmt.Errorf("page %d: it says that it is page %d with %d more", id, got, extra)
	}
	if (extra+1)*uint64(w.size) > maxPageBytes {
		return fmt.Errorf("page %d: it has %d bytes, want at most %d", id, (extra+1)*uint64(w.size), maxPageBytes)
	}
	for i := id; i <= id+extra; i++ {
		if w.seen[i] {
			return fmt.Errorf("page %d: used twice", i)
		}
		w.seen[i] = true
	}
	data := make([]byte, (1+int(extra))*w.size)
	if _, err := w.file.ReadAt(data, offset); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if err := w.elements(data, keys, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements checks what a page in memory holds.
func (w *pageWalk) elements(data []byte, keys span, depth int) error {
	flags := binary.LittleEndian.Uint16(data[8:])
	count := int(binary.LittleEndian.Uint16(data[10:]))
	if flags != branchPage && flags != leafPage {
		return fmt.Errorf("has the flags %#x", flags)
	}
	if pageHeader+count*pageElement > len(data) {
		return fmt.Errorf("has %d elements, more than fit", count)
	}
	if flags == branchPage {
		return w.branch(data, count, keys, depth)
	}
	var last []byte
	for i := range count {
		at := pageHeader + i*pageElement
		e := data[at:]
		kind, pos := binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])
		key, err := slice(data, at, pos, binary.LittleEndian.Uint32(e[8:]))
		if err != nil {
			return err
		}
		value, err := slice(data, at, pos+uint32(len(key)), binary.LittleEndian.Uint32(e[12:]))
		if err != nil {
			return err
		}
		if !keys.has(key) || i > 0 && bytes.Compare(key, last) <= 0 {
			return fmt.Errorf("key %d is out of order", i)
		}
		last = key
		switch kind {
		case 0:
		case bucketElement:
			if err := w.bucket(value, depth+1); err != nil {
				return fmt.Errorf("bucket %q: %w", key, err)
			}
		default:
			return fmt.Errorf("element %d has the flags %#x", i, kind)
		}
	}
	return nil
}

func (w *pageWalk) branch(data []byte, count int, keys span, depth int) error {
	if count == 0 {
		return fmt.Errorf("is a branch without elements")
	}
	type child struct {
		key  []byte
		page uint64
	}
	children := make([]child, count)
	for i := range children {
		at := pageHeader + i*pageElement
		key, err := slice(data, at, binary.LittleEndian.Uint32(data[at:]), binary.LittleEndian.Uint32(data[at+4:]))
		if err != nil {
			return err
		}
		if i > 0 && (!keys.has(key) || bytes.Compare(key, children[i-1].key) <= 0) {
			return fmt.Errorf("key %d is out of order", i)
		}
		children[i] = child{key, binary.LittleEndian.Uint64(data[at+8:])}
	}
	for i, c := range children {
		below := span{from: c.key, to: keys.to}
		if i == 0 {
			below.from = keys.from // a search below the first key goes there too
		}
		if i+1 < count {
			below.to = children[i+1].key
		}
		if err := w.page(c.page, below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a nested bucket: pages of its own, or a small page inside the
// value.
func (w *pageWalk) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("has %d bytes", len(value))
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return w.page(root, span{}, depth)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || depth > maxPageDepth {
		return fmt.Errorf("has %d bytes", len(value))
	}
	if flags := binary.LittleEndian.Uint16(inline[8:]); flags != leafPage {
		return fmt.Errorf("has the flags %#x", flags)
	}
	return w.elements(inline, span{}, depth)
}

// slice is n bytes of a page, pos behind the element at offset at.
func slice(data []byte, at int, pos, n uint32) ([]byte, error) {
	from, to := uint64(at)+uint64(pos), uint64(at)+uint64(pos)+uint64(n)
	if to > uint64(len(data)) {
		return nil, fmt.Errorf("an element reaches beyond the page")
	}
	return data[from:to], nil
}
