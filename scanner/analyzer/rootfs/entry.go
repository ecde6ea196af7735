package rootfs

import (
	"archive/tar"
	"fmt"
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
	// NullDevice is the character device 0/0, which hides in an overlay and is
	// not made at all by runtimes without privileges. It never removes anything.
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
	// Refused are the libraries that do not unpack such an entry because of an
	// extended attribute.
	Refused Refusal
}

// Refusal is a set of libraries.
type Refusal uint8

// The libraries of a [Refusal].
const (
	RefusedByStorage Refusal = 1 << iota
	RefusedByMoby
)

func (r Refusal) by(l library) bool {
	return (l == storage && r&RefusedByStorage != 0) || (l == moby && r&RefusedByMoby != 0)
}

// The names with which a layer removes files of those below (OCI image layer
// specification, "Whiteouts"), and what the aufs driver left in old layers.
const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	aufsPrefix     = ".wh..wh."
	aufsLinks      = ".wh..wh.plnk"
)

// NewEntry takes what is needed of a header. problem is not empty when nobody
// can tell what a container would see of a layer with such an entry.
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

// refusal: moby sets attributes of every name space and fails where there is
// none of the name; storage fails where the kernel permits none of a user's.
func refusal(e Entry, h *tar.Header) (r Refusal) {
	for key := range h.PAXRecords {
		attr, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok {
			continue
		}
		space, _, _ := strings.Cut(attr, ".")
		switch space {
		case "user":
			if e.Kind == Symlink || e.Kind == Device {
				r |= RefusedByStorage
			}
		case "trusted", "security", "system":
		default:
			r |= RefusedByMoby
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
