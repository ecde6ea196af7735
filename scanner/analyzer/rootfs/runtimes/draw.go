package runtimes

import (
	"archive/tar"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// Draw makes stack n of a seed. The same numbers give the same stack.
//
// Each stack has a few names, so that entries meet, and only some of the
// features, so that not every stack is refused for one of them ("swarm testing").
func Draw(seed uint64, n int) Stack { return draw(seed, n, trees, rarity, nil) }

// draw draws entries on top of the base layers.
func draw(seed uint64, n int, trees [][]string, rarity [features]int, base Stack) Stack {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	for {
		if s := drawOnce(r, trees, rarity, base); !s.grows() || r.IntN(50) == 0 {
			return s
		}
	}
}

func drawOnce(r *rand.Rand, trees [][]string, rarity [features]int, base Stack) Stack {
	d := &drawer{Rand: r, now: map[string]byte{}}
	for f := range features {
		d.on[f] = rarity[f] > 0 && d.IntN(rarity[f]) == 0
	}
	d.paths = d.pool(trees)
	s := base.Clone()
	for range 1 + d.IntN(4) {
		d.here = map[string]byte{}
		var l Layer
		for range 1 + d.IntN(5) {
			l = append(l, d.entry())
		}
		s = append(s, l)
	}
	return s
}

// What a stack may have beside files and directories.
const (
	symlinks = iota
	hardlinks
	hardlinksAnywhere // also to what does not exist, or with an odd name
	whiteouts
	opaques
	rootOpaques
	devices
	nullDevices
	spellings // of names
	outside   // names that begin with ".." or "/"
	attributes
	aufs
	oddWhiteouts // that remove nothing that has a name
	globals
	replacements // types over each other
	rareTypes
	features
)

// rarity is how many stacks there are for each one with the feature, 0 for a
// feature that none has. What most rigs refuse, or is never judged, is rare.
var rarity = [features]int{
	symlinks: 2, hardlinks: 3, hardlinksAnywhere: 8, whiteouts: 2, opaques: 3, rootOpaques: 6, devices: 4, nullDevices: 4,
	spellings: 3, outside: 8, attributes: 8, aufs: 8, oddWhiteouts: 16, globals: 8, replacements: 3, rareTypes: 24,
}

type drawer struct {
	*rand.Rand
	on    [features]bool
	paths []string // which the stack's entries have
	// now is roughly what is there, by path, in a tree that all layers share;
	// here is that of this layer alone.
	now, here map[string]byte
}

// trees are paths that meet one another; one tree is drawn for a stack. Those of
// the later trees are read by analysers.
var trees = [][]string{
	{"a", "b", "d", "d/a", "d/b", "d/d", "d/d/a", "e", "e/a", "e/b"},
	{"a", "a/a", "a/a/a", "a/b", "b", "b/a"},
	{"etc/os-release", "usr/lib/os-release", "etc", "usr/lib", "usr", "lib", "lib/os-release"},
	{"var/lib/dpkg/status", "var/lib/dpkg", "var/lib", "opt/status", "opt", "var/lib/dpkg/status.d/x", "opt/status.d/x"},
	{"app/node_modules/x/package.json", "app/node_modules/x", "app/node_modules", "store/x/package.json", "store/x", "store"},
	{"lib/apk/db/installed", "lib/apk/db", "lib/apk", "usr/lib/apk/db/installed", "usr/lib", "lib"},
}

func (d *drawer) pool(trees [][]string) []string {
	tree := slices.Clone(pick(d, trees))
	d.Shuffle(len(tree), func(i, j int) { tree[i], tree[j] = tree[j], tree[i] })
	return tree[:min(len(tree), 3+d.IntN(6))]
}

func pick[T any](d *drawer, from []T) T { return from[d.IntN(len(from))] }

// known are the paths of a tree, in an order that does not depend on the map.
func known(tree map[string]byte, want func(kind byte) bool) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(tree)) {
		if want(tree[p]) {
			out = append(out, p)
		}
	}
	return out
}

func every(byte) bool { return true }

// place is where an entry goes: a path of the pool, often one that was there, at
// times one below a link. Below a file it is seldom: most unpackers refuse that.
func (d *drawer) place() string {
	for {
		p := pick(d, d.paths)
		links := known(d.now, func(k byte) bool { return k == tar.TypeSymlink })
		there := known(d.now, every)
		switch {
		case len(links) > 0 && d.IntN(4) == 0:
			p = path.Join(pick(d, links), path.Base(p))
		case len(there) > 0 && d.IntN(3) == 0:
			p = pick(d, there)
		}
		if d.IntN(12) == 0 || !d.belowFile(p) {
			return p
		}
	}
}

func (d *drawer) belowFile(p string) bool {
	for p = path.Dir(p); p != "."; p = path.Dir(p) {
		if k := d.now[p]; k != 0 && k != tar.TypeDir && k != tar.TypeSymlink {
			return true
		}
	}
	return false
}

func (d *drawer) entry() Entry {
	p := d.place()
	// A stack of replacements gives each path any type; in others a path is a
	// directory where the pool has something below it.
	below := slices.ContainsFunc(d.paths, func(o string) bool { return strings.HasPrefix(o, p+"/") })
	e := Entry{Type: tar.TypeReg, Name: p}
	if (below && !d.on[replacements]) || d.IntN(6) == 0 {
		e.Type = tar.TypeDir
	}
	var kinds []func(*drawer, string) Entry
	for f := range features {
		if k := kindsOf[f]; d.on[f] && k != nil {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) > 0 && d.IntN(2) == 0 {
		e = pick(d, kinds)(d, p)
	}
	d.note(e)
	// The writer has no room for records beside a device number that is too large.
	if d.on[attributes] && d.IntN(2) == 0 && e.Type != tar.TypeXGlobalHeader && e.Major < 1<<21 {
		e.Xattrs = d.xattrs()
	}
	return d.spell(e)
}

// note keeps what an entry changes, roughly.
func (d *drawer) note(e Entry) {
	for _, tree := range []map[string]byte{d.now, d.here} {
		name := e.Name
		hidden, isWhiteout := strings.CutPrefix(path.Base(name), ".wh.")
		if isWhiteout {
			name = path.Join(path.Dir(name), hidden)
		}
		if e.Type != tar.TypeDir || isWhiteout {
			maps.DeleteFunc(tree, func(p string, _ byte) bool { return strings.HasPrefix(p+"/", name+"/") })
		}
		if !isWhiteout {
			tree[name] = e.Type
		}
	}
}
