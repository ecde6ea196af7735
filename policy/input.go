package policy

import (
	"sort"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// InputVersion is the version of the document that rules see (schema.json). A
// field is only ever added within a version.
const InputVersion = 1

// moment is what the part of an input is made from that differs between questions
// about an image.
type moment struct {
	*gate.Question
	facts      *facts
	advisories gate.Generation // see inForce
	tables     Tables          // nil for none
}

// facts is the part of the input that depends on the stored inventory and findings
// only, shared by every evaluation of one set. It is immutable.
type facts struct {
	basics
	image, scan [][2]*ast.Term // of input.image and input.scan
	rest        [][2]*ast.Term // of input
	bytes       int64
}

// document makes inputs that hold what is seen of them.
type document struct {
	image, scan, rest []part[*material] // of facts

	imageNow, scanNow, restNow []part[*moment]
	hasImage, hasScan          bool
}

// newDocument has the vulnerabilities of a selection.
func newDocument(see *sight, some selection) *document {
	return &document{
		image: choose(see.at("image"), imageFields()), imageNow: choose(see.at("image"), imageNowFields()), hasImage: see.any("image"),
		scan: choose(see.at("scan"), scanFields()), scanNow: choose(see.at("scan"), scanNowFields()), hasScan: see.any("scan"),
		rest: choose(see, restFields(some)), restNow: choose(see, restNowFields()),
	}
}

// facts builds the shared part.
func (d *document) facts(s *material) *facts {
	b := newBuilder()
	fs := &facts{basics: s.basics, image: pairs(b, s, d.image, 0), scan: pairs(b, s, d.scan, 0), rest: pairs(b, s, d.rest, 0)}
	fs.bytes = b.bytes + 1000
	return fs
}

// compose makes the whole input of one question around the shared facts. It costs
// about the same at any number of findings.
func (d *document) compose(q *gate.Question, fs *facts, g gate.Generation, t Tables) ast.Value {
	b := newBuilder()
	m := &moment{Question: q, facts: fs, advisories: g, tables: t}
	all := append(pairs(b, m, d.restNow, len(fs.rest)+2), fs.rest...)
	if d.hasImage {
		all = append(all, b.field("image", b.object(append(pairs(b, m, d.imageNow, len(fs.image)), fs.image...)...)))
	}
	if d.hasScan {
		all = append(all, b.field("scan", b.object(append(pairs(b, m, d.scanNow, len(fs.scan)), fs.scan...)...)))
	}
	return b.object(all...).Value
}

func restFields(some selection) []field[*material] {
	return []field[*material]{
		object("findings", same[*material], findingsFields(some)),
		listOf("packages", packagesOf, packageFields()),
		object("provenance", same[*material], []field[*material]{nothing[*material]("signatures"), nothing[*material]("attestations")}),
	}
}

func restNowFields() []field[*moment] {
	return []field[*moment]{
		value("version", func(*builder, *moment) *ast.Term { return ast.InternedTerm(InputVersion) }),
		wordOf("event", func(m *moment) string { return string(m.Event) }),
		timeOf("now", func(m *moment) time.Time { return m.Now }),
		unixOf("nowUnix", func(m *moment) time.Time { return m.Now }),
		object("request", func(m *moment) *gate.Request {
			if m.Request == nil {
				return &gate.Request{}
			}
			return m.Request
		}, requestFields()),
	}
}

func imageNowFields() []field[*moment] {
	return []field[*moment]{
		textOf("registry", func(m *moment) string { return m.Location.Registry }),
		textOf("host", func(m *moment) string { return m.Host }),
		textOf("repository", func(m *moment) string { return m.Location.Repository }),
		textsOf("tags", func(m *moment) []string { return m.Tags }),
		textOf("digest", func(m *moment) string { return string(m.Digest) }),
		wholeOf("ageHours", func(m *moment) int64 { return claimed(m.facts.created).hours(m.Now) }),
		object("endOfLife", same[*moment], endOfLifeFields()),
	}
}

func scanNowFields() []field[*moment] {
	return []field[*moment]{
		wholeOf("ageHours", func(m *moment) int64 { return stamped(m.facts.analyzedAt).hours(m.Now) }),
		object("advisories", same[*moment], []field[*moment]{
			wholeOf("generation", func(m *moment) int64 { return m.advisories.Number }),
			textOf("content", func(m *moment) string { return string(m.advisories.Content) }),
			timeOf("updatedAt", func(m *moment) time.Time { return m.advisories.UpdatedAt }),
			unixOf("updatedUnix", func(m *moment) time.Time { return m.advisories.UpdatedAt }),
			wholeOf("ageHours", func(m *moment) int64 { return stamped(m.advisories.UpdatedAt).hours(m.Now) }),
		}),
		object("tables", same[*moment], tablesFields()),
	}
}

func requestFields() []field[*gate.Request] {
	type r = *gate.Request
	return []field[r]{
		textOf("cluster", func(r r) string { return r.Cluster }),
		textOf("namespace", func(r r) string { return r.Namespace }),
		value("namespaceLabels", func(b *builder, r r) *ast.Term { return b.textMap(r.NamespaceLabels) }),
		value("namespaceAnnotations", func(b *builder, r r) *ast.Term { return b.textMap(r.NamespaceAnnotations) }),
		textOf("kind", func(r r) string { return r.Kind }),
		textOf("name", func(r r) string { return r.Name }),
		textOf("operation", func(r r) string { return r.Operation }),
		textOf("user", func(r r) string { return r.User }),
		textOf("container", func(r r) string { return r.Container }),
	}
}

func scanFields() []field[*material] {
	return []field[*material]{
		timeOf("analyzedAt", func(s *material) time.Time { return s.analyzedAt }),
		unixOf("analyzedUnix", func(s *material) time.Time { return s.analyzedAt }),
		wordOf("analyzerSet", func(s *material) string { return s.analyzerSet }),
		wordOf("isolation", func(s *material) string {
			if s.isolation != "strict" && s.isolation != "bestEffort" {
				return "unknown"
			}
			return s.isolation
		}),
		timeOf("matchedAt", func(s *material) time.Time { return s.matchedAt }),
		unixOf("matchedUnix", func(s *material) time.Time { return s.matchedAt }),
		wordOf("matcher", func(s *material) string { return s.matcher }),
		object("risks", same[*material], risksFields()),
		listOf("gaps", func(s *material) []gate.Gap {
			if s.f == nil {
				return nil
			}
			return s.f.Gaps
		}, []field[*gate.Gap]{
			textOf("package", func(g *gate.Gap) string { return g.Package }),
			textOf("version", func(g *gate.Gap) string { return g.Version }),
			wordOf("reason", func(g *gate.Gap) string { return g.Reason }),
		}),
	}
}

func risksFields() []field[*material] {
	var fields []field[*material]
	for _, r := range gate.Risks() {
		fields = append(fields, object(string(r), func(s *material) gate.RiskStatus { return coverage(s.inv.Risks, r) }, []field[gate.RiskStatus]{
			wordOf("coverage", func(s gate.RiskStatus) string { return string(s.Coverage) }),
			wordOf("reason", func(s gate.RiskStatus) string { return s.Reason }),
		}))
	}
	return fields
}

// coverage reads a risk's status from an inventory. A risk that the inventory
// does not mention was not looked at; a word that is not one of the four is
// read as failed, never as complete.
func coverage(risks map[gate.Risk]gate.RiskStatus, r gate.Risk) gate.RiskStatus {
	s, ok := risks[r]
	if !ok {
		return gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: gate.ReasonNotSupported}
	}
	switch s.Coverage {
	case gate.Complete, gate.Partial, gate.Failed, gate.NotLookedAt:
		return s
	}
	return gate.RiskStatus{Coverage: gate.Failed, Reason: "the inventory's coverage is not a known word"}
}

// sortedRisks is risks in the order of gate.Risks, without repetition.
func sortedRisks(risks []gate.Risk) []gate.Risk {
	rank := map[gate.Risk]int{}
	for i, r := range gate.Risks() {
		rank[r] = i
	}
	var out []gate.Risk
	seen := map[gate.Risk]bool{}
	for _, r := range risks {
		if !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return rank[out[i]] < rank[out[j]] })
	return out
}
