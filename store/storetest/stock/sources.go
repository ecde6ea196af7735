package stock

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// A Generation is one content of the advisories. Each contains those before it, and has
// one more vulnerability in each of some packages, of medium severity and without a fix,
// so that findings change and no verdict does.
type Generation string

// The generations in their order.
const (
	// First is what the findings of [Stock.Fill] are of.
	First Generation = "first"
	// TwoHundred changes 200 packages, which the images of four applications have, one
	// of five.
	TwoHundred Generation = "two-hundred"
	// OnePercent changes one package of a hundred, which nearly every image has one of.
	OnePercent Generation = "one-percent"
	// Everywhere changes one package of each release, which every image has.
	Everywhere Generation = "everywhere"

	// Denying is the first with one critical vulnerability, with a fix, in a package of one
	// application of twenty, so that the starter set of policies denies its images: image
	// [DeniedImage] and others.
	Denying Generation = "denying"
)

// DeniedImage is an image that is denied because of [Denying] and warned of or allowed
// before.
const DeniedImage = 3 * Bases

// Generations lists them in their order.
func Generations() []Generation { return []Generation{First, TwoHundred, OnePercent, Everywhere} }

const twoHundredApplications = 4

// changed is what a generation changes in the one before.
func (s *Stock) changed(g Generation) []*product {
	if day, ok := g.day(); ok {
		return s.changedOn(day)
	}
	var out []*product
	switch g {
	case TwoHundred:
		for _, a := range s.apps[:twoHundredApplications] {
			out = append(out, a.products[:200/twoHundredApplications]...)
		}
	case OnePercent:
		all := s.products()
		for _, k := range s.random("one percent").Perm(len(all))[:(len(all)+99)/100] {
			out = append(out, all[k])
		}
	case Denying:
		products := s.apps[DeniedImage/Bases].products
		out = append(out, products[len(products)-1])
	case Everywhere:
		for _, rel := range s.releases {
			out = append(out, rel.sources[0])
		}
	}
	return out
}

// news are the vulnerabilities that a generation has and the first has not.
func (s *Stock) news(g Generation) map[*product][]issue {
	if day, ok := g.day(); ok {
		return s.daily(day)
	}
	out := map[*product][]issue{}
	if g == Denying {
		for _, p := range s.changed(g) {
			i := s.newIssue("CVE-2027-99999", s.random(string(g)), distant)
			i.severity, i.vector, i.published = gate.SeverityCritical, vectors[gate.SeverityCritical], s.o.Now.Add(-time.Hour)
			out[p] = []issue{i}
		}
		return out
	}
	all := Generations()
	for _, before := range all[:slices.Index(all, g)+1] {
		for _, p := range s.changed(before) {
			r := s.random(string(before) + " " + p.name)
			i := s.newIssue(fmt.Sprintf("CVE-2027-%05d", 10000+r.IntN(1_000_000)), r, never)
			i.severity, i.vector, i.published = gate.SeverityMedium, vectors[gate.SeverityMedium], s.o.Now.Add(-time.Hour)
			out[p] = append(out[p], i)
		}
	}
	return out
}

// products are all, each once, in a fixed order.
func (s *Stock) products() []*product {
	var out []*product
	seen := map[*product]bool{}
	add := func(list []*product) {
		for _, p := range list {
			if !seen[p] {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	for _, rel := range s.releases {
		add(rel.sources)
	}
	for _, a := range s.apps {
		add(a.products)
	}
	return out
}

// Changed are the packages that a generation changes, by their number, and the images
// that have one of them.
func (s *Stock) Changed(g Generation) (packages int, images []int) {
	changed := map[*product]bool{}
	for _, p := range s.changed(g) {
		changed[p] = true
	}
	var touched [Combinations]bool
	for c := range touched {
		base, app, _ := s.parts(c)
		for _, list := range [][]*product{base.sources, app.products} {
			for _, p := range list {
				touched[c] = touched[c] || changed[p]
			}
		}
	}
	for i := range s.o.Images {
		if touched[i%Combinations] {
			images = append(images, i)
		}
	}
	return len(changed), images
}

// WriteSources writes a generation into dir, which it makes, as sources from which
// scanner/advisory builds a database.
func (s *Stock) WriteSources(dir string, g Generation) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of advisory sources: %w", err)
	}
	news := s.news(g)
	files := map[string]any{"details.json": s.details(news)}
	for _, rel := range s.releases {
		files[rel.family+"-"+rel.name+".json"] = s.distribution(rel, news)
	}
	seen := map[*product]bool{}
	byEcosystem := map[string][]any{}
	for _, a := range s.apps {
		for _, p := range a.products {
			if !seen[p] {
				seen[p] = true
				byEcosystem[a.language.ecosystem] = append(byEcosystem[a.language.ecosystem], s.entries(a.language, p, news[p])...)
			}
		}
	}
	for ecosystem, entries := range byEcosystem {
		files["osv-"+strings.ToLower(ecosystem)+".json"] = entries
	}
	for name, content := range files {
		b, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			return fmt.Errorf("writing advisory source %q: %w", name, err)
		}
	}
	return nil
}

