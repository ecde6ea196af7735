// Package document reads a configuration that people write: YAML documents and single
// values, over the defaults in a Go struct. It reports everything that is wrong at
// once, each with the place where it was written, in sentences that say nothing about
// Go; and it bounds what reading may cost.
//
// It does not know what a key means: that is for the packages whose
// configuration it is, whose findings [Document.Add] puts beside its own.
//
// A Document is used by one goroutine.
package document

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxBytes is the largest file: what Kubernetes lets a ConfigMap hold.
	// Parsed it takes about a hundred times that.
	MaxBytes = 1 << 20
	// maxNodes bounds the values of a document after every alias was followed,
	// of which ten lines can make billions. It is more than 1 MiB of text has
	// without them, unless its values are single characters.
	maxNodes = 250_000
	// maxDepth bounds nesting, also of an alias that contains itself. The
	// deepest key is at 5.
	maxDepth = 64
	// maxProblems is how many are shown; the first of them often cause others.
	maxProblems = 100
)

// Problem is one thing that is wrong, or worth a warning.
type Problem struct {
	Origin string // the file, the environment variable, or --set; "" for a default
	Line   int    // 0 where there is none
	Path   string // of the key, "" for the whole document
	Text   string

	order int
}

// Error is "FILE:LINE: PATH: TEXT" without what is not known.
func (p Problem) Error() string {
	place := p.Origin
	if place != "" && p.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, p.Line)
	}
	var parts []string
	for _, part := range []string{place, p.Path, p.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// place is where a key was written.
type place struct {
	origin string
	line   int
	order  int
}

// Defaulter is an element of a list whose keys have defaults other than zero.
type Defaulter interface {
	// SetDefaults sets them, before the keys of the element are read.
	SetDefaults()
}

// Shorter is a struct that may be written as one text instead of keys, where that says all.
type Shorter interface {
	// SetShort takes the text.
	SetShort(text string)
}

// Document collects what is read. The zero value is not usable; see New.
type Document struct {
	target   reflect.Value // the struct that is written to
	defaults reflect.Value // a copy of it as it was
	places   map[string]place
	spoilt   map[string]bool // keys whose value could not be read
	problems []Problem
	warnings []Problem
	origin   string // being read
	lines    bool   // it has lines that tell something
	order    int
	unread   bool // a document was not read, or not to its end
}

// New reads into the struct that target points to, which holds the defaults.
func New(target any) *Document {
	v := reflect.ValueOf(target).Elem()
	defaults := reflect.New(v.Type()).Elem()
	defaults.Set(v)
	return &Document{target: v, defaults: defaults, places: map[string]place{}, spoilt: map[string]bool{}}
}

// ReadFile reads one document; name is what problems call it.
func (d *Document) ReadFile(name string, r io.Reader) {
	d.begin(name)
	d.lines = true
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		d.unread = true
		d.problem("", 0, "reading the file: %s", cause(err))
		return
	case len(text) > MaxBytes:
		d.unread = true
		d.problem("", 0, "the file is larger than %d MiB, the limit for a configuration; is it the right file?", MaxBytes>>20)
		return
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var root yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return // nothing is written: the defaults
	} else if err != nil {
		d.syntax(text, err)
		return
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		d.problem("", second.Line, "a second document begins here (after ---); a configuration is one document, put everything in it")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(text, err)
	}
	d.read(&root, "", d.target)
}

// ReadValue reads the value of one key, YAML too. origin says where it comes
// from; null is the default.
func (d *Document) ReadValue(origin, path, text string) {
	d.begin(origin)
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		d.problem(path, 0, "%s is not YAML: %s", quote(text), yamlCause(err))
		d.spoilt[path] = true
		return
	}
	v := find(d.target, path)
	if root.Kind == 0 || isNull(root.Content[0]) {
		v.Set(find(d.defaults, path))
		return
	}
	d.mark(path, 0)
	d.read(&root, path, v)
}

