package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// The words of policy.allowIncomplete that are not risks.
const (
	// IncompletePackageDatabase lets images pass whose files are those of a
	// distribution but whose package database could not be read.
	IncompletePackageDatabase = "packageDatabase"
	// IncompleteDistributionRelease lets images pass whose distribution
	// release the advisory data does not know.
	IncompleteDistributionRelease = "distributionRelease"
)

// allowance is one entry of policy.allowIncomplete about a risk: RISK lets
// everything through that is missing of it, RISK/KIND gaps of one kind,
// RISK:PATTERN gaps in files whose path matches.
type allowance struct {
	text    string // as configured
	risk    gate.Risk
	kind    string
	pattern string
}

// parseAllowance reads an entry that is about a risk. The error says what is
// possible.
func parseAllowance(entry string) (allowance, error) {
	a := allowance{text: entry}
	risk, rest := entry, ""
	if i := strings.IndexAny(entry, "/:"); i >= 0 {
		risk, rest = entry[:i], entry[i+1:]
	}
	a.risk = gate.Risk(risk)
	switch {
	case !slices.Contains(gate.Risks(), a.risk):
		return a, fmt.Errorf("is not one of %s, nor one of these risks with /KIND or :PATTERN after it", strings.Join(incompleteWords(), ", "))
	case !slices.Contains(gate.SupportedRisks(), a.risk):
		return a, fmt.Errorf("names a risk that is not supported by this version yet: this version does not look at it, so it cannot be incomplete; remove the entry; the possible words are %s", strings.Join(incompleteWords(), ", "))
	case risk == entry:
		return a, nil
	case entry[len(risk)] == '/':
		a.kind = rest
		if kinds := gate.GapKindsOf(a.risk); !slices.Contains(kinds, rest) {
			return a, fmt.Errorf("names no kind of gap of %s; the kinds are %s; write a pattern of paths after a colon, as in %s:opt/vendor/**", risk, strings.Join(kinds, ", "), risk)
		}
		return a, nil
	}
	// Paths in an inventory have no leading slash.
	a.pattern = strings.TrimPrefix(rest, "/")
	if a.pattern == "" || !doublestar.ValidatePattern(a.pattern) {
		return a, fmt.Errorf("has no valid pattern after the colon; write a pattern of paths in the image, as in %s:opt/vendor/**", risk)
	}
	return a, nil
}

// incompleteWords is the vocabulary of AllowIncomplete without kinds and
// patterns.
func incompleteWords() []string {
	var words []string
	for _, r := range gate.SupportedRisks() {
		words = append(words, string(r))
	}
	return append(words, IncompletePackageDatabase, IncompleteDistributionRelease)
}

