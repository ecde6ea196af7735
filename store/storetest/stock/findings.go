package stock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Matcher matches an inventory; scanner/match implements it.
type Matcher interface {
	// Match compares an inventory with the advisories; an error ends what asked.
	Match(ctx context.Context, inv *gate.Inventory) (*gate.Findings, error)
}

// Findings are what a matcher says of every package that an image of a stock may have,
// from which those of an image are put together without it: a test compares them with
// the matcher's own. They are safe for concurrent use.
type Findings struct {
	stock *Stock
	head  map[string]gate.Findings // by release: all but what is an image's own
	found map[findingKey][]gate.Vulnerability
}

// findingKey names a version of a package: part is a release, or an application.
type findingKey struct{ part, version string }

// Learn asks a matcher about every version of every package once, which takes seconds.
// Errors are the matcher's.
func (s *Stock) Learn(ctx context.Context, m Matcher) (*Findings, error) {
	f := &Findings{stock: s, head: map[string]gate.Findings{}, found: map[findingKey][]gate.Vulnerability{}}
	for _, rel := range s.releases {
		inv := &gate.Inventory{Format: gate.InventoryFormat, Digest: s.Digest(0), OS: gate.OS{Family: rel.family, Name: rel.installed}, Distribution: rel.distribution()}
		if rel.family == "alpine" {
			inv.PackageRepository = "alpine " + rel.name
		}
		for _, p := range rel.sources {
			for _, level := range p.packages {
				inv.Packages = append(inv.Packages, level...)
			}
		}
		if err := f.learn(ctx, m, rel.part(), inv); err != nil {
			return nil, err
		}
	}
	for i := range s.apps {
		a := &s.apps[i]
		app := gate.Application{Type: a.language.app, FilePath: a.language.file(a.name)}
		for _, p := range a.products {
			for _, level := range p.packages {
				app.Packages = append(app.Packages, level...)
			}
		}
		inv := &gate.Inventory{Format: gate.InventoryFormat, Digest: s.Digest(0), Applications: []gate.Application{app}}
		if err := f.learn(ctx, m, a.name, inv); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (rel *release) part() string { return rel.family + rel.name }

func (f *Findings) learn(ctx context.Context, m Matcher, part string, inv *gate.Inventory) error {
	got, err := m.Match(ctx, inv)
	if err != nil {
		return fmt.Errorf("matching the packages of %s: %w", part, err)
	}
	if got.Unassessable != "" || len(got.Gaps) > 0 {
		return fmt.Errorf("matching the packages of %s: %d gaps, unassessable %q: %w", part, len(got.Gaps), got.Unassessable, gate.ErrInvalid)
	}
	head := *got
	head.Vulnerabilities = nil
	f.head[part] = head
	for _, v := range got.Vulnerabilities {
		v.Layer = ""
		key := findingKey{part, v.Package + "@" + v.InstalledVersion}
		f.found[key] = append(f.found[key], v)
	}
	return nil
}

// Of are the findings of image i; the caller sets what names the stored inventory.
func (f *Findings) Of(i int, inv *gate.Inventory) *gate.Findings {
	base, app, _ := f.stock.parts(i)
	out := f.head[base.release.part()]
	out.Digest = inv.Digest
	out.Vulnerabilities = []gate.Vulnerability{}
	add := func(part string, packages []gate.Package) {
		for _, p := range packages {
			version := p.Version
			if p.Release != "" {
				version += "-" + p.Release
			}
			for _, v := range f.found[findingKey{part, p.Name + "@" + version}] {
				v.Layer, v.FirstSeen = p.Layer, f.stock.o.Now
				out.Vulnerabilities = append(out.Vulnerabilities, v)
			}
		}
	}
	add(base.release.part(), inv.Packages)
	for _, a := range inv.Applications {
		add(app.name, a.Packages)
		out.Uses = joined(out.Uses, f.head[app.name].Uses)
	}
	slices.SortFunc(out.Vulnerabilities, func(a, b gate.Vulnerability) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.PackageID, b.PackageID),
			strings.Compare(a.Path, b.Path), strings.Compare(a.ID, b.ID))
	})
	return &out
}

// joined are the buckets that two parts of an image use; "" where those of one are not
// known.
func joined(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return gate.JoinUses(append(strings.Split(a, "\n"), strings.Split(b, "\n")...))
}
