// Package product is the tree of products that CSAF and CVRF documents have, and what the
// identifiers in it stand for: a package, with version, architecture and module, in a
// release. Vendors use the trees differently; see the methods of [Tree].
package product

import (
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Product is a leaf of the tree.
type Product struct {
	Name, CPE, PURL string
	// Arch is the architecture of the branch that the product is in, "" for another one.
	Arch string
}

// relation says that one product is a part of another.
type relation struct{ part, whole string }

// Tree is the product tree of one document. It is not safe for concurrent use.
type Tree struct {
	products  map[string]Product
	relations map[string]relation
	order     []string // of products
}

// New returns an empty tree.
func New() *Tree {
	return &Tree{products: map[string]Product{}, relations: map[string]relation{}}
}

// Add notes a product.
func (t *Tree) Add(id string, p Product) {
	if id == "" {
		return
	}
	if _, ok := t.products[id]; !ok {
		t.order = append(t.order, id)
	}
	t.products[id] = p
}

// Relate notes that the product id is part as it is in whole.
func (t *Tree) Relate(id, part, whole string) {
	if id != "" && part != "" && whole != "" {
		t.relations[id] = relation{part, whole}
	}
}

// maxDepth bounds relations of relations: a package in a module in a release has two.
const maxDepth = 8

// Component is a package in a release, as far as an identifier tells.
type Component struct {
	Release format.Release
	// Statement has names, package, module, architecture, version and whether its epoch is
	// known. Package is "" for an identifier of a whole release.
	Statement format.Statement
	// Other says that the product is no package of a distribution, such as an image.
	Other bool
}

// Resolve says what an identifier stands for; ok is false when the tree does not tell.
// The identifiers are those of relations (Red Hat, SUSE, openEuler, OpenCloudOS), a release
// and a package with a colon between them (Alibaba), or products by themselves.
func (t *Tree) Resolve(id string) (c Component, ok bool) {
	part, module := id, ""
	whole := ""
	for depth := 0; depth < maxDepth; depth++ {
		r, ok := t.relations[part]
		if !ok {
			break
		}
		if whole == "" {
			whole = r.whole
		}
		part = r.part
	}
	for depth := 0; depth < maxDepth; depth++ {
		r, ok := t.relations[whole]
		if !ok {
			break
		}
		// The package is part of a module, which is part of the release.
		if m := t.module(r.part); m != "" {
			module = m
		}
		whole = r.whole
	}
	if whole == "" {
		whole, part = t.split(id)
	}
	p, known := t.products[part]
	if whole == "" {
		if !known {
			return c, false
		}
		c.Release = t.release(part)
	} else {
		c.Release = t.release(whole)
	}
	c.Statement, c.Other = component(part, p)
	if module != "" {
		c.Statement.Module = module
	}
	c.Statement.Release = c.Release
	return c, true
}

// split takes "RELEASE:package" apart, where RELEASE is a product of the tree.
func (t *Tree) split(id string) (whole, part string) {
	for i := len(id) - 1; i > 0; i-- {
		if id[i] != ':' {
			continue
		}
		if _, ok := t.products[id[:i]]; ok {
			return id[:i], id[i+1:]
		}
	}
	return "", id
}

// release are the words of a product for the release that it is, or is in.
func (t *Tree) release(id string) format.Release {
	p := t.products[id]
	var r format.Release
	for _, w := range []string{p.CPE, p.Name, id} {
		if w != "" && (len(r) == 0 || r[len(r)-1] != w) {
			r = append(r, w)
		}
	}
	return r
}

// module is "nodejs:20" for a product that is a module ("nodejs:20:8090020231019152822:…").
func (t *Tree) module(id string) string {
	p := t.products[id]
	if u, err := packageurl.FromString(p.PURL); err == nil && u.Type == "rpmmod" {
		stream, _, _ := strings.Cut(u.Version, ":")
		return moduleName(u.Name, stream)
	}
	for _, s := range []string{p.Name, id} {
		if f := strings.Split(s, ":"); len(f) >= 3 {
			return moduleName(f[0], f[1])
		}
	}
	return ""
}

func moduleName(name, stream string) string {
	if name == "" || stream == "" || strings.ContainsAny(name+stream, " :/") {
		return ""
	}
	return name + ":" + stream
}

// component reads a product as a package.
func component(id string, p Product) (s format.Statement, other bool) {
	if p.PURL != "" {
		if u, err := packageurl.FromString(p.PURL); err == nil {
			if u.Type != packageurl.TypeRPM {
				return s, true
			}
			return fromPURL(u), false
		}
	}
	for _, text := range []string{id, p.Name} {
		if n, err := format.ParseNVRA(text); err == nil {
			s = format.Statement{Package: n.Name, Arch: n.Arch, Version: n.EVR.String(), NoEpoch: n.EVR.Epoch == ""}
			if s.Arch == "" {
				s.Arch = p.Arch
			}
			return sourceOf(s), false
		}
	}
	// A package of any version: "pam", "pam.src".
	name := id
	if !format.RPMName(name) {
		name = p.Name
	}
	s.Arch = p.Arch
	for _, arch := range []string{"src", "x86_64", "aarch64", "noarch"} {
		if rest, ok := strings.CutSuffix(name, "."+arch); ok {
			name, s.Arch = rest, arch
		}
	}
	if format.RPMName(name) {
		s.Package = name
	}
	return sourceOf(s), false
}

func sourceOf(s format.Statement) format.Statement {
	if s.Arch == "src" || s.Arch == "nosrc" {
		s.Names, s.Arch = format.Source, ""
	}
	return s
}

func fromPURL(u packageurl.PackageURL) format.Statement {
	q := u.Qualifiers.Map()
	s := format.Statement{Arch: q["arch"]}
	if format.RPMName(u.Name) {
		s.Package = u.Name
	}
	if u.Version != "" {
		text := u.Version
		if e := q["epoch"]; e != "" {
			text = e + ":" + text
		}
		if v, err := format.ParseEVR(text); err == nil {
			s.Version, s.NoEpoch = v.String(), v.Epoch == ""
		} else {
			s.Package = "" // what cannot be compared is no statement
		}
	}
	if f := strings.Split(q["rpmmod"], ":"); len(f) >= 2 {
		s.Module = moduleName(f[0], f[1])
	}
	return sourceOf(s)
}

// Packages calls fn with every product that is a package with a version, in the order of
// the document, and the words of its release.
func (t *Tree) Packages(fn func(Component)) {
	for _, id := range t.order {
		p := t.products[id]
		s, other := component(id, p)
		if other || s.Package == "" || s.Version == "" {
			continue
		}
		c := Component{Statement: s}
		if p.CPE != "" {
			c.Release = format.Release{p.CPE}
		}
		c.Statement.Release = c.Release
		fn(c)
	}
}

// Product returns a product of the tree by its identifier.
func (t *Tree) Product(id string) (Product, bool) {
	p, ok := t.products[id]
	return p, ok
}
