package runtimes

import (
	"archive/tar"
	"fmt"
	"path"
	"slices"
	"strings"
)

// kindsOf makes the entry of a feature at a path.
var kindsOf = map[int]func(*drawer, string) Entry{
	symlinks: func(d *drawer, p string) Entry { return Entry{Type: tar.TypeSymlink, Name: p, Link: d.target(p)} },
	hardlinks: func(d *drawer, p string) Entry {
		tree := d.here
		if d.IntN(3) == 0 {
			tree = d.now
		}
		files := known(tree, func(k byte) bool { return k != tar.TypeDir })
		files = slices.DeleteFunc(files, func(o string) bool { return strings.HasPrefix(o+"/", p+"/") })
		if len(files) == 0 {
			return Entry{Type: tar.TypeReg, Name: p}
		}
		return Entry{Type: tar.TypeLink, Name: p, Link: pick(d, files)}
	},
	hardlinksAnywhere: func(d *drawer, p string) Entry {
		link := d.spelling(d.place())
		if to, ok := d.throughLink(); ok && d.IntN(2) == 0 {
			link = to
		}
		return Entry{Type: tar.TypeLink, Name: p, Link: link}
	},
	whiteouts: func(d *drawer, p string) Entry {
		// Of something that this layer has itself it is refused by many.
		lower := slices.DeleteFunc(known(d.now, every), func(o string) bool { return d.here[o] != 0 })
		if len(lower) > 0 && d.IntN(8) != 0 {
			p = pick(d, lower)
		}
		return Entry{Type: pick(d, []byte{tar.TypeReg, tar.TypeReg, tar.TypeReg, tar.TypeDir}), Name: path.Join(path.Dir(p), ".wh."+path.Base(p))}
	},
	opaques: func(_ *drawer, p string) Entry {
		return Entry{Type: tar.TypeReg, Name: path.Join(path.Dir(p), ".wh..wh..opq")}
	},
	rootOpaques: func(d *drawer, p string) Entry { return Entry{Type: tar.TypeReg, Name: pick(d, rootMarkers)} },
	devices: func(d *drawer, p string) Entry {
		if d.IntN(3) == 0 {
			return Entry{Type: tar.TypeFifo, Name: p}
		}
		return Entry{Type: pick(d, []byte{tar.TypeChar, tar.TypeBlock}), Name: p, Major: pick(d, []int64{0, 1, 1, 1 << 32}), Minor: 3}
	},
	nullDevices: func(d *drawer, p string) Entry {
		return Entry{Type: tar.TypeChar, Name: p, Major: pick(d, []int64{0, 0, 0, 1 << 32})}
	},
	aufs: func(d *drawer, p string) Entry {
		name := pick(d, []string{".wh..wh.aufs", ".wh..wh.plnk", ".wh..wh.plnk/1.2", ".wh..wh.orph", ".wh..wh.x/a", "d/.wh..wh.x", ".wh.x/a", ".wh.x/package.json"})
		if d.IntN(3) == 0 {
			return Entry{Type: tar.TypeLink, Name: p, Link: ".wh..wh.plnk/1.2"}
		}
		return Entry{Type: pick(d, []byte{tar.TypeReg, tar.TypeReg, tar.TypeDir}), Name: name}
	},
	oddWhiteouts: func(d *drawer, p string) Entry {
		return Entry{Type: tar.TypeReg, Name: path.Join(path.Dir(p), pick(d, []string{".wh.", ".wh..", ".wh...", ".wh..wh.", ".wh..wh..", ".wh....", ".wh..opq"}))}
	},
	globals: func(d *drawer, p string) Entry { return Entry{Type: tar.TypeXGlobalHeader, Name: p} },
	rareTypes: func(d *drawer, p string) Entry {
		if d.IntN(3) == 0 {
			p = pick(d, []string{strings.Repeat("n", 255), strings.Repeat("n", 256), strings.Repeat(p+"/", 4000/len(p))})
		}
		return Entry{Type: pick(d, []byte{tar.TypeCont, tar.TypeReg, tar.TypeFifo}), Name: p}
	},
	replacements: func(d *drawer, p string) Entry {
		return Entry{Type: pick(d, []byte{tar.TypeReg, tar.TypeDir, tar.TypeFifo}), Name: p}
	},
}

