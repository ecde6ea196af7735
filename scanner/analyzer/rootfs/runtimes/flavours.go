package runtimes

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// A flavour is a kind of package whose files an analyser reads. In an image of
// one flavour every file is of that kind, wherever it is, so that it matters
// under which names runtimes show it.
type flavour struct {
	name  string
	trees [][]string // as for Draw
	base  Stack
	// text is the content of a file; version tells which it is.
	text func(version string) string
	// read says whether an analyser knows a file by its path.
	read func(path string) bool
	// found is how the inventory lists the package, without the version.
	found string
}

// debian is the lowest layer of images with a package database, so that it is
// known whose packages they are.
var debian = Stack{{{Type: '0', Name: "etc/os-release"}, {Type: '0', Name: "etc/debian_version"}}}

var flavours = []flavour{
	{
		name: "npm",
		trees: [][]string{
			{"app/node_modules/x/package.json", "app/node_modules/x", "app/node_modules", "store/x/package.json", "store/x", "store", "app"},
			{"app/node_modules/x/package.json", "b/node_modules/x/package.json", "app/node_modules", "b/node_modules", "app", "b", "f"},
		},
		text: func(v string) string { return fmt.Sprintf(`{"name":"x","version":%q}`, v) },
		read: func(p string) bool { return strings.HasSuffix("/"+p, "/node_modules/x/package.json") }, found: "node-pkg:x@",
	},
	{
		name:  "python",
		trees: [][]string{{"lib/p/m-1.dist-info/METADATA", "lib/p/m-1.dist-info", "lib/p", "opt/METADATA", "opt", "lib", "opt/m-1.dist-info/METADATA"}},
		text:  func(v string) string { return "Metadata-Version: 2.1\nName: m\nVersion: " + v + "\n" },
		read: func(p string) bool {
			return path.Base(p) == "METADATA" && strings.HasSuffix(path.Dir(p), ".dist-info")
		},
		found: "python-pkg:m@",
	},
	{
		name:  "dpkg",
		trees: [][]string{{"var/lib/dpkg/status", "var/lib/dpkg", "var/lib", "opt/status", "opt", "opt/dpkg/status", "var"}},
		base:  debian,
		text: func(v string) string {
			return "Package: p\nStatus: install ok installed\nMaintainer: x <x@lists.debian.org>\nArchitecture: amd64\nVersion: " + v + "\nDescription: x\n\n"
		},
		read: func(p string) bool { return p == "var/lib/dpkg/status" }, found: "p@",
	},
}

var drawnVersion = regexp.MustCompile(`1\.\d+\.\d+`)

// content is the text of an entry's file; version reads it back.
func (f flavour) content(layer, entry int) string {
	if layer < len(f.base) {
		return []string{"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n", "12.4\n"}[entry]
	}
	return f.text(fmt.Sprintf("1.%d.%d", layer, entry))
}

// quiet is how rare the features are in images that are analysed: those are left
// out that are never judged.
var quiet = [features]int{
	symlinks: 2, hardlinks: 2, hardlinksAnywhere: 16, whiteouts: 2, opaques: 3, rootOpaques: 4, devices: 6, nullDevices: 6,
	spellings: 3, outside: 12, replacements: 3, globals: 16,
}

// drawImage draws image n of a seed.
func drawImage(seed uint64, n int) (flavour, Stack) {
	f := flavours[n%len(flavours)]
	return f, draw(seed, n, f.trees, quiet, f.base)
}

// packages are those in the files that a rig shows under names that are read, by
// path.
func (f flavour) packages(s Shown, read func(path string) bool) map[string]string {
	out := map[string]string{}
	for p, text := range s.Reached {
		if v := drawnVersion.FindString(text); v != "" && read(p) {
			out[p] = f.found + v
		}
	}
	return out
}
