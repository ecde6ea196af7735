package policy

import (
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Tables are what is joined to findings when rules are evaluated: scores, vulnerabilities
// that are known to be exploited, ends of life, and what vendors state. scanner/joined
// implements it. One value never changes; it is safe for concurrent use.
type Tables interface {
	// Table says which content of a table is in force, with the number 0 for none.
	Table(k gate.TableKind) gate.Table
	// EPSS is the score of a vulnerability, in any case of the letters of its id.
	EPSS(id string) (gate.EPSS, bool)
	// KEV is the entry of a vulnerability that is known to be exploited.
	KEV(id string) (gate.KnownExploited, bool)
	// EndOfLife is that of a release of a distribution; false where it is not known.
	EndOfLife(family, release string) (gate.EndOfLife, bool)
	// States reports whether any VEX statement is about a vulnerability.
	States(id string) bool
	// Beside reads what was found beside an image, for Whereabouts.Beside; nil for nothing.
	Beside(b *gate.BesideVEX) any
	// Hides is the statement that takes a finding out of the live ones at a time.
	Hides(w gate.Whereabouts, v *gate.Vulnerability, now time.Time) (gate.Statement, bool)
}

// Join has the engine decide with these tables from now on. What was decided before and
// depends on something else in them is decided again.
func (e *Engine) Join(t Tables) { e.tables.Store(&t) }

// joinedTables are those in use, nil for none.
func (e *Engine) joinedTables() Tables {
	if t := e.tables.Load(); t != nil {
		return *t
	}
	return nil
}

// tableOf is what is in force of a table.
func tableOf(t Tables, k gate.TableKind) gate.Table {
	if t == nil {
		return gate.Table{}
	}
	table := t.Table(k)
	if !gate.AgeKnown(table.UpdatedAt) {
		table.UpdatedAt = time.Time{}
	}
	return table
}

// tableSight is what rules see of the tables.
type tableSight struct {
	epss, kev      bool // of a vulnerability
	live, accepted bool // which are live, and which a statement hides
	eol            bool
	states, ages   map[gate.TableKind]bool // of the tables themselves
	// needed are the tables without which the rules cannot be answered: what they name would
	// be silent.
	needed []gate.TableKind
}

func newTableSight(see *sight) tableSight {
	findings, scan := see.at("findings"), see.at("scan")
	vulnerability := findings.along("vulnerabilities", element)
	s := tableSight{
		epss: vulnerability.any("epss") || vulnerability.any("epssPercentile"),
		live: findings.any("vulnerabilities"), accepted: findings.any("accepted"), eol: see.any("image", "endOfLife"),
		states: map[gate.TableKind]bool{}, ages: map[gate.TableKind]bool{},
	}
	for _, name := range kevNames {
		s.kev = s.kev || vulnerability.any(name)
	}
	for _, k := range gate.TableKinds() {
		table := scan.along("tables", string(k))
		s.ages[k] = table.any("ageHours")
		for _, name := range []string{"state", "content", "updatedAt", "updatedUnix", "model"} {
			s.states[k] = s.states[k] || table.any(name)
		}
	}
	return s
}

// neededBy are the tables of which rules name a field, wherever it stands: a vulnerability
// may have been handed to a function. Rules that only may see a field, because they see
// everything, were written without it.
func neededBy(c *ast.Compiler) (list []gate.TableKind) {
	named := map[string]bool{}
	for _, m := range c.Modules {
		ast.WalkTerms(m, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok {
				named[string(s)] = true
			}
			return false
		})
	}
	for _, k := range []struct {
		kind  gate.TableKind
		names []string
	}{
		{gate.TableEPSS, []string{"epss", "epssPercentile"}}, {gate.TableKEV, kevNames}, {gate.TableEOL, []string{"endOfLife"}},
	} {
		if slices.ContainsFunc(k.names, func(name string) bool { return named[name] }) {
			list = append(list, k.kind)
		}
	}
	return list
}

// Joins names the tables of which a change may change decisions.
func (e *Engine) Joins() map[gate.TableKind]bool {
	s := &e.active.Load().visible.tables
	return map[gate.TableKind]bool{gate.TableEPSS: s.epss, gate.TableKEV: s.kev, gate.TableEOL: s.eol, gate.TableVEX: s.live || s.accepted}
}

// lacking is the refusal where a table that the rules look at is not there; ok is false
// when all are. A rule about known exploited vulnerabilities that meets no list of them
// does not fail, it does not fire.
func (s *activeSet) lacking(t Tables) (r gate.Reason, ok bool) {
	for _, k := range s.visible.tables.needed {
		if tableOf(t, k).Number == 0 {
			return condition(gate.OutcomeDeny, gate.CodeStale, refusal.Say(refusal.TableMissing, refusal.P{"table": tableWords[k], "key": "advisories." + string(k)})), true
		}
	}
	return r, false
}

// tableWords are what tables are called for people.
var tableWords = map[gate.TableKind]string{
	gate.TableEPSS: "scores of EPSS", gate.TableKEV: "list of known exploited vulnerabilities",
	gate.TableEOL: "dates of ends of life", gate.TableVEX: "VEX statements",
}

// endOf is the end of life of the distribution of an image, with a word for how it stands.
func endOf(t Tables, family, release string, now time.Time) (e gate.EndOfLife, state string) {
	if t == nil || family == "" {
		return e, "unknown"
	}
	e, ok := t.EndOfLife(family, release)
	switch {
	case !ok:
		return e, "unknown"
	case e.EndedAt(now):
		return e, "ended"
	}
	return e, "supported"
}

// writeTables writes down what rules see of the tables that is not of findings, for an image
// of a release; known is false when its record does not say which.
func (v *visible) writeTables(w *written, t Tables, family, release string, known bool, now time.Time) {
	for _, k := range gate.TableKinds() {
		if !v.tables.states[k] && !v.tables.ages[k] {
			continue
		}
		table := tableOf(t, k)
		w.number(table.Number)
		w.text(string(table.Content))
		w.time(table.UpdatedAt)
	}
	switch {
	case !v.tables.eol:
	case !known:
		w.text(string(tableOf(t, gate.TableEOL).Content))
	default:
		e, state := endOf(t, family, release, now)
		w.text(e.Product)
		w.text(e.Release)
		w.text(state)
		w.time(e.From)
	}
}

// tablesTurn is the period around now in which rules see the same of the tables.
func (v *visible) tablesTurn(t Tables, family, release string, now time.Time) (p period) {
	for _, k := range gate.TableKinds() {
		if v.tables.ages[k] {
			p = p.meet(stamped(tableOf(t, k).UpdatedAt).turn(now))
		}
	}
	if e, state := endOf(t, family, release, now); v.tables.eol && !e.From.IsZero() {
		if state == "ended" {
			return p.meet(period{start: e.From})
		}
		return p.meet(period{end: e.From})
	}
	return p
}

// Ends names what the rules see of the end of life of a release, at a time; known is false
// when the record of the image does not say which it is. Together with [Engine.Joins] it
// says which decisions a change of tables concerns.
func (e *Engine) Ends(family, release string, known bool, now time.Time) string {
	set, t := e.active.Load(), e.joinedTables()
	var w written
	set.visible.writeTables(&w, t, family, release, known, now)
	return string(w)
}
