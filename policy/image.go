package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// material is what the part of an input is made from that all questions about an image
// share. A large value that is not needed is nil.
type material struct {
	basics
	inv *gate.Inventory
	f   *gate.Findings
	// live and accepted are the vulnerabilities of f with what is joined to them.
	live, accepted []shown
}

// newMaterial joins the tables to large values that were read.
func newMaterial(b basics, inv *gate.Inventory, f *gate.Findings, j *joint) *material {
	m := &material{basics: b, inv: inv, f: f}
	if f != nil {
		m.live, m.accepted = j.apply(f)
	}
	m.vulnerabilities -= j.hidden
	return m
}

func textOf[T any](name string, of func(T) string) field[T] {
	return value(name, func(b *builder, v T) *ast.Term { return b.text(of(v)) })
}

func wordOf[T any](name string, of func(T) string) field[T] {
	return value(name, func(b *builder, v T) *ast.Term { return b.word(of(v)) })
}

func wholeOf[T any](name string, of func(T) int64) field[T] {
	return value(name, func(b *builder, v T) *ast.Term { return b.whole(of(v)) })
}

func yesOf[T any](name string, of func(T) bool) field[T] {
	return value(name, func(b *builder, v T) *ast.Term { return b.yes(of(v)) })
}

func textsOf[T any](name string, of func(T) []string) field[T] {
	return value(name, func(b *builder, v T) *ast.Term { return b.texts(of(v)) })
}

// timeOf is a time in words, or in seconds.
func timeOf[T any](name string, of func(T) time.Time) field[T] {
	return wordOf(name, func(v T) string { return rfc3339(of(v)) })
}

func unixOf[T any](name string, of func(T) time.Time) field[T] {
	return wholeOf(name, func(v T) int64 { return seconds(of(v)) })
}

// imageFields is what input.image has from the inventory.
func imageFields() []field[*material] {
	return []field[*material]{
		wordOf("platform", func(s *material) string { return or(s.platform, "unknown") }),
		object("os", same[*material], []field[*material]{
			wordOf("family", func(s *material) string { return or(s.family, "none") }),
			wordOf("name", func(s *material) string { return s.release }),
			yesOf("eol", func(s *material) bool { return s.eol }),
		}),
		timeOf("created", func(s *material) time.Time { return s.created }),
		unixOf("createdUnix", func(s *material) time.Time { return s.created }),
		wholeOf("size", func(s *material) int64 { return s.size }),
		listOf("layers", func(s *material) []gate.Layer { return s.inv.Layers }, []field[*gate.Layer]{
			wordOf("digest", func(l *gate.Layer) string { return string(l.Digest) }),
			wordOf("diffID", func(l *gate.Layer) string { return string(l.DiffID) }),
			wholeOf("size", func(l *gate.Layer) int64 { return l.Size }),
		}),
		object("config", same[*material], configFields()),
		listOf("history", func(s *material) []gate.History { return s.inv.History }, []field[*gate.History]{
			timeOf("created", func(h *gate.History) time.Time { return h.Created }),
			unixOf("createdUnix", func(h *gate.History) time.Time { return h.Created }),
			textOf("createdBy", func(h *gate.History) string { return h.CreatedBy }),
			wordOf("comment", func(h *gate.History) string { return h.Comment }),
			yesOf("emptyLayer", func(h *gate.History) bool { return h.EmptyLayer }),
		}),
		object("approvedBase", same[*material], []field[*material]{
			wordOf("state", func(*material) string { return "unknown" }),
			wordOf("name", func(*material) string { return "" }),
		}),
	}
}

func same[T any](v T) T { return v }

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