// allowances reads the entries about risks; they are valid.
func (c Config) allowances() []allowance {
	var out []allowance
	for _, entry := range c.AllowIncomplete {
		if a, err := parseAllowance(entry); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// all says that the entry is about the whole risk.
func (a allowance) all() bool { return a.kind == "" && a.pattern == "" }

// covers reports whether the entry lets the error through.
func (a allowance) covers(e gate.AnalyzerError) bool {
	switch {
	case e.Risk != a.risk:
		return false
	case a.kind != "":
		return e.Kind == a.kind
	case a.pattern != "":
		ok, err := doublestar.Match(a.pattern, e.Path)
		return err == nil && ok && !shortened(e.Path)
	}
	return true
}

// coversCount is the same for errors of which only the number is known: a
// pattern cannot cover them.
func (a allowance) coversCount(e gate.ErrorCount) bool {
	return e.Risk == a.risk && (a.all() || (a.kind != "" && e.Kind == a.kind))
}

// shortened reports whether a path may not be the whole one (gate.Printable):
// what the cut hides must not be taken for a match.
func shortened(path string) bool { return path == "" || strings.HasSuffix(path, "...") }

// gaps are errors of one risk that share their fate: refused, or let through by
// the same entry.
type gaps struct {
	listed []gate.AnalyzerError
	counts []gate.ErrorCount
}

func (g *gaps) number() int {
	n := len(g.listed)
	for _, c := range g.counts {
		n += max(c.Count, 1)
	}
	return n
}

// incomplete judges what a scan could not look at: a deny for each risk of
// which no entry covers something, and a warning for each entry that lets
// something through. It depends on the inventory and the configuration only.
func incomplete(risks []gate.Risk, allowed []allowance, inv *gate.Inventory) []gate.Reason {
	var reasons []gate.Reason
	for _, r := range risks {
		s := coverage(inv.Risks, r)
		if s.Coverage != gate.Partial && s.Coverage != gate.Failed {
			continue
		}
		refused, through := split(r, allowed, inv)
		whole := slices.IndexFunc(allowed, func(a allowance) bool { return a.risk == r && a.all() })
		if refused.number()+count(through) == 0 || s.Coverage == gate.Failed {
			// Nothing says what is missing: only the whole risk can be let through.
			text := scanOf(r, s.Coverage, statedReason(s))
			if whole >= 0 {
				reasons = append(reasons, letThrough(allowed[whole].text, text))
			} else {
				reasons = append(reasons, refuse(text, fmt.Sprintf("%q", string(r))))
			}
			continue
		}
		for i, g := range through {
			if g.number() > 0 {
				reasons = append(reasons, letThrough(allowed[i].text, scanOf(r, s.Coverage, g.describe())))
			}
		}
		if refused.number() > 0 {
			reasons = append(reasons, refuse(scanOf(r, s.Coverage, refused.describe()), refused.narrowest(r)))
		}
	}
	return reasons
}

// split gives each error of a risk to the first entry that covers it.
func split(r gate.Risk, allowed []allowance, inv *gate.Inventory) (refused gaps, through []gaps) {
	through = make([]gaps, len(allowed))
	for _, e := range inv.Errors {
		if e.Risk != r {
			continue
		}
		g := &refused
		if i := slices.IndexFunc(allowed, func(a allowance) bool { return a.covers(e) }); i >= 0 {
			g = &through[i]
		}
		g.listed = append(g.listed, e)
	}
	for _, e := range inv.MoreErrors {
		if e.Risk != r {
			continue
		}
		g := &refused
		if i := slices.IndexFunc(allowed, func(a allowance) bool { return a.coversCount(e) }); i >= 0 {
			g = &through[i]
		}
		g.counts = append(g.counts, e)
	}
	return refused, through
}

func count(all []gaps) int {
	n := 0
	for _, g := range all {
		n += g.number()
	}
	return n
}

// scanOf says what was found of a risk that was not fully looked at.
func scanOf(r gate.Risk, c gate.Coverage, found gate.Text) gate.Text {
	if c == gate.Failed {
		return refusal.Say(refusal.RiskFailed, refusal.P{"risk": r, "found": found})
	}
	return refusal.Say(refusal.RiskIncomplete, refusal.P{"risk": r, "found": found})
}

func statedReason(s gate.RiskStatus) gate.Text {
	if s.Reason == "" {
		return refusal.Say(refusal.RiskUnrecorded, nil)
	}
	return refusal.Say(refusal.Detail, refusal.P{"text": gate.Printable(s.Reason, 400)})
}

// refuse and letThrough are the two answers. Admission cuts warnings after 256
// bytes, so that the entry stands first.
func refuse(text gate.Text, entries string) gate.Reason {
	return none(gate.CodeScanFailed, refusal.Say(refusal.ScanIncomplete, refusal.P{"what": text, "entries": entries}))
}

func letThrough(entry string, text gate.Text) gate.Reason {
	return condition(gate.OutcomeWarn, gate.CodeScanFailed, refusal.Say(refusal.LetThrough, refusal.P{"entry": entry, "what": text}))
}

// describe names the first error and counts the others.
func (g *gaps) describe() gate.Text {
	n := g.number()
	if len(g.listed) == 0 {
		return refusal.Say(refusal.GapsUnlisted, refusal.P{"number": n, "kinds": strings.Join(g.kinds(), ", ")})
	}
	e := g.listed[0]
	kind := ""
	if e.Kind != "" {
		kind = " (" + e.Kind + ")"
	}
	path := e.Path
	if path == "" {
		path = e.Analyzer
	}
	text := fmt.Sprintf("%s: %s%s", gate.Printable(path, 150), gate.Printable(e.Message, 120), kind)
	if n > 1 {
		return refusal.Say(refusal.GapsMore, refusal.P{"first": text, "more": n - 1})
	}
	return refusal.Say(refusal.Detail, refusal.P{"text": text})
}

// kinds are the kinds of the errors, each once; "" is left out.
func (g *gaps) kinds() []string {
	var kinds []string
	for _, e := range g.listed {
		kinds = append(kinds, e.Kind)
	}
	for _, e := range g.counts {
		kinds = append(kinds, e.Kind)
	}
	slices.Sort(kinds)
	return slices.DeleteFunc(slices.Compact(kinds), func(k string) bool { return k == "" })
}

// narrowest names the entries that would let these errors through and as little
// else as possible: the kinds, or for a single file its path besides; the whole
// risk only where an error has neither.
func (g *gaps) narrowest(r gate.Risk) string {
	path := ""
	if g.number() == 1 && len(g.listed) == 1 && !shortened(g.listed[0].Path) {
		path = fmt.Sprintf("%q", string(r)+":"+literal(g.listed[0].Path))
	}
	if g.hasNoKind() {
		if path != "" {
			return path
		}
		return fmt.Sprintf("%q", string(r))
	}
	var entries []string
	for _, k := range g.kinds() {
		entries = append(entries, fmt.Sprintf("%q", string(r)+"/"+k))
	}
	text := strings.Join(entries, " and ")
	// Admission prints 1,024 bytes in all; the kind must not be cut for a path.
	if path != "" && len(path) <= 200 {
		text += " (or, for this file only, " + path + ")"
	}
	return text
}

func (g *gaps) hasNoKind() bool {
	return slices.ContainsFunc(g.listed, func(e gate.AnalyzerError) bool { return e.Kind == "" }) ||
		slices.ContainsFunc(g.counts, func(e gate.ErrorCount) bool { return e.Kind == "" })
}

// literal is a pattern that matches the path alone.
func literal(path string) string {
	var b strings.Builder
	for _, c := range path {
		if strings.ContainsRune(`*?[]{}\`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
