package stock

import (
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// A language is one ecosystem of application packages.
type language struct {
	app       string // gate.Application.Type
	ecosystem string // OSV's name
	// name makes the name of a package from one of a product, pack the package.
	name func(product string) string
	pack func(name, version string) gate.Package
	// file is where an application is, for those that are one file.
	file func(app string) string
}

func languages() []language {
	nowhere := func(string) string { return "" }
	return []language{
		{
			"node-pkg", "npm", func(p string) string { return p },
			func(n, v string) gate.Package {
				return gate.Package{ID: n + "@" + v, PURL: "pkg:npm/" + n + "@" + v, FilePath: "app/node_modules/" + n + "/package.json", Licenses: []string{"MIT"}, AnalyzedBy: "node-pkg"}
			}, nowhere,
		},
		{
			"gobinary", "Go", func(p string) string { return "example.com/go/" + p },
			func(n, v string) gate.Package {
				return gate.Package{ID: n + "@v" + v, Version: "v" + v, PURL: "pkg:golang/" + n + "@v" + v, AnalyzedBy: "gobinary"}
			}, func(app string) string { return "usr/local/bin/" + app },
		},
		{
			"python-pkg", "PyPI", func(p string) string { return "py-" + p },
			func(n, v string) gate.Package {
				return gate.Package{PURL: "pkg:pypi/" + n + "@" + v, FilePath: "usr/local/lib/python3.12/site-packages/" + n + "-" + v + ".dist-info/METADATA", Licenses: []string{"BSD-3-Clause"}, AnalyzedBy: "python-pkg"}
			}, nowhere,
		},
		{
			"jar", "Maven", func(p string) string { return "com.example:" + p },
			func(n, v string) gate.Package {
				_, artifact, _ := strings.Cut(n, ":")
				return gate.Package{PURL: "pkg:maven/com.example/" + artifact + "@" + v, FilePath: "app/lib/" + artifact + "-" + v + ".jar", AnalyzedBy: "jar"}
			}, nowhere,
		},
	}
}

// An application is what a combination adds to a base.
type application struct {
	name     string
	index    int
	language language
	products []*product // its own first
}

const (
	// ownProducts of the packages of an application are of no other, the rest is of
	// its language.
	ownProducts      = 60
	languageProducts = 90
	// appBuilds is how many builds pass between two versions of what changes most.
	appBuilds = 8
	// criticalApplication has a critical vulnerability with a fix, so that the starter
	// set denies one image of twenty.
	criticalApplication = Applications - 1
)

func (s *Stock) makeApplications() {
	all := languages()
	shared := make([][]*product, len(all))
	for i, l := range all {
		for k := range languageProducts {
			shared[i] = append(shared[i], s.library(l, fmt.Sprintf("%s-%s%d", words[k%len(words)], "core", k)))
		}
	}
	for i := range Applications {
		l := i % len(all)
		a := application{name: fmt.Sprintf("%s-%d", words[i], i), index: i, language: all[l]}
		for k := range ownProducts {
			a.products = append(a.products, s.library(a.language, fmt.Sprintf("%s-%s%d", a.name, words[k%len(words)], k)))
		}
		r := s.random("application " + a.name)
		for _, k := range r.Perm(languageProducts)[:appPackages-ownProducts] {
			a.products = append(a.products, shared[l][k])
		}
		s.apps = append(s.apps, a)
	}
	first := s.apps[criticalApplication].products[0]
	critical := s.issue(s.random("critical"), distant)
	critical.severity, critical.vector = gate.SeverityCritical, vectors[gate.SeverityCritical]
	first.issues = append(first.issues, critical)
}

// library is a product of a language.
func (s *Stock) library(l language, what string) *product {
	name := l.name(what)
	r := s.random(l.ecosystem + name)
	every, indirect := pace(r, appBuilds), r.IntN(4) > 0
	p := s.newProduct(name, r, every, func(p *product, level int) []gate.Package {
		version := p.version(level)
		pkg := l.pack(name, version)
		pkg.Name, pkg.Indirect = name, indirect
		if pkg.Version == "" {
			pkg.Version = version
		}
		return []gate.Package{pkg}
	})
	s.infest(p, r, rates{past: 3, open: 0.06, fixable: 0.2, passing: 0.2})
	return p
}

// packages are those of a build.
func (a *application) packages(build int) gate.Application {
	out := gate.Application{Type: a.language.app, FilePath: a.language.file(a.name)}
	for _, p := range a.products {
		out.Packages = append(out.Packages, p.at(build)...)
	}
	return out
}
