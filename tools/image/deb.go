package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/xi2/xz"
)

// deb is an opened binary package (deb(5)): what dpkg keeps of it, and its files.
type deb struct {
	control string // the fields, as in control.tar
	md5sums string
	files   tree
}

// readDeb opens a package. Only members that Debian 12 writes are known: control.tar.xz
// and data.tar.xz.
func readDeb(raw []byte) (deb, error) {
	members, err := readAr(raw)
	if err != nil {
		return deb{}, err
	}
	if got := string(members["debian-binary"]); got != "2.0\n" {
		return deb{}, fmt.Errorf("format %q is not 2.0", got)
	}
	control, err := readTarXz(members["control.tar.xz"])
	if err != nil {
		return deb{}, fmt.Errorf("control.tar.xz: %w", err)
	}
	files, err := readTarXz(members["data.tar.xz"])
	if err != nil {
		return deb{}, fmt.Errorf("data.tar.xz: %w", err)
	}
	d := deb{files: files, control: string(control["control"].content), md5sums: string(control["md5sums"].content)}
	if d.control == "" {
		return deb{}, errors.New("there is no file control")
	}
	return d, nil
}

// readAr reads the members of an archive of ar(5), whose names are short.
func readAr(raw []byte) (map[string][]byte, error) {
	rest, ok := bytes.CutPrefix(raw, []byte("!<arch>\n"))
	if !ok {
		return nil, errors.New("it is not an ar archive")
	}
	members := map[string][]byte{}
	for len(rest) > 0 {
		const header = 60
		if len(rest) < header || string(rest[58:60]) != "`\n" {
			return nil, errors.New("a member of the ar archive has no header")
		}
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil || size < 0 || size > len(rest)-header {
			return nil, fmt.Errorf("a member of the ar archive says that it has %q bytes", rest[48:58])
		}
		name := strings.TrimSuffix(strings.TrimSpace(string(rest[:16])), "/")
		members[name] = rest[header : header+size]
		rest = rest[min(header+size+size%2, len(rest)):]
	}
	return members, nil
}

func readTarXz(raw []byte) (tree, error) {
	unpacked, err := xz.NewReader(bytes.NewReader(raw), 0)
	if err != nil {
		return nil, err
	}
	return readTar(unpacked)
}

// readTar reads an archive of directories, files and symbolic links. A hard link becomes a
// file of its own.
func readTar(r io.Reader) (tree, error) {
	t := tree{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		e := entry{mode: h.FileInfo().Mode(), uid: h.Uid, gid: h.Gid, link: h.Linkname}
		path := cleanPath(h.Name)
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeSymlink:
		case tar.TypeReg:
			if e.content, err = io.ReadAll(archive); err != nil {
				return nil, err
			}
		case tar.TypeLink:
			target, ok := t[cleanPath(h.Linkname)]
			if !ok {
				return nil, fmt.Errorf("%q links to %q, which is not there", h.Name, h.Linkname)
			}
			e = target
		default:
			return nil, fmt.Errorf("%q is of type %q", h.Name, h.Typeflag)
		}
		if path != "" {
			t[path] = e
		}
	}
}