// rootMarkers are spellings of an opaque marker in the root of a layer.
var rootMarkers = []string{".wh..wh..opq", "./.wh..wh..opq", "/.wh..wh..opq", "d/../.wh..wh..opq", "nowhere/../.wh..wh..opq", "//.wh..wh..opq", ".wh..wh..opq/"}

// target of a symbolic link at p.
func (d *drawer) target(p string) string {
	to := pick(d, d.paths)
	if there := known(d.now, every); len(there) > 0 && d.IntN(2) == 0 {
		to = pick(d, there)
	}
	switch d.IntN(40) {
	case 0:
		return p // most often a name that is not there
	case 1:
		return path.Base(p) // a loop
	case 2, 3:
		return path.Join(path.Dir(p), "x") + "/../" + path.Base(to)
	case 4, 5:
		if to, ok := d.throughLink(); ok {
			return relative(path.Dir(p), to)
		}
		return to + "/../" + path.Base(pick(d, d.paths))
	case 6, 7, 8, 9, 10, 11, 12, 13:
		return "/" + to
	case 14, 15, 16, 17:
		return "../" + to // the right depth for some, over the root for others
	case 18, 19:
		return strings.Repeat("../", 5) + to
	case 20, 21, 22:
		return pick(d, []string{"/", ".", "..", "nowhere", "/nowhere/x", "./" + path.Base(to), path.Base(to) + "/"})
	}
	return relative(path.Dir(p), to)
}

// throughLink is a path on which it matters whether links are followed before
// ".." is applied, or whether one at the end is followed.
func (d *drawer) throughLink() (string, bool) {
	links := known(d.now, func(k byte) bool { return k == tar.TypeSymlink })
	if len(links) == 0 {
		return "", false
	}
	l := pick(d, links)
	return pick(d, []string{l + "/", l + "/../" + path.Base(pick(d, d.paths)), l + "/.", l + "/../" + path.Base(l)}), true
}

// relative is the way from a directory to a path.
func relative(from, to string) string {
	if from == "." {
		return to
	}
	return strings.Repeat("../", 1+strings.Count(from, "/")) + to
}

// spell gives the name of an entry another form.
func (d *drawer) spell(e Entry) Entry {
	e.Name = d.spelling(e.Name)
	return e
}

func (d *drawer) spelling(name string) string {
	if d.on[outside] && d.IntN(3) == 0 {
		name = pick(d, []string{"/", "//", "../", "../../", "/../", "x/../../", "./../"}) + name
	}
	if d.on[spellings] && d.IntN(2) == 0 {
		switch d.IntN(6) {
		case 0:
			name = "./" + name
		case 1:
			name += "/"
		case 2:
			name = strings.Replace(name, "/", "//", 1)
		case 3:
			name = "nowhere/../" + name
		case 4:
			name = pick(d, d.paths) + strings.Repeat("/..", 1+strings.Count(pick(d, d.paths), "/")) + "/" + name
		case 5:
			name = pick(d, []string{".", "./", "/", "", name + "/.", name + "/x/.."})
		}
	}
	return name
}

var attributeNames = []string{"opaque", "whiteout", "redirect", "metacopy", "origin", "x", "impure", "opaque", "opaque"}

func (d *drawer) xattrs() map[string]string {
	key := pick(d, []string{"trusted.overlay.", "trusted.overlay.", "user.overlay."}) + pick(d, attributeNames)
	if d.IntN(4) == 0 {
		key = pick(d, []string{"user.x", "security.x", "trusted.x", "security.selinux", "user.overlay", "trusted.overlayx"})
	}
	value := pick(d, []string{"y", "x", "/" + pick(d, d.paths), path.Base(pick(d, d.paths)), fmt.Sprint(d.IntN(9))})
	return map[string]string{key: value}
}
