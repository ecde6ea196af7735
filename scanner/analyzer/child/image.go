//go:build goexperiment.jsonv2

package child

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
)

// image is an image being merged: what its layers contain, what a container
// sees of it, and which results belong to that.
type image struct {
	unit     protocol.Unit
	diffIDs  []gate.Digest
	entries  [][]rootfs.Entry
	order    [][]int // of each entry: how often its name was read before in its layer
	views    []*rootfs.View
	readings []*reading
	byPart   map[partKey]*reading
	// readAgain has what was read the second time.
	readAgain map[wish]*reading

	names        *files             // who reads which names; made when it is needed
	seen         map[string][]sight // of decisive paths
	wishes       map[wish]bool
	wanted       map[rootfs.Content][]protocol.Wanted
	distribution bool // a path that only a distribution's root file system has
}

type partKey struct{ layer, part int }

// wish is the content of an entry under a name.
type wish struct {
	content rootfs.Content
	name    string
	mode    uint32
}

// sight is the content that a path shows.
type sight struct {
	content rootfs.Content
	mode    uint32
}

// reading is one part of a layer's result. Each name occurs once in it.
type reading struct {
	layer int
	part  protocol.Part
	found found
	names map[string]bool     // those that were read
	alike map[string]bool     // how a result or a note may spell one of them that is spelled otherwise
	shown map[string][]string // under which paths a container sees what was read under a name
}

// openImage reads the layers' results, which come from hostile processes.
func openImage(layers []protocol.Layer, unit protocol.Unit) (*image, error) {
	img := &image{unit: unit, byPart: map[partKey]*reading{}, readAgain: map[wish]*reading{},
		seen: map[string][]sight{}, wishes: map[wish]bool{}, wanted: map[rootfs.Content][]protocol.Wanted{}}
	left := rootfs.MaxEntries
	for i, l := range layers {
		if l.Problem != "" {
			return nil, undecidable("layer %d: %s", i+1, gate.Printable(l.Problem, protocol.MaxNoteText))
		}
		entries, err := rootfs.ParseIndex(l.Index, left)
		if err != nil {
			return nil, tooLarge("layer %d: %w", i+1, err)
		}
		left -= len(entries)
		times := map[string]int{}
		order := make([]int, len(entries))
		for e, entry := range entries {
			if name, ok := ownName(entry); ok {
				order[e] = times[name]
				times[name]++
			}
		}
		img.diffIDs, img.entries, img.order = append(img.diffIDs, l.DiffID), append(img.entries, entries), append(img.order, order)
		for k, part := range l.Parts {
			r, err := newReading(i, part)
			if err != nil {
				return nil, err
			}
			for name, n := range times {
				if n > k {
					r.gave(name)
				}
			}
			img.readings, img.byPart[partKey{i, k}] = append(img.readings, r), r
		}
	}
	var err error
	if img.views, err = rootfs.Resolve(img.entries); err != nil {
		return nil, undecidable("%w", err)
	}
	return img, nil
}

func newReading(layer int, part protocol.Part) (*reading, error) {
	r := &reading{layer: layer, part: part, names: map[string]bool{}, alike: map[string]bool{}, shown: map[string][]string{}}
	if err := json.Unmarshal(part.Found, &r.found); err != nil {
		return nil, fmt.Errorf("reading the result of layer %d: %w", layer+1, err)
	}
	return r, nil
}

// include adds what was read once more.
func (img *image) include(asked []protocol.Again, again []protocol.Layer) error {
	for i, l := range again {
		times := map[string]int{}
		for _, part := range l.Parts {
			r, err := newReading(asked[i].Layer, part)
			if err != nil {
				return err
			}
			img.readings = append(img.readings, r)
		}
		parts := img.readings[len(img.readings)-len(l.Parts):]
		for _, w := range asked[i].Wanted {
			name := string(w.Name)
			k := times[name]
			times[name]++
			if k >= len(parts) {
				return fmt.Errorf("the result of layer %d lacks part %d", asked[i].Layer+1, k)
			}
			parts[k].gave(name)
			img.readAgain[wish{rootfs.Content{Layer: asked[i].Layer, Entry: w.Entry}, name, w.Mode}] = parts[k]
		}
	}
	return nil
}

// look finds out what a container sees. It returns the layers of which more must
// be read, none when everything was.
func (img *image) look() ([]protocol.Again, error) {
	var err error
	for _, v := range img.views {
		v.Walk("", func(path string, n rootfs.Node) bool {
			if _, ok := rootfs.Marker(path); ok {
				img.distribution = true
			}
			if n.Kind == rootfs.File {
				s := sight{n.Content, n.Mode}
				img.see(path, s)
				err = img.assign(path, s)
			}
			return err == nil
		})
	}
	if err != nil {
		return nil, err
	}
	if err := img.aliases(); err != nil {
		return nil, err
	}
	if len(img.unit.Again) == 0 {
		if more, err := img.again(); err != nil || len(more) > 0 {
			return more, err
		}
	} else if err := img.give(); err != nil {
		return nil, err
	}
	for _, r := range img.readings {
		for name, paths := range r.shown { // several views show the same
			slices.Sort(paths)
			r.shown[name] = slices.Compact(paths)
		}
	}
	return nil, nil
}

// see takes note of the contents of what everything else depends on.
func (img *image) see(path string, s sight) {
	if decisive(path) && !slices.Contains(img.seen[path], s) {
		img.seen[path] = append(img.seen[path], s)
	}
}