// Fail adds a problem that is not about a key.
func (d *Document) Fail(format string, args ...any) {
	d.begin("")
	d.problem("", 0, format, args...)
}

// FailUnread is [Document.Fail] for a document that could not be opened.
func (d *Document) FailUnread(format string, args ...any) {
	d.unread = true
	d.Fail(format, args...)
}

// Unread reports whether a document could not be read, so that what it says is
// not known.
func (d *Document) Unread() bool { return d.unread }

func (d *Document) begin(origin string) {
	d.origin, d.lines = origin, false
	d.order++
}

// read writes what was parsed to v, unless it is too much.
func (d *Document) read(root *yaml.Node, path string, v reflect.Value) {
	n := root
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	left := maxNodes
	if bad, why := measure(n, 0, &left); bad != nil {
		d.unread = true
		d.problem(path, bad.Line, "%s", why)
		return
	}
	d.decode(n, v, path)
}

// measure walks as a reader would, following aliases, and returns the node at
// which the document turns out to be too large.
func measure(n *yaml.Node, depth int, left *int) (*yaml.Node, string) {
	if *left--; *left < 0 {
		return n, fmt.Sprintf("with its aliases written out the document has more than %d values, the limit for a configuration", maxNodes)
	}
	if depth > maxDepth {
		return n, fmt.Sprintf("values are nested more than %d deep, or an alias contains itself", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		return measure(n.Alias, depth+1, left)
	}
	for _, c := range n.Content {
		if bad, why := measure(c, depth+1, left); bad != nil {
			return bad, why
		}
	}
	return nil, ""
}

// Add puts a finding about the meaning of a key beside the others, with the
// place where the key is written, or the nearest thing around it. It is left
// out where the key could not be read anyway.
func (d *Document) Add(path, text string) {
	for p := path; p != ""; p = parent(p) {
		if d.spoilt[p] {
			return
		}
	}
	d.problems = append(d.problems, d.at(path, text))
}

// Warn is Add for a problem that does not refuse the configuration.
func (d *Document) Warn(path, text string) { d.warnings = append(d.warnings, d.at(path, text)) }

// Given reports whether a key was written anywhere.
func (d *Document) Given(path string) bool { _, ok := d.places[path]; return ok }

func (d *Document) at(path, text string) Problem {
	p := Problem{Path: path, Text: text, order: d.order + 1}
	for at := path; at != ""; at = parent(at) {
		if pl, ok := d.places[at]; ok {
			p.Origin, p.Line, p.order = pl.origin, pl.line, pl.order
			break
		}
	}
	return p
}

// Problems are all that were found, in the order in which they are written.
func (d *Document) Problems() []Problem { return sorted(d.problems) }

// Warnings are likewise.
func (d *Document) Warnings() []Problem { return sorted(d.warnings) }

// Err is nil without a problem; otherwise each is a line.
func (d *Document) Err() error {
	var errs []error
	for i, p := range d.Problems() {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("and %d more", len(d.problems)-i))
			break
		}
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

func sorted(list []Problem) []Problem {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line), strings.Compare(a.Path, b.Path))
	})
	return list
}

func (d *Document) problem(path string, line int, format string, args ...any) {
	d.problems = append(d.problems, d.here(path, line, fmt.Sprintf(format, args...)))
}

func (d *Document) warning(path string, line int, format string, args ...any) {
	d.warnings = append(d.warnings, d.here(path, line, fmt.Sprintf(format, args...)))
}

func (d *Document) here(path string, line int, text string) Problem {
	if !d.lines {
		line = 0
	}
	return Problem{Origin: d.origin, Line: line, Path: path, Text: text, order: d.order}
}

// mark remembers where a key is written.
func (d *Document) mark(path string, line int) {
	if !d.lines {
		line = 0
	}
	d.places[path] = place{d.origin, line, d.order}
}