func configFields() []field[*material] {
	return []field[*material]{
		textOf("user", func(s *material) string { return s.user }),
		yesOf("runsAsRoot", func(s *material) bool { return runsAsRoot(s.user) }),
		textsOf("entrypoint", func(s *material) []string { return s.inv.Config.Entrypoint }),
		textsOf("cmd", func(s *material) []string { return s.inv.Config.Cmd }),
		textsOf("env", func(s *material) []string { return s.inv.Config.Env }),
		textsOf("exposedPorts", func(s *material) []string { return s.inv.Config.ExposedPorts }),
		textsOf("volumes", func(s *material) []string { return s.inv.Config.Volumes }),
		textOf("workingDir", func(s *material) string { return s.inv.Config.WorkingDir }),
		value("labels", func(b *builder, s *material) *ast.Term { return b.textMap(s.inv.Config.Labels) }),
		textOf("stopSignal", func(s *material) string { return s.inv.Config.StopSignal }),
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
	if c := name[0]; c != '+' && c != '-' && (c < '0' || c > '9') {
		return false // no number
	}
	uid, err := strconv.ParseInt(name, 10, 64)
	return err == nil && uid == 0
}

// findingsFields is input.findings: what is live, and what a statement hides in accepted. Misconfigurations, licences, malware and
// deviations from the baseline have no analyser yet: their lists are empty and
// their risks say notLookedAt.
func findingsFields(some selection) []field[*material] {
	return []field[*material]{
		listWith("vulnerabilities", func(s *material) ([]shown, int) {
			list := severe(s.live, some.least) // without findings none is of the selection
			if !some.counted {
				return list, 0
			}
			return list, s.vulnerabilities - len(list)
		}, append(vulnerabilityFields(), joinedFields()...)),
		nothing[*material]("malware"),
		listOf("secrets", func(s *material) []gate.Secret {
			if s.inv == nil {
				return nil
			}
			return s.inv.Secrets
		}, secretFields()),
		nothing[*material]("misconfigurations"),
		nothing[*material]("licenses"),
		nothing[*material]("baseline"),
		listOf("accepted", func(s *material) []shown { return s.accepted }, acceptedFields()),
	}
}

// severe are those that are at least as severe as the one at a place in gate.Severities.
func severe(list []shown, least int) []shown {
	if least >= leastSevere {
		return list
	}
	var some []shown
	for i := range list {
		if gate.SeverityRank(list[i].Severity) <= least {
			some = append(some, list[i])
		}
	}
	return some
}

// allOfThem selects all vulnerabilities.
func allOfThem() selection { return selection{leastSevere, true} }

// leastSevere is the place of the last of gate.Severities.
const leastSevere = 4

func vulnerabilityFields() []field[*shown] {
	type v = *shown
	published := func(v v) time.Time {
		if v.PublishedAt == nil {
			return time.Time{}
		}
		return *v.PublishedAt
	}
	return []field[v]{
		wordOf("id", func(v v) string { return v.ID }),
		wordOf("package", func(v v) string { return v.Package }),
		wordOf("packageID", func(v v) string { return v.PackageID }),
		wordOf("type", func(v v) string { return v.Type }),
		wordOf("path", func(v v) string { return v.Path }),
		wordOf("installedVersion", func(v v) string { return v.InstalledVersion }),
		wordOf("fixedVersion", func(v v) string { return v.FixedVersion }),
		wordOf("status", func(v v) string { return v.Status }),
		wordOf("severity", func(v v) string { return severity(v.Severity) }),
		wordOf("severitySource", func(v v) string { return v.SeveritySource }),
		value("cvss", func(_ *builder, v v) *ast.Term { return score(v.CVSS) }),
		wordOf("title", func(v v) string { return v.Title }),
		wordOf("url", func(v v) string { return v.URL }),
		timeOf("publishedAt", published),
		unixOf("publishedUnix", published),
		timeOf("firstSeen", func(v v) time.Time { return v.FirstSeen }),
		unixOf("firstSeenUnix", func(v v) time.Time { return v.FirstSeen }),
		wordOf("layer", func(v v) string { return string(v.Layer) }),
		wordOf("purl", func(v v) string { return v.PURL }),
		wordOf("source", func(v v) string { return v.Source }),
	}
}

// severity is one of the five words; anything else is UNKNOWN, so that a rule
// which refuses unknown severities sees it.
func severity(s gate.Severity) string {
	if gate.SeverityRank(s) == leastSevere {
		return string(gate.SeverityUnknown)
	}
	return string(s)
}

// score is a CVSS score; everything outside 0 to 10 is -1, "none".
func score(cvss float64) *ast.Term {
	if !(cvss >= 0 && cvss <= 10) {
		return decimal(-1)
	}
	return decimal(cvss)
}

func secretFields() []field[*gate.Secret] {
	type s = *gate.Secret
	return []field[s]{
		wordOf("rule", func(s s) string { return s.Rule }),
		wordOf("category", func(s s) string { return s.Category }),
		wordOf("severity", func(s s) string { return severity(gate.Severity(s.Severity)) }),
		wordOf("title", func(s s) string { return s.Title }),
		textOf("path", func(s s) string { return s.Path }),
		wholeOf("startLine", func(s s) int64 { return int64(s.StartLine) }),
		wholeOf("endLine", func(s s) int64 { return int64(s.EndLine) }),
		wordOf("layer", func(s s) string { return string(s.Layer) }),
	}
}

// installed is a package with what its list says of it.
type installed struct {
	*gate.Package
	kind, path string
}

// packagesOf are distribution packages, then those of each application.
func packagesOf(s *material) []installed {
	all := make([]installed, 0, s.inv.PackageCount())
	for i := range s.inv.Packages {
		p := &s.inv.Packages[i]
		all = append(all, installed{p, s.inv.OS.Family, p.FilePath})
	}
	for i := range s.inv.Applications {
		a := &s.inv.Applications[i]
		for j := range a.Packages {
			p := &a.Packages[j]
			all = append(all, installed{p, a.Type, or(p.FilePath, a.FilePath)})
		}
	}
	return all
}

func packageFields() []field[*installed] {
	type p = *installed
	return []field[p]{
		wordOf("name", func(p p) string { return p.Name }),
		wordOf("version", func(p p) string { return fullVersion(p.Package) }),
		wordOf("type", func(p p) string { return p.kind }),
		wordOf("path", func(p p) string { return p.path }),
		wordOf("arch", func(p p) string { return p.Arch }),
		wordOf("source", func(p p) string { return p.SrcName }),
		textsOf("licenses", func(p p) []string { return p.Licenses }),
		textOf("purl", func(p p) string { return p.PURL }),
		yesOf("dev", func(p p) bool { return p.Dev }),
		yesOf("indirect", func(p p) bool { return p.Indirect }),
		wordOf("layer", func(p p) string { return string(p.Layer) }),
	}
}

// fullVersion is epoch:version-release as package managers print it.
func fullVersion(p *gate.Package) string {
	v := p.Version
	if p.Release != "" {
		v += "-" + p.Release
	}
	if p.Epoch != 0 {
		v = strconv.Itoa(p.Epoch) + ":" + v
	}
	return v
}
