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

// facts is the part of the input that depends on the stored inventory and
// findings only, made once for each (InventoryID, FindingsID) and shared by
// every evaluation. It is immutable.
type facts struct {
	image      [][2]*ast.Term // of input.image
	scan       [][2]*ast.Term // of input.scan
	findings   *ast.Term
	packages   *ast.Term
	provenance *ast.Term

	// What the conditions need (conditions.go).
	incomplete        []gate.Reason // what the scan could not look at (incomplete.go)
	distributionFiles bool
	packageDatabase   bool
	database          gate.PackageDatabase // the first, of whichever manager
	unassessable      string
	os                gate.OS
	created           time.Time
	analyzedAt        time.Time
	advisoriesAt      time.Time // of the data that was matched
	generation        int64
	content           gate.Digest

	bytes int64
}

// newFacts builds the shared part. A nil argument is a programmer's error.
func newFacts(inv *gate.Inventory, f *gate.Findings) *facts {
	b := newBuilder()
	fs := &facts{
		findings:          findingsTerm(b, inv, f),
		packages:          packagesTerm(b, inv),
		provenance:        b.object(b.field("signatures", ast.ArrayTerm()), b.field("attestations", ast.ArrayTerm())),
		distributionFiles: inv.DistributionFiles,
		packageDatabase:   inv.PackageDatabase,
		unassessable:      f.Unassessable,
		os:                inv.OS,
		created:           inv.Created,
		analyzedAt:        inv.AnalyzedAt,
		advisoriesAt:      f.UpdatedAt,
		generation:        f.Generation,
		content:           f.Advisories,
	}
	if d := inv.Distribution; d != nil && len(d.Databases) > 0 {
		fs.database = d.Databases[0]
	}
	fs.image = imageFields(b, inv, f)
	fs.scan = scanFields(b, inv, f)
	fs.bytes = b.bytes
	return fs
}

// advisories is the data whose age counts: the generation in force, because
// findings that it does not change are not matched again, or the matched one
// when none is loaded. Its time is zero when it is not known.
func (fs *facts) advisories(q gate.Question) gate.Generation {
	g := q.Advisories
	if g.Number == 0 && g.UpdatedAt.IsZero() {
		g = gate.Generation{Number: fs.generation, Content: fs.content, UpdatedAt: fs.advisoriesAt}
	}
	if !gate.AgeKnown(g.UpdatedAt) {
		g.UpdatedAt = time.Time{}
	}
	return g
}

// compose makes the whole input of one question around the shared facts. It
// costs about the same at any number of findings.
func compose(q gate.Question, fs *facts) ast.Value {
	b := newBuilder()
	return b.object(
		b.field("version", ast.InternedTerm(InputVersion)),
		b.field("event", b.word(string(q.Event))),
		b.field("now", b.word(rfc3339(q.Now))),
		b.field("nowUnix", b.whole(seconds(q.Now))),
		b.field("image", imageTerm(b, q, fs)),
		b.field("scan", scanTerm(b, q, fs)),
		b.field("findings", fs.findings),
		b.field("packages", fs.packages),
		b.field("provenance", fs.provenance),
		b.field("request", requestTerm(b, q.Request)),
	).Value
}

func imageTerm(b *builder, q gate.Question, fs *facts) *ast.Term {
	pairs := append(make([][2]*ast.Term, 0, len(fs.image)+6), fs.image...)
	return b.object(append(pairs,
		b.field("registry", b.text(q.Location.Registry)),
		b.field("host", b.text(q.Host)),
		b.field("repository", b.text(q.Location.Repository)),
		b.field("tags", b.texts(q.Tags)),
		b.field("digest", b.text(string(q.Digest))),
		b.field("ageHours", decimal(ageHours(q.Now, fs.created))),
	)...)
}

func scanTerm(b *builder, q gate.Question, fs *facts) *ast.Term {
	g := fs.advisories(q)
	pairs := append(make([][2]*ast.Term, 0, len(fs.scan)+2), fs.scan...)
	return b.object(append(pairs,
		b.field("ageHours", decimal(stampHours(q.Now, fs.analyzedAt))),
		b.field("advisories", b.object(
			b.field("generation", b.whole(g.Number)),
			b.field("content", b.text(string(g.Content))),
			b.field("updatedAt", b.word(rfc3339(g.UpdatedAt))),
			b.field("updatedUnix", b.whole(seconds(g.UpdatedAt))),
			b.field("ageHours", decimal(stampHours(q.Now, g.UpdatedAt))),
		)),
	)...)
}

func requestTerm(b *builder, r *gate.Request) *ast.Term {
	if r == nil {
		r = &gate.Request{}
	}
	return b.object(
		b.field("cluster", b.text(r.Cluster)),
		b.field("namespace", b.text(r.Namespace)),
		b.field("namespaceLabels", b.textMap(r.NamespaceLabels)),
		b.field("kind", b.text(r.Kind)),
		b.field("name", b.text(r.Name)),
		b.field("operation", b.text(r.Operation)),
		b.field("user", b.text(r.User)),
		b.field("container", b.text(r.Container)),
	)
}

func scanFields(b *builder, inv *gate.Inventory, f *gate.Findings) [][2]*ast.Term {
	risks := make([][2]*ast.Term, 0, len(gate.Risks()))
	for _, r := range gate.Risks() {
		s := coverage(inv.Risks, r)
		risks = append(risks, b.field(string(r), b.object(
			b.field("coverage", b.word(string(s.Coverage))),
			b.field("reason", b.word(s.Reason)),
		)))
	}
	isolation := inv.Isolation.Level
	if isolation != "strict" && isolation != "bestEffort" {
		isolation = "unknown"
	}
	return [][2]*ast.Term{
		b.field("analyzedAt", b.word(rfc3339(inv.AnalyzedAt))),
		b.field("analyzedUnix", b.whole(seconds(inv.AnalyzedAt))),
		b.field("analyzerSet", b.word(inv.AnalyzerSet)),
		b.field("isolation", b.word(isolation)),
		b.field("matchedAt", b.word(rfc3339(f.MatchedAt))),
		b.field("matchedUnix", b.whole(seconds(f.MatchedAt))),
		b.field("matcher", b.word(f.Matcher)),
		b.field("risks", b.object(risks...)),
		b.field("gaps", array(b, f.Gaps, func(g gate.Gap) *ast.Term {
			return b.object(
				b.field("package", b.text(g.Package)),
				b.field("version", b.text(g.Version)),
				b.field("reason", b.word(g.Reason)),
			)
		})),
	}
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
