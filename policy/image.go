package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// imageFields is what input.image has from the inventory.
func imageFields(b *builder, inv *gate.Inventory, f *gate.Findings) [][2]*ast.Term {
	c := inv.Config
	return [][2]*ast.Term{
		b.field("platform", b.or(inv.Platform.String(), "unknown")),
		b.field("os", b.object(
			b.field("family", b.or(inv.OS.Family, "none")),
			b.field("name", b.word(inv.OS.Name)),
			b.field("eol", b.yes(inv.OS.EOL || f.EOL)),
		)),
		b.field("created", b.word(rfc3339(inv.Created))),
		b.field("createdUnix", b.whole(seconds(inv.Created))),
		b.field("size", b.whole(inv.Size)),
		b.field("layers", array(b, inv.Layers, func(l gate.Layer) *ast.Term {
			return b.object(
				b.field("digest", b.word(string(l.Digest))),
				b.field("diffID", b.word(string(l.DiffID))),
				b.field("size", b.whole(l.Size)),
			)
		})),
		b.field("config", b.object(
			b.field("user", b.text(c.User)),
			b.field("runsAsRoot", b.yes(runsAsRoot(c.User))),
			b.field("entrypoint", b.texts(c.Entrypoint)),
			b.field("cmd", b.texts(c.Cmd)),
			b.field("env", b.texts(c.Env)),
			b.field("exposedPorts", b.texts(c.ExposedPorts)),
			b.field("volumes", b.texts(c.Volumes)),
			b.field("workingDir", b.text(c.WorkingDir)),
			b.field("labels", b.textMap(c.Labels)),
			b.field("stopSignal", b.text(c.StopSignal)),
		)),
		b.field("history", array(b, inv.History, historyTerm(b))),
		b.field("approvedBase", b.object(
			b.field("state", b.word("unknown")),
			b.field("name", b.word("")),
		)),
	}
}

func historyTerm(b *builder) func(gate.History) *ast.Term {
	return func(h gate.History) *ast.Term {
		return b.object(
			b.field("created", b.word(rfc3339(h.Created))),
			b.field("createdUnix", b.whole(seconds(h.Created))),
			b.field("createdBy", b.text(h.CreatedBy)),
			b.field("comment", b.word(h.Comment)),
			b.field("emptyLayer", b.yes(h.EmptyLayer)),
		)
	}
}

// runsAsRoot reads the user of an image configuration ("user", "uid",
// "user:group", …) as a runtime does: no user is root, and so is any spelling
// of the number 0. Another name that /etc/passwd maps to 0 is not seen.
func runsAsRoot(user string) bool {
	name, _, _ := strings.Cut(strings.TrimSpace(user), ":")
	if name == "" || name == "root" {
		return true
	}
	uid, err := strconv.ParseInt(name, 10, 64)
	return err == nil && uid == 0
}

// findingsTerm is input.findings. Misconfigurations, licences, malware and
// deviations from the baseline have no analyser yet: their lists are empty and
// their risks say notLookedAt.
func findingsTerm(b *builder, inv *gate.Inventory, f *gate.Findings) *ast.Term {
	return b.object(
		b.field("vulnerabilities", array(b, f.Vulnerabilities, vulnerabilityTerm(b))),
		b.field("malware", ast.ArrayTerm()),
		b.field("secrets", array(b, inv.Secrets, secretTerm(b))),
		b.field("misconfigurations", ast.ArrayTerm()),
		b.field("licenses", ast.ArrayTerm()),
		b.field("baseline", ast.ArrayTerm()),
		b.field("accepted", ast.ArrayTerm()),
	)
}

func vulnerabilityTerm(b *builder) func(gate.Vulnerability) *ast.Term {
	return func(v gate.Vulnerability) *ast.Term {
		var published time.Time
		if v.PublishedAt != nil {
			published = *v.PublishedAt
		}
		return b.object(
			b.field("id", b.word(v.ID)),
			b.field("package", b.word(v.Package)),
			b.field("packageID", b.word(v.PackageID)),
			b.field("type", b.word(v.Type)),
			b.field("path", b.word(v.Path)),
			b.field("installedVersion", b.word(v.InstalledVersion)),
			b.field("fixedVersion", b.word(v.FixedVersion)),
			b.field("status", b.word(v.Status)),
			b.field("severity", b.word(severity(v.Severity))),
			b.field("severitySource", b.word(v.SeveritySource)),
			b.field("cvss", score(v.CVSS)),
			b.field("title", b.word(v.Title)),
			b.field("url", b.word(v.URL)),
			b.field("publishedAt", b.word(rfc3339(published))),
			b.field("publishedUnix", b.whole(seconds(published))),
			b.field("firstSeen", b.word(rfc3339(v.FirstSeen))),
			b.field("firstSeenUnix", b.whole(seconds(v.FirstSeen))),
			b.field("layer", b.word(string(v.Layer))),
			b.field("purl", b.word(v.PURL)),
		)
	}
}

// severity is one of the five words; anything else is UNKNOWN, so that a rule
// which refuses unknown severities sees it.
func severity(s gate.Severity) string {
	for _, known := range gate.Severities() {
		if s == known {
			return string(s)
		}
	}
	return string(gate.SeverityUnknown)
}

// score is a CVSS score; everything outside 0 to 10 is -1, "none".
func score(cvss float64) *ast.Term {
	if !(cvss >= 0 && cvss <= 10) {
		return decimal(-1)
	}
	return decimal(cvss)
}

func secretTerm(b *builder) func(gate.Secret) *ast.Term {
	return func(s gate.Secret) *ast.Term {
		return b.object(
			b.field("rule", b.word(s.Rule)),
			b.field("category", b.word(s.Category)),
			b.field("severity", b.word(severity(gate.Severity(s.Severity)))),
			b.field("title", b.word(s.Title)),
			b.field("path", b.text(s.Path)),
			b.field("startLine", b.whole(int64(s.StartLine))),
			b.field("endLine", b.whole(int64(s.EndLine))),
			b.field("layer", b.word(string(s.Layer))),
		)
	}
}

// packagesTerm is input.packages: distribution packages, then those of each
// application.
func packagesTerm(b *builder, inv *gate.Inventory) *ast.Term {
	terms := make([]*ast.Term, 0, inv.PackageCount())
	for _, p := range inv.Packages {
		terms = append(terms, packageTerm(b, p, inv.OS.Family, p.FilePath))
	}
	for _, a := range inv.Applications {
		for _, p := range a.Packages {
			path := p.FilePath
			if path == "" {
				path = a.FilePath
			}
			terms = append(terms, packageTerm(b, p, a.Type, path))
		}
	}
	return ast.ArrayTerm(terms...)
}

func packageTerm(b *builder, p gate.Package, kind, path string) *ast.Term {
	return b.object(
		b.field("name", b.word(p.Name)),
		b.field("version", b.word(fullVersion(p))),
		b.field("type", b.word(kind)),
		b.field("path", b.word(path)),
		b.field("arch", b.word(p.Arch)),
		b.field("source", b.word(p.SrcName)),
		b.field("licenses", b.texts(p.Licenses)),
		b.field("purl", b.text(p.PURL)),
		b.field("dev", b.yes(p.Dev)),
		b.field("indirect", b.yes(p.Indirect)),
		b.field("layer", b.word(string(p.Layer))),
	)
}

// fullVersion is epoch:version-release as package managers print it.
func fullVersion(p gate.Package) string {
	v := p.Version
	if p.Release != "" {
		v += "-" + p.Release
	}
	if p.Epoch != 0 {
		v = strconv.Itoa(p.Epoch) + ":" + v
	}
	return v
}
