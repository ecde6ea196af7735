package rootfs

import (
	"path"
	"strings"
)

// belowFile is an entry whose parent is not a directory. Some whiteouts there
// are passed over: "rm -rf /a/b" makes some tools write .wh.a and a/.wh.b.
func (u *unpacker) belowFile(parent *node, t target, isWhiteout bool) error {
	switch marker := t.base == opaqueMarker; {
	case !isWhiteout || u.library == containerd:
		return errParent
	case u.overlay && u.library == storage,
		u.overlay && marker && parent.kind == File,
		!u.overlay && marker:
		return nil
	}
	return errParent
}

// skipsAufs reports whether the entry is what the aufs driver left at the root,
// which two libraries look at before anything else.
func (u *unpacker) skipsAufs(i int, e *Entry, name string) bool {
	if !strings.HasPrefix(name, aufsPrefix) || name == opaqueMarker {
		return false
	}
	u.odd.yes = true
	if u.overlay || u.library == containerd || (u.library == storage && strings.HasPrefix(e.Name, "/")) {
		return false
	}
	if strings.HasPrefix(name, aufsLinks) && e.Kind == File {
		u.links[path.Base(name)] = Content{u.layer, i}
	}
	return true
}

// opaque hides what lower layers have in the parent.
func (u *unpacker) opaque(t target) error {
	u.odd.marker(t, u.layer)
	if u.overlay {
		t.parent.opaque = true
		return nil
	}
	if u.library == containerd {
		if u.emptied[t.where] {
			return nil
		}
		u.emptied[t.where] = true
	}
	u.empty(t.parent, t.where)
	return nil
}

// empty removes from a directory what no entry of this layer wrote.
func (u *unpacker) empty(dir *node, where string) {
	for name, kid := range dir.kids {
		u.steps.take(1)
		p := path.Join(where, name)
		if !u.written[p] {
			u.drop(dir, name)
		} else if kid.kind == Directory {
			u.empty(kid, p)
		}
	}
}

// hide removes a name, or marks it as removed.
func (u *unpacker) hide(t target, hidden string) error {
	u.odd.whiteout(t, hidden, u.layer)
	if !u.overlay {
		u.drop(t.parent, hidden)
		return nil
	}
	if u.library != containerd && t.parent.kids[t.base] != nil {
		u.drop(t.parent, t.base) // what occupies the marker's own name
	}
	if t.parent.kids[hidden] != nil {
		return errTwice
	}
	t.parent.kids[hidden] = &node{kind: whiteout, made: u.layer}
	return nil
}

// drop removes a name with everything below it.
func (u *unpacker) drop(dir *node, name string) {
	if kid := dir.kids[name]; kid != nil {
		u.lost = u.lost || kid.kind == Directory || kid.kind == Symlink
		delete(dir.kids, name)
	}
}
