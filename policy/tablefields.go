package policy

import (
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// kevNames are the fields of a vulnerability that CISA's list fills.
var kevNames = []string{"knownExploited", "knownExploitedSince", "knownExploitedSinceUnix", "knownExploitedDue", "knownExploitedDueUnix", "ransomware"}

// joinedFields is what the tables fill of a vulnerability.
func joinedFields() []field[*shown] {
	kev := func(v *shown) gate.KnownExploited {
		if v.KEV == nil {
			return gate.KnownExploited{}
		}
		return *v.KEV
	}
	return []field[*shown]{
		value("epss", func(_ *builder, v *shown) *ast.Term {
			if v.EPSS == nil {
				return decimal(-1)
			}
			return decimal(v.EPSS.Score)
		}),
		value("epssPercentile", func(_ *builder, v *shown) *ast.Term {
			if v.EPSS == nil {
				return decimal(-1)
			}
			return decimal(v.EPSS.Percentile)
		}),
		yesOf("knownExploited", func(v *shown) bool { return v.KEV != nil }),
		timeOf("knownExploitedSince", func(v *shown) time.Time { return kev(v).AddedAt }),
		unixOf("knownExploitedSinceUnix", func(v *shown) time.Time { return kev(v).AddedAt }),
		timeOf("knownExploitedDue", func(v *shown) time.Time { return kev(v).DueAt }),
		unixOf("knownExploitedDueUnix", func(v *shown) time.Time { return kev(v).DueAt }),
		yesOf("ransomware", func(v *shown) bool { return kev(v).Ransomware }),
	}
}

// acceptedFields is input.findings.accepted: what a VEX statement hides.
func acceptedFields() []field[*shown] {
	return []field[*shown]{
		wordOf("kind", func(*shown) string { return "vulnerabilities" }),
		wordOf("id", func(v *shown) string { return v.ID }),
		wordOf("package", func(v *shown) string { return v.Package }),
		wordOf("exception", func(v *shown) string { return "vex:" + v.VEX.Source }),
		wordOf("reason", func(v *shown) string { return wordsOfStatement(v.VEX) }),
		wordOf("author", func(v *shown) string { return v.VEX.Author }),
		timeOf("expires", func(v *shown) time.Time { return v.VEX.Until }),
		unixOf("expiresUnix", func(v *shown) time.Time { return v.VEX.Until }),
		wordOf("severity", func(v *shown) string { return severity(v.Severity) }),
		wordOf("path", func(v *shown) string { return v.Path }),
		wordOf("status", func(v *shown) string { return v.VEX.Status }),
		timeOf("statedAt", func(v *shown) time.Time { return v.VEX.At }),
		unixOf("statedUnix", func(v *shown) time.Time { return v.VEX.At }),
	}
}

func wordsOfStatement(s *gate.Statement) string {
	switch {
	case s.Justification == "":
		return s.Reason
	case s.Reason == "":
		return s.Justification
	}
	return s.Justification + ": " + s.Reason
}

// tablesFields is input.scan.tables.
func tablesFields() []field[*moment] {
	var fields []field[*moment]
	for _, k := range gate.TableKinds() {
		of := func(m *moment) tableAt { return tableAt{tableOf(m.tables, k), m.Now} }
		list := []field[tableAt]{
			wordOf("state", func(t tableAt) string {
				if t.Number == 0 {
					return "none"
				}
				return "inForce"
			}),
			wordOf("content", func(t tableAt) string { return string(t.Content) }),
			timeOf("updatedAt", func(t tableAt) time.Time { return t.UpdatedAt }),
			unixOf("updatedUnix", func(t tableAt) time.Time { return t.UpdatedAt }),
			wholeOf("ageHours", func(t tableAt) int64 { return stamped(t.UpdatedAt).hours(t.now) }),
		}
		if k == gate.TableEPSS {
			list = append(list, wordOf("model", func(t tableAt) string { return t.Model }))
		}
		fields = append(fields, object(string(k), of, list))
	}
	return fields
}

// tableAt is a table at a time.
type tableAt struct {
	gate.Table
	now time.Time
}

// endOfLifeFields is input.image.endOfLife.
func endOfLifeFields() []field[*moment] {
	end := func(m *moment) gate.EndOfLife {
		e, _ := endOf(m.tables, m.facts.family, m.facts.release, m.Now)
		return e
	}
	return []field[*moment]{
		wordOf("state", func(m *moment) string {
			_, state := endOf(m.tables, m.facts.family, m.facts.release, m.Now)
			return state
		}),
		timeOf("date", func(m *moment) time.Time { return end(m).From }),
		unixOf("unix", func(m *moment) time.Time { return end(m).From }),
		wordOf("product", func(m *moment) string { return end(m).Product }),
		wordOf("release", func(m *moment) string { return end(m).Release }),
	}
}
