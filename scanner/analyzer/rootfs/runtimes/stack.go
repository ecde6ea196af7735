package runtimes

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A Stack is the layers of an image, the lowest first.
type Stack []Layer

// A Layer is the entries of one archive, in their order.
type Layer []Entry

// An Entry is one entry of an archive, before it is written.
type Entry struct {
	Type         byte // tar.TypeReg, tar.TypeDir, …
	Name         string
	Link         string // of a symbolic or a hard link
	Major, Minor int64  // of a device
	// Xattrs are written as PAX records "SCHILY.xattr.NAME".
	Xattrs map[string]string
}

// paxXattr is what names of extended attributes in PAX records begin with; the
// other spelling, "LIBARCHIVE.xattr.", is read by none of the unpackers here.
const paxXattr = "SCHILY.xattr."

// Content names the content of a regular file by where it comes from, so that
// each is unique: "2.5" is the content of entry 5 of layer 2, both from 0.
func Content(layer, entry int) string { return fmt.Sprintf("%d.%d", layer, entry) }

// Place is the reverse of Content; ok is false for what no entry brought.
func Place(content string) (layer, entry int, ok bool) {
	n, err := fmt.Sscanf(content, "%d.%d", &layer, &entry)
	return layer, entry, err == nil && n == 2
}

// Archive writes layer i of the stack. The content of entry j is content(i, j).
//
// Each entry is written by a writer of its own, so that what the standard
// library does not write can be put in behind it.
func (s Stack) Archive(i int, content func(layer, entry int) string) ([]byte, error) {
	var out []byte
	for j, e := range s[i] {
		body := ""
		if e.Type == tar.TypeReg {
			body = content(i, j)
		}
		b, err := e.write(body)
		if err != nil {
			return nil, fmt.Errorf("writing %q: %w", e, err)
		}
		out = append(out, b...)
	}
	return append(out, make([]byte, 1024)...), nil
}

// slash stands for the one at the end of a file's name, which the writer refuses
// and every reader takes.
const slash = '\x01'

func (e Entry) write(body string) ([]byte, error) {
	h := &tar.Header{Typeflag: e.Type, Name: e.Name, Linkname: e.Link, Devmajor: e.Major, Devminor: e.Minor, Mode: 0o644, Size: int64(len(body))}
	if e.Type == tar.TypeDir {
		h.Mode = 0o755
	}
	if e.Type == tar.TypeXGlobalHeader {
		// Nothing but a name and records may be in one.
		h = &tar.Header{Typeflag: e.Type, Name: e.Name, PAXRecords: map[string]string{"comment": "x"}}
	}
	for k, v := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+k] = v
	}
	ends := e.Type != tar.TypeDir && strings.HasSuffix(h.Name, "/")
	if ends {
		h.Name = h.Name[:len(h.Name)-1] + string(slash)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(h); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, body); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	if ends {
		return withSlash(buf.Bytes())
	}
	return buf.Bytes(), nil
}

// withSlash puts the slash back and mends the sums of the headers.
func withSlash(b []byte) ([]byte, error) {
	const block = 512
	b = bytes.ReplaceAll(b, []byte{slash}, []byte{'/'})
	for at := 0; at+block <= len(b); {
		h := b[at : at+block]
		copy(h[148:156], "        ")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
		size, err := strconv.ParseInt(strings.TrimRight(string(h[124:135]), " \x00"), 8, 64)
		if err != nil {
			return nil, fmt.Errorf("the size in a header: %w", err)
		}
		at += block + (int(size)+block-1)/block*block
	}
	return b, nil
}

// Archives writes all layers, with the contents that Content names.
func (s Stack) Archives() ([][]byte, error) {
	out := make([][]byte, len(s))
	for i := range s {
		b, err := s.Archive(i, Content)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}

// Clone copies the stack so deeply that entries can be taken out of the copy.
func (s Stack) Clone() Stack {
	out := make(Stack, len(s))
	for i := range s {
		out[i] = slices.Clone(s[i])
	}
	return out
}

// overlayXattrs says whether any entry carries an attribute of overlayfs, with
// which a mount or a look-up in it can fail.
func (s Stack) overlayXattrs() bool {
	for _, l := range s {
		for _, e := range l {
			for k := range e.Xattrs {
				if strings.Contains(k, "overlay") {
					return true
				}
			}
		}
	}
	return false
}

// WithoutNullDevices leaves out the entries for a character device 0/0. Runtimes
// without privileges do (containerd: pkg/archive/tar_unix.go, skipFile), so that
// what the device replaces may be judged although no rig shows it. has says whether
// there was any.
func (s Stack) WithoutNullDevices() (without Stack, has bool) {
	without = make(Stack, len(s))
	for i, l := range s {
		without[i] = slices.DeleteFunc(slices.Clone(l), func(e Entry) bool {
			has = has || e.null()
			return e.null()
		})
	}
	return without, has
}

// null says whether the entry makes the device; some unpackers cut the numbers to
// 32 bits.
func (e Entry) null() bool {
	return e.Type == tar.TypeChar && uint32(e.Major) == 0 && uint32(e.Minor) == 0
}
