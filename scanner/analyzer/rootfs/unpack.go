package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// library is the code that unpacks.
type library uint8

const (
	// containerd: pkg/archive/tar.go, applyNaive; 1.7 and 2.x are alike but for
	// large device numbers.
	containerd library = iota
	// storage: go.podman.io/storage pkg/archive, Unpack and UnpackLayer, in the
	// chroot in which CRI-O and Podman run them.
	storage
	// moby: github.com/moby/go-archive, Unpack and UnpackLayer.
	moby
)

// unpacker unpacks layers into a tree as one library does. The numbers of lines
// in comments are left out on purpose: the property test tells when they change.
type unpacker struct {
	library library
	overlay bool // the tree is one layer's own, whiteouts are kept for the kernel
	old     bool // containerd 1.7
	// unprivileged runtimes make no devices, see tar_unix.go, skipFile.
	unprivileged bool
	root         *node
	layer        int
	steps        *steps

	// For opaque markers in a shared tree: what the entries of this layer wrote
	// until now, and the directories that containerd has emptied.
	written map[string]bool
	emptied map[string]bool
	links   map[string]Content // aufs' store of hard links
	dirs    []string           // the keys of its directories
	lost    bool               // a directory or a link was removed, so that a name may lead elsewhere
	odd     oddities
}

var (
	errParent    = errors.New("its parent is not a directory")
	errTarget    = errors.New("the target of a hard link does not exist or is a directory")
	errTwice     = errors.New("a whiteout removes a file of its own layer")
	errRoot      = errors.New("it replaces the root by something else")
	errOutside   = errors.New("its name or link leaves the root")
	errAttribute = errors.New("it has an extended attribute that cannot be set")
	errDevice    = errors.New("its device number is too large")
	errType      = errors.New("its type is unknown")
	errName      = errors.New("its name is too long for Linux")
	errGone      = errors.New("a directory of the layer is removed by the same layer")
)

// apply unpacks one layer. An error means that this library refuses the layer
// and with it the image.
func (u *unpacker) apply(layer int, entries []Entry) error {
	u.layer, u.lost, u.dirs = layer, false, nil
	u.written, u.emptied, u.links = map[string]bool{}, map[string]bool{}, map[string]Content{}
	u.odd.begin()
	for i := range entries {
		err := u.entry(i, &entries[i])
		if u.steps.over() {
			return errSteps
		}
		if err != nil {
			return fmt.Errorf("entry %+q: %w", short(entries[i].Name), err)
		}
	}
	if !u.lost {
		return nil
	}
	// At the end every library sets the times of the directories: moby of those
	// where it made them, the others of their names.
	for _, name := range u.dirs {
		if !u.stillThere(name) {
			return fmt.Errorf("directory %+q: %w", short(name), errGone)
		}
	}
	return nil
}

// target is where an entry goes.
type target struct {
	entry  int
	name   string // relative to the root
	parent *node
	where  string // the parent's path without links
	base   string
	key    string // under which moby and others note it as written
}

func (u *unpacker) entry(i int, e *Entry) error {
	u.odd.see(e)
	if e.Kind == NullDevice && u.unprivileged {
		return nil
	}
	if u.library == moby && u.overlay && e.Kind == Global {
		return nil
	}
	name, err := u.relative(e)
	if err != nil || name == "" {
		return err
	}
	t := target{entry: i, name: name}
	var dir string
	dir, t.base = path.Split(name)
	// Of a whiteout it is the name that it removes which counts.
	if len(strings.TrimPrefix(t.base, whiteoutPrefix)) > maxNameBytes || (len(name) >= maxPathBytes && u.library != moby) {
		return errName
	}
	parent, err := u.parent(dir)
	if err != nil {
		return err
	}
	if len(parent.path) > maxDepth {
		return errSteps
	}
	existed := parent.at != nil
	if !existed {
		u.odd.implied(u, parent)
		if parent.above, parent.at, err = makeDirectories(u.root, parent.path, u.layer); err != nil {
			return errParent
		}
	}
	if u.skipsAufs(i, e, name) {
		return nil
	}
	t.parent, t.where = parent.at, parent.name()
	t.key = path.Join(t.where, t.base)
	if parent.asNamed {
		t.key = name
	}
	if parent.linked {
		u.odd.yes = true
	}
	if t.base != opaqueMarker {
		u.odd.below(parent, u.layer)
	}
	hidden, isWhiteout := strings.CutPrefix(t.base, whiteoutPrefix)
	switch {
	case parent.at.kind != Directory:
		return u.belowFile(parent.at, t, isWhiteout)
	case t.base == opaqueMarker:
		err := u.opaque(t)
		u.odd.below(parent, u.layer)
		return err
	case isWhiteout:
		return u.hide(t, hidden)
	}
	return u.create(e, t)
}

// relative is the entry's path below the root; "" means that nothing happens.
func (u *unpacker) relative(e *Entry) (string, error) {
	name := e.Name
	if e.Refused&Outside != 0 || name == ".." || strings.HasPrefix(name, "../") {
		u.odd.yes = true
		if u.library == moby {
			return "", errOutside
		}
	}
	name = Clean(name)
	if name == "" && e.Kind != Directory {
		u.odd.yes = true
		if u.library == storage {
			return "", errRoot
		}
	}
	return name, nil
}

// parent finds the directory of an entry, through links.
func (u *unpacker) parent(dir string) (place, error) {
	var p place
	var err error
	switch u.library {
	case storage:
		p, err = resolve(u.root, dir, walked, maxUnpackHops, u.steps)
		if errors.Is(err, errNotDirectory) && u.overlay {
			// Reaches for the file system and is refused there, but for whiteouts.
			return place{path: p.path, at: &node{kind: Device}}, nil
		}
	case moby:
		return u.parentInRoot(dir)
	default:
		p, _, err = u.follow(dir, true)
	}
	if err != nil {
		return p, errParent
	}
	return p, nil
}

// parentInRoot is moby's resolveArchivePath: what os.Root finds is used as it is
// named; what is missing or behind an absolute link is looked for again.
func (u *unpacker) parentInRoot(dir string) (place, error) {
	dir = path.Clean(dir)
	p, err := resolve(u.root, dir, rooted, maxRootHops, u.steps)
	if err == nil {
		p.asNamed = true
		return p, nil
	}
	if err != errMissing && err != errEscapes {
		return p, errParent
	}
	again, escaped, err2 := u.follow(dir, false)
	switch {
	case err2 != nil:
		return again, errParent
	case err == errEscapes && (!again.absolute || escaped):
		return again, errOutside
	}
	return again, nil
}

// stillThere reports whether a library can set the times of a directory that it
// has made.
func (u *unpacker) stillThere(name string) bool {
	switch u.library {
	case storage:
		parent, err := u.parent(path.Dir("/" + name))
		if err != nil || parent.at == nil || parent.at.kind != Directory {
			return false
		}
		return parent.at.kids[path.Base(name)] != nil
	case moby:
		_, err := resolve(u.root, name, rooted, maxRootHops, u.steps)
		return err == nil
	}
	p, err := u.parent(name)
	return err == nil && p.at != nil
}
