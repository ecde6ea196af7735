package main

import (
	"archive/tar"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tree is the files of an image by their path, which has no slash at its beginning.
type tree map[string]entry

// entry is a directory, a file or a symbolic link.
type entry struct {
	mode     fs.FileMode
	uid, gid int
	content  []byte
	link     string
}

// modeBits are the bits of a mode that an image keeps.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func cleanPath(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (t tree) dir(name string, mode fs.FileMode, id int) {
	t[name] = entry{mode: fs.ModeDir | mode, uid: id, gid: id}
}

func (t tree) file(name string, mode fs.FileMode, content []byte) {
	t[name] = entry{mode: mode, content: content}
}

// complete adds the directories above every entry.
func (t tree) complete() tree {
	for name := range maps.Clone(t) {
		for above := path.Dir(name); above != "."; above = path.Dir(above) {
			if _, ok := t[above]; !ok {
				t.dir(above, 0o755, 0)
			}
		}
	}
	return t
}

// paths are in the order in which they are written: directories before what is in them.
func (t tree) paths() []string { return slices.Sorted(maps.Keys(t)) }

// layerTime is the time of every file: the layer must not depend on when it was made.
var layerTime = time.Unix(0, 0)

// writeTar writes the tree as a layer: sorted, with one time and without names of users.
func (t tree) writeTar(w io.Writer) error {
	archive := tar.NewWriter(w)
	for _, name := range t.paths() {
		e := t[name]
		h := &tar.Header{Name: name, Uid: e.uid, Gid: e.gid, ModTime: layerTime, Mode: tarMode(e.mode)}
		switch {
		case e.mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
		case e.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.content))
		}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		if _, err := archive.Write(e.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// tarMode turns the bits of Go into those of Unix.
func tarMode(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for bit, unix := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			bits |= unix
		}
	}
	return bits
}

// writeFiles writes the tree into a directory, for the user who runs this.
func (t tree) writeFiles(dir string) error {
	for _, name := range t.paths() {
		e, at := t[name], filepath.Join(dir, filepath.FromSlash(name))
		var err error
		switch {
		case e.mode.IsDir():
			err = os.MkdirAll(at, 0o755)
		case e.mode&fs.ModeSymlink != 0:
			err = os.Symlink(e.link, at)
		default:
			err = os.WriteFile(at, e.content, 0o644)
		}
		if err != nil {
			return err
		}
		if e.mode&fs.ModeSymlink == 0 { // past the umask
			if err := os.Chmod(at, e.mode&modeBits); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeForDockerfile writes trees as the COPY instructions of the Dockerfile take them:
// COPY gives all that it copies one owner, so that what belongs to the user of the image
// is apart from what belongs to root.
func writeForDockerfile(dir string, trees ...tree) error {
	root := tree{}
	for _, t := range trees {
		maps.Copy(root, t)
	}
	own := tree{}
	for name, as := range ownDirs {
		e := root[name]
		own[as] = e
		delete(root, name)
	}
	for part, t := range map[string]tree{"root": root, "own": own.complete()} {
		at := filepath.Join(dir, part)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := t.writeFiles(at); err != nil {
			return err
		}
	}
	return nil
}