type object map[string]any

// distribution is a release in the format of docs/advisories.md, or Alpine's.
func (s *Stock) distribution(rel *release, news map[*product][]issue) object {
	var advisories, packages []object
	for _, p := range rel.sources {
		fixes := map[string][]string{}
		for _, i := range slices.Concat(p.issues, news[p]) {
			entry := object{"package": p.name, "id": i.id}
			switch {
			case rel.family == "alpine" && i.fixed == never:
				fixes[rel.full(p, distant)] = append(fixes[rel.full(p, distant)], i.id)
			case rel.family == "alpine":
				fixes[rel.full(p, i.fixed)] = append(fixes[rel.full(p, i.fixed)], i.id)
			case i.fixed == never:
				entry["status"] = "affected"
			default:
				entry["fixedVersion"] = rel.full(p, i.fixed)
			}
			if i.severity != gate.SeverityUnknown {
				entry["severity"] = i.severity
			}
			advisories = append(advisories, entry)
		}
		packages = append(packages, object{"pkg": object{"name": p.name, "secfixes": fixes}})
	}
	if rel.family == "alpine" {
		return object{"distroversion": "v" + rel.name, "packages": packages}
	}
	return object{"distribution": rel.family, "release": rel.name, "updatedAt": s.o.Now, "advisories": advisories}
}

// details are what is said of the vulnerabilities of distributions.
func (s *Stock) details(news map[*product][]issue) object {
	var all []object
	for _, rel := range s.releases {
		for _, p := range rel.sources {
			for _, i := range slices.Concat(p.issues, news[p]) {
				d := object{
					"id": i.id, "title": i.title, "description": strings.Repeat(i.title+". ", 6), "publishedAt": i.published,
					"references": []string{"https://example.com/" + i.id, "https://nvd.example.com/vuln/detail/" + i.id},
				}
				if i.severity != gate.SeverityUnknown {
					d["severity"], d["cvss"] = i.severity, i.vector
				}
				all = append(all, d)
			}
		}
	}
	return object{"vulnerabilities": all}
}

// entries are the vulnerabilities of a library in OSV's format.
func (s *Stock) entries(l language, p *product, news []issue) []any {
	var out []any
	for _, i := range slices.Concat(p.issues, news) {
		events := []object{{"introduced": "0"}}
		if i.fixed != never {
			events = append(events, object{"fixed": p.version(i.fixed)})
		}
		entry := object{
			"id": "GHSA-" + strings.ToLower(strings.ReplaceAll(i.id[4:], "-", "")), "aliases": []string{i.id}, "modified": s.o.Now, "published": i.published,
			"summary": i.title, "details": strings.Repeat(i.title+". ", 6), "references": []object{{"type": "WEB", "url": "https://example.com/" + i.id}},
			"affected": []object{{"package": object{"name": p.name, "ecosystem": l.ecosystem}, "ranges": []object{{"type": rangeType(l), "events": events}}}},
		}
		if i.severity != gate.SeverityUnknown {
			entry["severity"] = []object{{"type": "CVSS_V3", "score": i.vector}}
			entry["database_specific"] = object{"severity": word(i.severity)}
		}
		out = append(out, entry)
	}
	return out
}

// rangeType is how OSV compares versions of a language.
func rangeType(l language) string {
	switch l.ecosystem {
	case "npm", "Go":
		return "SEMVER"
	}
	return "ECOSYSTEM"
}

// word is GitHub's word for a severity.
func word(s gate.Severity) string {
	if s == gate.SeverityMedium {
		return "MODERATE"
	}
	return string(s)
}