// entry is the archive's entry that brought a content, and the name and mode
// with which it was read at first.
func (img *image) entry(c rootfs.Content) rootfs.Entry { return img.entries[c.Layer][c.Entry] }

// assign says which result belongs to a path that shows a content: that of the
// content's own name, that of another name if the name makes no difference, or
// one that is not there yet.
func (img *image) assign(path string, s sight) error {
	e := img.entry(s.content)
	own, ok := ownName(e)
	r := img.byPart[partKey{s.content.Layer, img.order[s.content.Layer][s.content.Entry]}]
	same := ok && own == path && e.Mode == s.mode
	if same && r != nil {
		r.shown[own] = append(r.shown[own], path)
		return nil
	}
	readers, err := img.readers(path, e.Size, s.mode)
	if err != nil {
		return err
	}
	secrets := img.searchesSecrets(path, e.Size)
	if len(readers) == 0 && !secrets {
		return nil
	}
	if ok && r != nil {
		ownReaders, err := img.readers(own, e.Size, e.Mode)
		if err != nil {
			return err
		}
		left := slices.Contains(r.found.Owned, own)
		if !left && sameReading(own, path, ownReaders, readers) && (!secrets || img.searchesSecrets(own, e.Size)) {
			r.shown[own] = append(r.shown[own], path)
			return nil
		}
	}
	img.want(s, path)
	return nil
}

func (img *image) want(s sight, path string) {
	w := wish{s.content, path, s.mode}
	if !img.wishes[w] {
		img.wishes[w] = true
		img.wanted[s.content] = append(img.wanted[s.content], protocol.Wanted{Entry: s.content.Entry, Name: []byte(path), Mode: s.mode})
	}
}

// again lists what is wanted, in the order of the layers and their archives.
func (img *image) again() ([]protocol.Again, error) {
	if total := len(img.wishes); total > protocol.MaxWanted {
		return nil, tooLarge("links give another name to %d files that analysers read, more than %d", total, protocol.MaxWanted)
	}
	byLayer := map[int][]protocol.Wanted{}
	for c, w := range img.wanted {
		byLayer[c.Layer] = append(byLayer[c.Layer], w...)
	}
	var out []protocol.Again
	for _, layer := range slices.Sorted(maps.Keys(byLayer)) {
		w := byLayer[layer]
		slices.SortFunc(w, protocol.Wanted.Compare)
		out = append(out, protocol.Again{Layer: layer, Wanted: w})
	}
	return out, nil
}

// give says which results of the second reading belong to what is wanted. All of
// it must be there: there is no third reading.
func (img *image) give() error {
	for c, wanted := range img.wanted {
		for _, w := range wanted {
			name := string(w.Name)
			r := img.readAgain[wish{c, name, w.Mode}]
			if r == nil {
				return undecidable("the content of %s is needed a third time, but a layer is read at most twice", gate.Quoted(name, protocol.MaxNoteText))
			}
			r.shown[name] = append(r.shown[name], name)
		}
	}
	return nil
}

// readers names the analysers of a name, size and mode.
func (img *image) readers(name string, size int64, mode uint32) ([]analyzerType, error) {
	if err := img.openNames(); err != nil {
		return nil, err
	}
	s := <-img.names.slots
	defer func() { img.names.slots <- s }()
	return slices.DeleteFunc(img.names.readers(s, name, namedFile{name, size, mode}), notLookedAt), nil
}

func (img *image) openNames() error {
	if img.names != nil {
		return nil
	}
	var err error
	img.names, err = newFiles(&tools{}, &notes{}, &spool{}, img.unit, 1)
	return err
}

func (img *image) searchesSecrets(name string, size int64) bool {
	return img.names != nil && img.names.secrets != nil && img.names.secrets.wants(name, size, &notes{})
}

// gave notes that the analysers were given a file of that name. A result is text,
// in which bytes that are none are replaced; a note is cut and escaped besides.
func (r *reading) gave(name string) {
	r.names[name] = true
	if !utf8.ValidString(name) {
		r.alike[string([]rune(name))] = true
	}
	if p := gate.Printable(name, protocol.MaxNoteText); p != name {
		r.alike[p] = true
	}
}

// noted is [reading.paths] for a path in a note, which may be cut or escaped.
func (r *reading) noted(path string) []string {
	if path == "" || r.names[path] {
		return r.paths(path)
	}
	return []string{path}
}

// paths are those under which a container sees what was read under a name, none
// when it is not seen. What nobody was given under this name counts as seen: a
// name that is not text is spelled otherwise in a result, perhaps as another is.
func (r *reading) paths(name string) []string {
	if !r.names[name] {
		return []string{name}
	}
	if paths := r.shown[name]; !r.alike[name] || slices.Contains(paths, name) {
		return paths
	}
	return append(slices.Clone(r.shown[name]), name)
}

// namedFile is what analysers ask about a file before they read it.
type namedFile struct {
	name string
	size int64
	mode uint32
}

func (f namedFile) Name() string      { return f.name[strings.LastIndex(f.name, "/")+1:] }
func (f namedFile) Size() int64       { return f.size }
func (f namedFile) Mode() fs.FileMode { return fs.FileMode(f.mode & 0o777) }
func (namedFile) ModTime() time.Time  { return time.Time{} }
func (namedFile) IsDir() bool         { return false }
func (namedFile) Sys() any            { return nil }
