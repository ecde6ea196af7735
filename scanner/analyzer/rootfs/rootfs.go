// Package rootfs says which file system a container sees that runs an image,
// without unpacking a layer. It calculates with the headers of the layers'
// archives ([Entry]) and does no I/O.
//
// The rule: whatever a supported runtime shows to the container is in the
// answer; where runtimes differ, the union; what all of them remove is gone.
// Runtimes unpack the same archive in two ways. Some put all layers into one
// directory, in which an entry meets what lower layers left there; the others
// give each layer a directory of its own and let the kernel's overlay file
// system merge them. Within each way the unpackers of containerd,
// containers/storage (CRI-O, Podman) and moby (Docker) differ in details. Each
// is played on a tree in memory ([Resolve]); those that end with equal trees are
// one [View]. The module in the folder runtimes compares the answer with the
// real unpackers.
//
// Content is named, not held: the layer and the entry that brought it
// ([Content]). All functions are safe for concurrent use on different values; a
// [View] may be read concurrently.
package rootfs

import (
	"fmt"
	"path"
	"strings"
)

// Bounds of one image. What exceeds them is undecidable.
const (
	// MaxEntries bounds the entries of all layers. The largest layers seen in
	// public images have some 300,000.
	MaxEntries = 2_000_000
	// maxHops bounds the links that one path follows. Linux gives up after 40
	// (path_resolution(7)).
	maxHops = 40
	// maxPathBytes and maxNameBytes are Linux's PATH_MAX and NAME_MAX. moby opens
	// one element after the other and gets beyond the first.
	maxPathBytes = 4096
	maxNameBytes = 255
	// maxDepth bounds the elements of a path, also where it grows through links.
	maxDepth = 10_000
	// maxUnpackHops is what the unpackers allow (255 in containerd, moby and
	// containers/storage).
	maxUnpackHops = 255
	// maxRootHops is what Go's os.Root allows (os/root.go, rootMaxSymlinks).
	maxRootHops = 8
)

// Undecidable says why it cannot be known what a container would see. It makes an image
// unassessable.
type Undecidable struct {
	Layer  int // from 0, the base
	Reason string
}

func (u *Undecidable) Error() string { return fmt.Sprintf("layer %d: %s", u.Layer+1, u.Reason) }

// Content is what a file contains: the bytes of one entry of one layer, both
// counted from 0.
type Content struct{ Layer, Entry int }

// Clean is the one spelling of a path inside a layer: without a leading slash
// or "./", with ".." resolved inside the root, as a container runtime unpacks
// it. The root itself is "".
func Clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
