package rootfs

import (
	"errors"
	"fmt"
	"slices"
)

// View is the file system that one or more runtimes show.
type View struct{ root *node }

// runtime is one way of the supported runtimes to make a file system.
type runtime struct {
	library library
	overlay bool
	// shared: the lowest layer of an overlay is unpacked like into a shared
	// directory (containerd mounts it by itself and does not see an overlay).
	shared bool
	// See the fields of unpacker.
	old, unprivileged bool
}

// runtimes: containerd's native snapshotter comes first, see oddities.
var runtimes = []runtime{
	{library: containerd},
	{library: containerd, overlay: true, shared: true},
	{library: containerd, overlay: true},
	{library: storage},
	{library: storage, overlay: true},
	{library: moby},
	{library: moby, overlay: true},
}

// ways are the runtimes, and what else there is for entries that are rare:
// containerd 1.7 where it differs, and without privileges where a device 0/0
// removes something, since what one runtime does not remove is not gone.
func ways(layers [][]Entry) []runtime {
	large, null := false, false
	for _, l := range layers {
		for i := range l {
			large = large || l[i].Refused&LargeDevice != 0
			null = null || l[i].Kind == NullDevice
		}
	}
	all := slices.Clone(runtimes)
	if large {
		for _, r := range runtimes {
			r.old = true
			if r.library == containerd {
				all = append(all, r)
			}
		}
	}
	if null {
		for _, r := range all[:len(all):len(all)] {
			r.unprivileged = true
			all = append(all, r)
		}
	}
	return all
}

// Resolve plays how each supported runtime unpacks the layers, base first, and
// returns the different file systems that come of it. The error is an
// [Undecidable]: no runtime unpacks the layers, or it takes too long to tell.
func Resolve(layers [][]Entry) ([]*View, error) {
	total := 0
	for i, l := range layers {
		if total += len(l); total > MaxEntries {
			return nil, &Undecidable{i, fmt.Sprintf("the layers have more than %d entries", MaxEntries)}
		}
	}
	var views []*View
	var refused error
	for i, r := range ways(layers) {
		root, odd, err := r.unpack(layers)
		var why *Undecidable
		switch {
		case errors.As(err, &why) && why.Reason == errSteps.Error():
			return nil, err
		case err != nil:
			if refused == nil {
				refused = err
			}
			continue
		}
		views = add(views, root)
		if i == 0 && !odd {
			break
		}
	}
	if len(views) == 0 {
		return nil, refused
	}
	return views, nil
}

func add(views []*View, root *node) []*View {
	for _, v := range views {
		if equal(v.root, root) {
			return views
		}
	}
	return append(views, &View{root})
}

// unpack returns the tree of one runtime; odd says that others may differ.
func (r runtime) unpack(layers [][]Entry) (root *node, odd bool, err error) {
	u := &unpacker{library: r.library, old: r.old, unprivileged: r.unprivileged, root: newDirectory(-1), steps: &steps{maxSteps}}
	var stack []*node // of an overlay, top first
	for i, entries := range layers {
		if r.overlay {
			u.overlay = i > 0 || !r.shared
			u.root = newDirectory(i)
			stack = append([]*node{u.root}, stack...)
		}
		if err := u.apply(i, entries); err != nil {
			return nil, false, &Undecidable{i, whyRefused(err)}
		}
	}
	if !r.overlay {
		return u.root, u.odd.yes, nil
	}
	root = mount(stack, u.steps)
	if u.steps.over() {
		return nil, false, &Undecidable{len(layers) - 1, errSteps.Error()}
	}
	return root, true, nil
}

func whyRefused(err error) string {
	if errors.Is(err, errSteps) {
		return errSteps.Error()
	}
	return "no container runtime unpacks it: " + err.Error()
}

// mount merges directories, top first, as overlayfs does: a name comes from the
// highest directory that has it; a whiteout, or anything but a directory, ends
// the search, and directories are merged down to one that is opaque
// (Documentation/filesystems/overlayfs.rst). The directories given are not
// asked whether they are opaque, which is how the kernel treats the root. What is
// returned is complete only if the steps were enough.
func mount(stack []*node, s *steps) *node {
	merged := &node{kind: Directory, kids: map[string]*node{}, made: stack[len(stack)-1].made}
	for i, dir := range stack {
		for name, kid := range dir.kids {
			if s.take(len(stack)); s.over() {
				return merged
			}
			if _, done := merged.kids[name]; done {
				continue
			}
			merged.kids[name] = nil
			switch kid.kind {
			case whiteout:
			case Directory:
				merged.kids[name] = mount(below(stack[i:], name), s)
			default:
				merged.kids[name] = kid
			}
		}
	}
	for name, kid := range merged.kids {
		if kid == nil {
			delete(merged.kids, name)
		}
	}
	return merged
}

// below are the directories of one name that are merged; the first has it.
func below(stack []*node, name string) []*node {
	var dirs []*node
	for _, dir := range stack {
		kid := dir.kids[name]
		if kid == nil {
			continue
		}
		if kid.kind != Directory {
			break
		}
		dirs = append(dirs, kid)
		if kid.opaque {
			break
		}
	}
	return dirs
}
