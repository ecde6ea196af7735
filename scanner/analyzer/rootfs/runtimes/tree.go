package runtimes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Shown is what a container sees of its root file system.
type Shown struct {
	// Refused is set when the unpacker did not accept a layer: the image does
	// not run there, and nothing is shown.
	Refused error
	// Nodes has every path but the root, relative and clean.
	Nodes map[string]Node
	// Reached has the content of every regular file that can be opened below a
	// path of at most reachDepth components, links followed; also those that
	// Nodes has under the same path.
	Reached map[string]string
}

// A Node is what is at one path. Text is the content of a regular file and the
// target of a symbolic link.
type Node struct {
	Kind Kind
	Text string
}

// A Kind is the type of a node.
type Kind string

// The kinds of nodes. Unreadable is what the kernel cannot show, because of
// attributes that it does not accept.
const (
	File       Kind = "file"
	Dir        Kind = "dir"
	Symlink    Kind = "symlink"
	Other      Kind = "other"
	Unreadable Kind = "unreadable"
)

// Directories that are links to themselves are entered again and again: paths
// are followed to a depth which every name of draw.go has, and their number is
// bounded.
const (
	reachDepth = 5
	reachLimit = 400
)

// read lists the tree below root.
func (b *Bench) read(root string) (Shown, error) {
	s := Shown{Nodes: map[string]Node{}, Reached: map[string]string{}}
	return s, b.inRoot(root, func() error {
		if err := s.list("/"); err != nil {
			return err
		}
		s.reach("/", 0)
		return nil
	})
}

func (s *Shown) list(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if dir == "/" {
			return fmt.Errorf("listing the root: %w", err)
		}
		s.Nodes[strings.TrimPrefix(dir, "/")] = Node{Kind: Unreadable}
		return nil
	}
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		n, ok := look(p)
		if !ok {
			continue
		}
		s.Nodes[strings.TrimPrefix(p, "/")] = n
		if n.Kind == Dir {
			if err := s.list(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// look says what is at p; ok is false when it cannot be opened at all: overlayfs
// lists the whiteouts of a directory that is in one layer only.
func look(p string) (n Node, ok bool) {
	fi, err := os.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return Node{}, false
	}
	if err != nil {
		return Node{Kind: Unreadable}, true
	}
	switch {
	case fi.IsDir():
		return Node{Kind: Dir}, true
	case fi.Mode().IsRegular():
		b, err := os.ReadFile(p)
		if err != nil {
			return Node{Kind: Unreadable}, true
		}
		return Node{Kind: File, Text: string(b)}, true
	case fi.Mode()&fs.ModeSymlink != 0:
		t, err := os.Readlink(p)
		if err != nil {
			return Node{Kind: Unreadable}, true
		}
		return Node{Kind: Symlink, Text: t}, true
	}
	return Node{Kind: Other}, true
}

// reach follows links; what cannot be opened is left out.
func (s *Shown) reach(dir string, depth int) {
	if depth == reachDepth {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		fi, err := os.Stat(p)
		switch {
		case err != nil:
		case fi.IsDir():
			s.reach(p, depth+1)
		case fi.Mode().IsRegular() && len(s.Reached) < reachLimit:
			if b, err := os.ReadFile(p); err == nil {
				s.Reached[strings.TrimPrefix(p, "/")] = string(b)
			}
		}
	}
}

// Files are the regular files among the nodes.
func (s Shown) Files() map[string]string {
	out := map[string]string{}
	for p, n := range s.Nodes {
		if n.Kind == File {
			out[p] = n.Text
		}
	}
	return out
}
