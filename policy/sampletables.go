package policy

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// hiddenSample is the vulnerability that the tables of samples hide.
const hiddenSample = "CVE-2026-0002"

// sampleTables know the vulnerabilities of samples.
type sampleTables struct{}

// Table implements [Tables].
func (sampleTables) Table(gate.TableKind) gate.Table {
	return gate.Table{Number: 3, Content: cleanSample().question.Digest, UpdatedAt: sampleNow().Add(-26 * time.Hour), Rows: 1, Model: "v2025.03.14"}
}

// EPSS implements [Tables].
func (sampleTables) EPSS(string) (gate.EPSS, bool) {
	return gate.EPSS{Score: 0.62417, Percentile: 0.98342}, true
}

// KEV implements [Tables].
func (sampleTables) KEV(string) (gate.KnownExploited, bool) {
	return gate.KnownExploited{AddedAt: sampleNow().Truncate(24*time.Hour).AddDate(0, 0, -7), DueAt: sampleNow().Truncate(24*time.Hour).AddDate(0, 0, 14), Ransomware: true}, true
}

// EndOfLife implements [Tables].
func (sampleTables) EndOfLife(family, _ string) (gate.EndOfLife, bool) {
	return gate.EndOfLife{Product: family, Release: "12", From: time.Date(2028, 6, 30, 0, 0, 0, 0, time.UTC)}, true
}

// States implements [Tables].
func (sampleTables) States(id string) bool { return id == hiddenSample }

// Beside implements [Tables].
func (sampleTables) Beside(*gate.BesideVEX) any { return nil }

// Hides implements [Tables].
func (sampleTables) Hides(_ gate.Whereabouts, v *gate.Vulnerability, now time.Time) (gate.Statement, bool) {
	return gate.Statement{
		Source: "sample", Author: "Example Security", At: now.Add(-48 * time.Hour), Status: "not_affected",
		Justification: "vulnerable_code_not_in_execute_path", Component: v.PURL, Until: now.Add(60 * 24 * time.Hour),
	}, v.ID == hiddenSample
}
