package rootfs

import (
	"archive/tar"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
)

// Kind is the type of an entry.
type Kind uint8

// The kinds of entry.
const (
	File Kind = iota + 1
	Directory
	Symlink
	Hardlink
	// Device is a device or a named pipe: it replaces what was there and has no
	// content.
	Device
	// NullDevice is the character device 0/0: a whiteout in an overlay, and not
	// made at all by runtimes without privileges, so that in the end it removes
	// nothing. See [Resolve].
	NullDevice
	// Global is a PAX global header, to which some unpackers give room.
	Global
	// Unknown is a type that every unpacker refuses.
	Unknown
	lastKind = Unknown
)

// Entry is one header of a layer's archive, in the archive's order.
type Entry struct {
	// Name is the entry's name after path.Clean, which every unpacker applies
	// first: it may still begin with a slash or with "..".
	Name string
	Kind Kind
	Link string // the target of a link, as it is written
	Mode uint32 // permission bits
	Size int64  // of a file, bytes
	// Refused says which libraries do not unpack such an entry.
	Refused Refusal
}

// Refusal is a set of reasons not to unpack an entry.
type Refusal uint8

// The reasons of a [Refusal].
const (
	// UserAttribute is an extended attribute "user.…", which the kernel permits
	// for files and directories only. containers/storage fails without.
	UserAttribute Refusal = 1 << iota
	// NoNameSpace is one of no known name space, at which moby fails.
	NoNameSpace
	// LargeDevice is a device number of more than 32 bits. moby and containerd 2
	// refuse it, the others cut it.
	LargeDevice
	// Outside is a name that leads over the root once its leading slashes are
	// gone, as moby reads it; the others read "/../x" as "/x".
	Outside
)

// The names with which a layer removes files of those below (OCI image layer
// specification, "Whiteouts"), and what the aufs driver left in old layers.
const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	aufsPrefix     = ".wh..wh."
	aufsLinks      = ".wh..wh.plnk"
)

// NewEntry takes what is needed of a header. problem is not empty when it cannot be
// known what a container would see of a layer with such an entry.
func NewEntry(h *tar.Header) (e Entry, problem string) {
	e = Entry{Name: path.Clean(h.Name), Mode: uint32(h.Mode) & 0o7777}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Kind, e.Size = File, h.Size
	case tar.TypeDir:
		e.Kind = Directory
	case tar.TypeSymlink:
		e.Kind, e.Link = Symlink, h.Linkname
	case tar.TypeLink:
		e.Kind, e.Link = Hardlink, h.Linkname
	case tar.TypeChar:
		e.Kind = Device
		// Some unpackers cut the numbers to 32 bits.
		if uint32(h.Devmajor) == 0 && uint32(h.Devminor) == 0 {
			e.Kind = NullDevice
		}
	case tar.TypeBlock, tar.TypeFifo:
		e.Kind = Device
	case tar.TypeXGlobalHeader:
		e.Kind = Global
	default:
		e.Kind = Unknown
	}
	if hidden, ok := strings.CutPrefix(path.Base(e.Name), whiteoutPrefix); ok && (hidden == "" || hidden == "." || hidden == "..") {
		return e, fmt.Sprintf("%+q removes no file that has a name: runtimes differ in what they do with it", short(e.Name))
	}
	e.Refused = refusal(e, h)
	return e, attributeProblem(e, h)
}

func refusal(e Entry, h *tar.Header) (r Refusal) {
	if plain := path.Clean(strings.TrimLeft(h.Name, "/")); plain == ".." || strings.HasPrefix(plain, "../") {
		r |= Outside
	}
	if e.Kind == Global {
		return r // its records are about no entry
	}
	if numbers := uint64(h.Devmajor) | uint64(h.Devminor); (e.Kind == Device || e.Kind == NullDevice) && numbers > math.MaxUint32 {
		r |= LargeDevice
	}
	for key := range h.PAXRecords {
		attr, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok {
			continue
		}
		space, _, _ := strings.Cut(attr, ".")
		switch space {
		case "user":
			r |= UserAttribute
		case "trusted", "security", "system":
		default:
			r |= NoNameSpace
		}
	}
	return r
}

// harmlessAttributes of an overlay hide in an overlay only. Since other runtimes
// show what they hide, they remove nothing here.
var harmlessAttributes = []string{"opaque", "whiteout"}

// attributeProblem refuses extended attributes with which an entry makes the
// overlay file system show something else than the archive says: "redirect"
// takes another directory's content, "metacopy" another file's.
func attributeProblem(e Entry, h *tar.Header) string {
	for key := range h.PAXRecords {
		_, attr, ok := strings.Cut(key, ".xattr.")
		if !ok {
			continue
		}
		for _, space := range []string{"trusted.overlay.", "user.overlay."} {
			name, ok := strings.CutPrefix(attr, space)
			if ok && !slices.Contains(harmlessAttributes, name) {
				return fmt.Sprintf("%+q has the extended attribute %+q, with which an overlay file system shows something else than the archive contains",
					short(e.Name), short(attr))
			}
		}
	}
	return ""
}

// short cuts a hostile name for a message; %+q makes it printable.
func short(name string) string {
	const limit = 200
	if len(name) > limit {
		return name[:limit] + "..."
	}
	return name
}

// IsWhiteout reports whether an entry of this name removes something instead of
// being unpacked.
func IsWhiteout(name string) bool { return strings.HasPrefix(path.Base(name), whiteoutPrefix) }
