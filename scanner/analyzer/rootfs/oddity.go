package rootfs

import (
	"path"
	"strings"
)

// oddities notices what the unpackers treat differently, while the first of them
// unpacks. Of an image without any, all show the same, so that one tree is
// enough: nearly every image. Noticing too much costs time, never an answer.
type oddities struct {
	yes bool

	// In the layer that is being unpacked:
	hidden map[*node]map[string]bool // names that it removed, by directory
}

func (o *oddities) begin() { o.hidden = nil }

func (o *oddities) see(e *Entry) {
	switch e.Kind {
	case Global, Unknown, NullDevice:
		o.yes = true
	}
	if strings.Contains(path.Dir(e.Name), whiteoutPrefix) {
		o.yes = true
	}
}

// implied is a parent without an entry of its own.
func (o *oddities) implied(u *unpacker, p place) {
	at := u.root
	for _, name := range p.path {
		if o.hidden[at][name] {
			o.yes = true
		}
		if at = at.kids[name]; at == nil || at.kind != Directory {
			return
		}
	}
}

// below notes that the layer has an entry in the directory.
func (o *oddities) below(p place, layer int) {
	for _, dir := range p.above {
		dir.within = layer
	}
	p.at.within = layer
}

// marker of opacity: at the root an overlay ignores it, behind entries of its
// layer it removes some of them in a shared tree.
func (o *oddities) marker(t target, layer int) {
	o.yes = o.yes || t.where == "" || t.parent.within == layer
}

func (o *oddities) whiteout(t target, hidden string, layer int) {
	if kid := t.parent.kids[hidden]; o.hidden[t.parent][hidden] || (kid != nil && (kid.made == layer || kid.within == layer)) {
		o.yes = true
	}
	if o.hidden == nil {
		o.hidden = map[*node]map[string]bool{}
	}
	if o.hidden[t.parent] == nil {
		o.hidden[t.parent] = map[string]bool{}
	}
	o.hidden[t.parent][hidden] = true
}

func (o *oddities) create(e *Entry, t target, existing *node, layer int) {
	switch {
	case e.Kind == Directory && o.hidden[t.parent][t.base]:
		o.yes = true
	case existing == nil:
	case existing.kind == Directory && e.Kind == Directory:
		existing.made = layer
	case existing.made == layer, existing.within == layer:
		o.yes = true
	}
}

// link is a hard link, whose target an overlay's layer must have itself.
func (o *oddities) link(parent place, n *node, layer int) {
	if parent.linked || n == nil || n.made != layer || n.kind == Directory {
		o.yes = true
	}
}
