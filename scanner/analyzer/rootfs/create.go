package rootfs

import (
	"path"
	"strings"
)

// create makes what the entry describes in place of what is there.
func (u *unpacker) create(e *Entry, t target) error {
	existing := t.parent.kids[t.base]
	u.odd.create(e, t, existing, u.layer)
	merged := existing != nil && existing.kind == Directory && e.Kind == Directory
	if existing != nil && !merged {
		u.drop(t.parent, t.base)
	}
	if existing != nil && !merged && t.key == t.name && t.key != path.Join(t.where, t.base) {
		if err := u.throughItself(&t); err != nil {
			return err
		}
	}
	n, err := u.node(e, t)
	if err != nil {
		return err
	}
	if err := u.refuses(e, n); err != nil {
		return err
	}
	if !merged && n != nil {
		t.parent.kids[t.base] = n
	}
	u.written[t.key] = true
	if e.Kind == Directory {
		if u.library == moby {
			u.dirs = append(u.dirs, t.key)
		} else {
			u.dirs = append(u.dirs, t.name)
		}
	}
	return nil
}

// refuses is why a library does not make what an entry describes.
func (u *unpacker) refuses(e *Entry, n *node) error {
	switch {
	case n == nil:
		return nil
	case u.library == moby && e.Refused&NoNameSpace != 0:
		return errAttribute
	case u.library == storage && e.Refused&UserAttribute != 0 && n.kind != File && n.kind != Directory:
		return errAttribute
	case e.Refused&LargeDevice != 0 && (u.library == moby || (u.library == containerd && !u.old)):
		return errDevice
	}
	return nil
}

// throughItself is an entry of moby that was written through a link which it
// replaces, or whose directory it replaces: its name, which is kept as it is,
// leads nowhere any more.
func (u *unpacker) throughItself(t *target) error {
	dir := path.Dir(t.name)
	if _, err := resolve(u.root, dir, rooted, maxRootHops, u.steps); err == nil {
		return nil
	}
	if !u.overlay {
		return errParent
	}
	at, name := u.root, ""
	for part := range strings.SplitSeq(dir, "/") {
		name = path.Join(name, part)
		kid := at.kids[part]
		if kid == nil {
			kid = newDirectory(u.layer)
			at.kids[part] = kid
		}
		if kid.kind == Symlink {
			p, err := resolve(u.root, name, rooted, maxRootHops, u.steps)
			if err != nil {
				return errParent
			}
			kid = p.at
		}
		if kid == nil || kid.kind != Directory {
			return errParent
		}
		at = kid
	}
	t.parent = at
	return nil
}

// node is what an entry makes, nil for nothing.
func (u *unpacker) node(e *Entry, t target) (*node, error) {
	switch e.Kind {
	case Directory:
		return newDirectory(u.layer), nil
	case File:
		return &node{kind: File, at: Content{u.layer, t.entry}, mode: e.Mode, made: u.layer}, nil
	case Symlink:
		if e.Link == "" {
			return nil, errTarget
		}
		return &node{kind: Symlink, link: e.Link, made: u.layer}, nil
	case Device:
		return &node{kind: Device, made: u.layer}, nil
	case NullDevice:
		if u.overlay {
			return &node{kind: whiteout, made: u.layer}, nil
		}
		return &node{kind: Device, made: u.layer}, nil
	case Global:
		return nil, nil
	case Hardlink:
		return u.linked(e)
	}
	return nil, errType
}

// linked finds the target of a hard link, whose last element is not followed,
// and gives it the entry's mode.
func (u *unpacker) linked(e *Entry) (*node, error) {
	if plain := path.Clean(e.Link); !u.overlay && u.library != containerd && strings.HasPrefix(plain, aufsLinks) {
		at, ok := u.links[path.Base(plain)]
		if !ok {
			return nil, errTarget
		}
		return &node{kind: File, at: at, mode: e.Mode, made: u.layer}, nil
	}
	link := e.Link
	switch u.library {
	case storage:
		link = Clean(link)
	case moby:
		if link = path.Clean(strings.TrimLeft(link, "/")); link == "." || link == ".." || strings.HasPrefix(link, "../") {
			return nil, errOutside
		}
	}
	dir, base := path.Split(link)
	parent, err := u.parent(dir)
	if err != nil || parent.at == nil {
		return nil, errTarget
	}
	n := parent.at
	switch base {
	case "", ".", "..":
	default:
		if n.kind != Directory {
			return nil, errTarget
		}
		n = n.kids[base]
	}
	u.odd.link(parent, n, u.layer)
	if n == nil || n.kind == Directory || base == "." || base == ".." {
		return nil, errTarget
	}
	if n.kind == File {
		n.mode = e.Mode
	}
	return n, nil
}
