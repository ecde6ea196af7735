package rootfs

import (
	"errors"
	"strings"
)

// node is one file of a tree. Hard links share it.
type node struct {
	kind   Kind // File, Directory, Symlink, Device, or whiteout
	at     Content
	mode   uint32
	link   string
	kids   map[string]*node // of a directory
	opaque bool             // a directory of an overlay's layer
	made   int              // the last layer with an entry for it
	within int              // of a directory: the last layer with an entry below it
}

// whiteout is a node of an overlay's layer that hides the name below it.
const whiteout = lastKind + 1

func newDirectory(layer int) *node {
	return &node{kind: Directory, kids: map[string]*node{}, made: layer, within: -1}
}

// equal reports whether two trees show the same.
func equal(a, b *node) bool {
	if a == b {
		return true
	}
	if a.kind != b.kind || a.at != b.at || a.link != b.link || len(a.kids) != len(b.kids) || (a.kind == File && a.mode != b.mode) {
		return false
	}
	for name, kid := range a.kids {
		other := b.kids[name]
		if other == nil || !equal(kid, other) {
			return false
		}
	}
	return true
}

var (
	errNotDirectory = errors.New("goes through what is not a directory")
	errLoop         = errors.New("follows too many links")
	errMissing      = errors.New("leads through what is missing")
	errEscapes      = errors.New("leads out of the root")
)

// steps bounds the work that hostile headers can cause: links that lead along
// links, markers that empty a directory again and again.
type steps struct{ left int }

func (s *steps) take(n int) { s.left -= n }
func (s *steps) over() bool { return s.left < 0 }

// maxSteps is thirty for each of the entries that are allowed. Public images
// take six.
const maxSteps = 30 * MaxEntries

var errSteps = errors.New("its links and whiteouts take too long to follow")

// place is where a path leads: its form without links, and what is there, nil
// when nothing is.
type place struct {
	path     []string
	at       *node
	above    []*node // the root and what the path leads through, without at
	linked   bool    // a link was followed
	absolute bool    // one of them was absolute
	dotted   bool    // ".." was applied
	asNamed  bool    // moby: the path is used as it is named, links included
}

func (p place) name() string { return strings.Join(p.path, "/") }

// manner is how a path is followed.
type manner uint8

const (
	// walked: every element of a link's target is walked, and what is missing is
	// taken as it is written (SecureJoin).
	walked manner = iota
	// opened: as a process opens a path; nothing leads on from what is missing.
	opened
	// rooted: as Go's os.Root does, which refuses what leads out of the root, as
	// an absolute link does (os/root_openat.go, doInRoot).
	rooted
)

// resolve follows p from root through every link, bounded by the root.
func resolve(root *node, p string, how manner, hops int, s *steps) (place, error) {
	var at place
	stack := []*node{root}
	rest := p
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if s.take(1); s.over() {
			return at, errSteps
		}
		top := stack[len(stack)-1]
		switch {
		case how == walked:
		case top == nil:
			return at, errMissing
		case top.kind != Directory:
			return at, errNotDirectory
		}
		switch part {
		case "", ".":
			continue
		case "..":
			at.dotted = true
			if len(at.path) > 0 {
				at.path, stack = at.path[:len(at.path)-1], stack[:len(stack)-1]
			} else if how == rooted {
				return at, errEscapes
			}
			continue
		}
		var kid *node
		if top != nil {
			if top.kind != Directory {
				return at, errNotDirectory
			}
			kid = top.kids[part]
		}
		if kid == nil || kid.kind != Symlink {
			at.path, stack = append(at.path, part), append(stack, kid)
			continue
		}
		if hops--; hops < 0 {
			return at, errLoop
		}
		at.linked = true
		if strings.HasPrefix(kid.link, "/") {
			if how == rooted {
				return at, errEscapes
			}
			at.absolute = true
			at.path, stack = nil, stack[:1]
		}
		rest = kid.link + "/" + rest
	}
	at.above, at.at = stack[:len(stack)-1], stack[len(stack)-1]
	if at.at == nil && how == rooted {
		return at, errMissing
	}
	return at, nil
}

// makeDirectories makes what is missing of a place without links, and returns
// the directories above it and itself.
func makeDirectories(root *node, names []string, layer int) (above []*node, at *node, err error) {
	at = root
	for _, name := range names {
		kid := at.kids[name]
		if kid == nil {
			kid = newDirectory(layer)
			at.kids[name] = kid
		}
		if kid.kind != Directory {
			return nil, nil, errNotDirectory
		}
		above, at = append(above, at), kid
	}
	return above, at, nil
}
