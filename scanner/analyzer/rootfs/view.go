package rootfs

import (
	"maps"
	"path"
	"slices"
)

// Node is what a path shows.
type Node struct {
	Kind    Kind    // File, Directory, Symlink or Device
	Content Content // of a file
	Mode    uint32  // of a file: permission bits
	Link    string  // of a symbolic link
}

func (n *node) show() Node { return Node{Kind: n.kind, Content: n.at, Mode: n.mode, Link: n.link} }

// Walk visits every path below the directory dir ("" is the root), without
// following links, parents first and names in order, until visit returns false.
func (v *View) Walk(dir string, visit func(path string, n Node) bool) {
	p, err := resolve(v.root, dir, opened, maxHops, v.budget())
	if err == nil && p.at != nil && p.at.kind == Directory && p.name() == dir {
		walk(p.at, dir, visit)
	}
}

func walk(n *node, at string, visit func(string, Node) bool) bool {
	for _, name := range slices.Sorted(maps.Keys(n.kids)) {
		kid := n.kids[name]
		p := path.Join(at, name)
		if !visit(p, kid.show()) || (kid.kind == Directory && !walk(kid, p, visit)) {
			return false
		}
	}
	return true
}

// Lookup opens a path as a process in the container does, following every link.
// real is the path without links.
func (v *View) Lookup(p string) (real string, n Node, ok bool) {
	at, err := resolve(v.root, p, opened, maxHops, v.budget())
	if err != nil || at.at == nil {
		return "", Node{}, false
	}
	return at.name(), at.at.show(), true
}

// budget is one look-up's, so that a view may be used concurrently.
func (v *View) budget() *steps { return &steps{maxLookupSteps} }

// maxLookupSteps: 40 links of 4,096 bytes have at most so many elements.
const maxLookupSteps = maxHops * 2048
