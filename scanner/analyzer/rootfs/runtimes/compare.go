package runtimes

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
)

// A Judgement is what package rootfs says about layers.
type Judgement struct {
	// Unassessable is why it says nothing about them.
	Unassessable string
	views        []*rootfs.View
}

// Judge asks package rootfs. The error is one of the archives.
func Judge(archives [][]byte) (Judgement, error) {
	var layers [][]rootfs.Entry
	var j Judgement
	for i, a := range archives {
		r := tar.NewReader(bytes.NewReader(a))
		var entries []rootfs.Entry
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return j, fmt.Errorf("reading layer %d: %w", i, err)
			}
			e, problem := rootfs.NewEntry(h)
			if problem != "" && j.Unassessable == "" {
				j.Unassessable = problem
			}
			entries = append(entries, e)
		}
		layers = append(layers, entries)
	}
	if j.Unassessable != "" {
		return j, nil
	}
	views, err := rootfs.Resolve(layers)
	if err != nil {
		j.Unassessable = err.Error()
	}
	j.views = views
	return j, nil
}

// files are the contents of regular files by path, in any view.
func (j Judgement) files() map[string][]string {
	out := map[string][]string{}
	for _, v := range j.views {
		v.Walk("", func(p string, n rootfs.Node) bool {
			if n.Kind == rootfs.File {
				out[p] = join(out[p], Content(n.Content.Layer, n.Content.Entry))
			}
			return true
		})
	}
	return out
}

// links are the paths of symbolic links, in any view.
func (j Judgement) links() []string {
	var out []string
	for _, v := range j.views {
		v.Walk("", func(p string, n rootfs.Node) bool {
			if n.Kind == rootfs.Symlink {
				out = append(out, p)
			}
			return true
		})
	}
	return out
}

// lookup is the contents that opening a path gives in any view.
func (j Judgement) lookup(p string) []string {
	var out []string
	for _, v := range j.views {
		if _, n, ok := v.Lookup(p); ok && n.Kind == rootfs.File {
			out = join(out, Content(n.Content.Layer, n.Content.Entry))
		}
	}
	return out
}

func join(all []string, one string) []string {
	if slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}

// Compare checks the properties for one stack; each line of the result is a
// violation.
//
// First: every file that any rig shows, under its path or through links, is in
// the judgement with that content. Unassessable satisfies this.
//
// Second: what no rig shows is not in the judgement. allowed is what it may have
// besides, see [Stack.WithoutNullDevices].
//
// Third: where all rigs show the same, and none refuses, the judgement is not
// unassessable. Stacks with attributes of overlayfs are left out: they are
// refused although most runtimes do not look at them.
func Compare(s Stack, shown, allowed map[string]Shown, j Judgement) []string {
	if j.Unassessable != "" {
		if Agree(shown) && !s.overlayXattrs() {
			return []string{"all rigs show the same, but it is unassessable: " + j.Unassessable}
		}
		return nil
	}
	nodes, reached, runs := union(shown)
	if !runs {
		return nil // No container can be made of the image.
	}
	files, lookups := j.files(), map[string][]string{}
	for p := range reached {
		lookups[p] = j.lookup(p)
	}
	for _, p := range slices.Concat(readPaths, j.links()) {
		if strings.Count(p, "/") < reachDepth {
			lookups[p] = j.lookup(p)
		}
	}
	moreNodes, moreReached, _ := union(allowed)
	return slices.Concat(differences("file", nodes, moreNodes, files), differences("opening", reached, moreReached, lookups))
}

// union is what any of the rigs shows: regular files, and what is opened, by
// path. runs says that one of them does not refuse.
func union(shown map[string]Shown) (nodes, reached map[string][]string, runs bool) {
	nodes, reached = map[string][]string{}, map[string][]string{}
	for _, sh := range shown {
		if sh.Refused != nil {
			continue
		}
		runs = true
		for p, content := range sh.Files() {
			nodes[p] = join(nodes[p], content)
		}
		for p, content := range sh.Reached {
			reached[p] = join(reached[p], content)
		}
	}
	return nodes, reached, runs
}

// readPaths are opened by analysers under fixed names.
var readPaths = []string{"etc/os-release", "usr/lib/os-release", "var/lib/dpkg/status", "lib/apk/db/installed", "app/node_modules/x/package.json"}

// differences compares contents by path.
func differences(what string, shown, allowed, judged map[string][]string) []string {
	var out []string
	paths := maps.Clone(shown)
	maps.Copy(paths, judged)
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		for _, c := range shown[p] {
			if !slices.Contains(judged[p], c) {
				out = append(out, fmt.Sprintf("missing: %s %s with content %s is shown by a rig", what, word(p), c))
			}
		}
		for _, c := range judged[p] {
			if !slices.Contains(shown[p], c) && !slices.Contains(allowed[p], c) {
				out = append(out, fmt.Sprintf("too much: %s %s with content %s is shown by no rig", what, word(p), c))
			}
		}
	}
	return out
}

// Agree says whether all rigs show the same tree and none refuses.
func Agree(shown map[string]Shown) bool {
	var first map[string]Node
	for _, s := range shown {
		if s.Refused != nil {
			return false
		}
		if first == nil {
			first = s.Nodes
		}
		if !maps.Equal(first, s.Nodes) {
			return false
		}
	}
	return true
}

func clean(name string) string {
	return strings.TrimPrefix(path.Join("/", name), "/")
}
