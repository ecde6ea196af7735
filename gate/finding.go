package gate

import "time"

// Severity is a vendor's or NVD's grade; the empty value does not occur.
type Severity string

// The severities, worst first in [Severities].
const (
	SeverityCritical Severity = "CRITICAL"
	SeverityHigh     Severity = "HIGH"
	SeverityMedium   Severity = "MEDIUM"
	SeverityLow      Severity = "LOW"
	SeverityUnknown  Severity = "UNKNOWN"
)

// Severities lists all severities, worst first.
func Severities() []Severity {
	return []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityUnknown}
}

// Findings is the result of match: a function of an inventory, an advisory
// generation and the matcher's version. The secrets and other facts that need
// no advisories stay in the inventory.
type Findings struct {
	Digest Digest `json:"digest"`
	// InventoryID names the inventory that was matched (see [Record]).
	InventoryID string `json:"inventoryID"`
	// Generation is the activation number of the advisory data, Advisories its
	// content digest and UpdatedAt the time of the data itself.
	Generation int64     `json:"generation"`
	Advisories Digest    `json:"advisories"`
	UpdatedAt  time.Time `json:"updatedAt"`
	Matcher    string    `json:"matcher"`
	MatchedAt  time.Time `json:"matchedAt"`

	Vulnerabilities []Vulnerability `json:"vulnerabilities"`
	// Unassessable says why the advisory data cannot judge this image (a
	// distribution release that it does not know), "" when it can.
	Unassessable string `json:"unassessable,omitempty"`
	// Gaps are packages that no advisory source covers.
	Gaps []Gap `json:"gaps,omitempty"`
	// EOL says that the distribution's release is past its end of life.
	EOL bool `json:"eol,omitempty"`

	// Uses are the buckets that were looked into, see [JoinUses]; "" where that is not
	// known. It is no part of what is stored: the summary of the record has it.
	Uses string `json:"-"`
	// Matched, unless zero, is the summary of the inventory that was matched, for a
	// record of a version before there were summaries. It is no part of what is stored.
	Matched InventorySummary `json:"-"`
}

// Gap is a package that the advisory data does not cover.
type Gap struct {
	Package string `json:"package"`
	Version string `json:"version"`
	Reason  string `json:"reason"`
}

// Vulnerability is one advisory that applies to one package. Findings are
// sorted by (Package, PackageID, Path, ID).
type Vulnerability struct {
	ID               string     `json:"id"`
	Package          string     `json:"package"`
	PackageID        string     `json:"packageID,omitempty"`
	Type             string     `json:"type"` // distribution family or application type
	Path             string     `json:"path"`
	InstalledVersion string     `json:"installedVersion"`
	FixedVersion     string     `json:"fixedVersion"` // "" when there is no fix
	Status           string     `json:"status"`
	Severity         Severity   `json:"severity"`
	SeveritySource   string     `json:"severitySource"`
	CVSS             float64    `json:"cvss"` // highest v3 score given, -1 when none
	Title            string     `json:"title"`
	URL              string     `json:"url"`
	PublishedAt      *time.Time `json:"publishedAt,omitempty"`
	Layer            Digest     `json:"layer,omitempty"`
	PURL             string     `json:"purl,omitempty"`
	// Source is the source of the advisory data that the advisory is from, by its name in
	// the configuration ([SourceTrivyDB] for the database itself); "" in what earlier
	// versions have stored.
	Source string `json:"source,omitempty"`
	// FirstSeen is when this gate first knew of the finding for this digest;
	// it survives later generations.
	FirstSeen time.Time `json:"firstSeen"`
	// Platforms names the platforms of an index in whose images it was found, where
	// their findings are shown together. It is never stored.
	Platforms []string `json:"platforms,omitempty"`
}

// SourceTrivyDB is the name of the source that is Trivy's database, or one in its place.
const SourceTrivyDB = "trivy-db"

// Key identifies a finding of a digest across generations.
func (v Vulnerability) Key() string {
	return v.ID + "\x00" + v.Package + "\x00" + v.PackageID + "\x00" + v.Path
}

// FindingKey is [Vulnerability.Key] in parts, which costs no memory to make.
type FindingKey struct{ ID, Package, PackageID, Path string }

// KeyParts identifies a finding as Key does.
func (v *Vulnerability) KeyParts() FindingKey {
	return FindingKey{v.ID, v.Package, v.PackageID, v.Path}
}

// Counts is the number of vulnerabilities by severity.
type Counts struct {
	Critical int `json:"critical"`
	High     int `json:"high"`
	Medium   int `json:"medium"`
	Low      int `json:"low"`
	Unknown  int `json:"unknown"`
}

// Plus adds up two tallies.
func (c Counts) Plus(o Counts) Counts {
	return Counts{c.Critical + o.Critical, c.High + o.High, c.Medium + o.Medium, c.Low + o.Low, c.Unknown + o.Unknown}
}

// Total is how many there are.
func (c Counts) Total() int { return c.Critical + c.High + c.Medium + c.Low + c.Unknown }

// Count tallies the findings by severity.
func (f *Findings) Count() Counts {
	var c Counts
	for i := range f.Vulnerabilities {
		switch f.Vulnerabilities[i].Severity {
		case SeverityCritical:
			c.Critical++
		case SeverityHigh:
			c.High++
		case SeverityMedium:
			c.Medium++
		case SeverityLow:
			c.Low++
		default:
			c.Unknown++
		}
	}
	return c
}

// CarryFirstSeen copies FirstSeen from older findings of the same digest and
// gives new ones now.
func (f *Findings) CarryFirstSeen(older *Findings, now time.Time) {
	seen := map[FindingKey]time.Time{}
	if older != nil {
		seen = make(map[FindingKey]time.Time, len(older.Vulnerabilities))
		for i := range older.Vulnerabilities {
			seen[older.Vulnerabilities[i].KeyParts()] = older.Vulnerabilities[i].FirstSeen
		}
	}
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		if t, ok := seen[v.KeyParts()]; ok && !t.IsZero() {
			v.FirstSeen = t
		} else {
			v.FirstSeen = now
		}
	}
}

// UnknownTime is the time of advisory data whose sources state none. It is older
// than any limit, and AgeKnown is false for it.
func UnknownTime() time.Time { return time.Unix(0, 0).UTC() }

// AgeKnown reports whether t is the time of something: neither zero nor
// [UnknownTime] or before.
func AgeKnown(t time.Time) bool { return t.Unix() > 0 }

// ClockSkew is how far the clocks of machines that work together may differ. A
// time further ahead than this is not believed.
const ClockSkew = 5 * time.Minute
