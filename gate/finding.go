package gate

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

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

// Rank is the place of a severity in [Severities], 0 for the worst; what is none comes last.
func (s Severity) Rank() int {
	if i := slices.Index(Severities(), s); i >= 0 {
		return i
	}
	return len(Severities())
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
	// Archives is what the index of Java archives said; nil when there was nothing to ask
	// it, or no index. See [Inventory.Named].
	Archives *ArchiveNames `json:"archives,omitempty"`
	// Beside is that of the inventory.
	Beside *BesideVEX `json:"beside,omitempty"`

	// Uses are the buckets that were looked into, see [JoinUses]; "" where that is not
	// known. It is no part of what is stored: the summary of the record has it.
	Uses string `json:"-"`
	// Matched, unless zero, is the summary of the inventory that was matched, for a
	// record of a version before there were summaries. It is no part of what is stored.
	Matched InventorySummary `json:"-"`
	// Hashed, unless nil, are the hashes of the vulnerabilities and gaps as they are; see
	// [Findings.Hash]. It is no part of what is stored.
	Hashed *FindingsHashes `json:"-"`
	// Change, unless nil, is what they change of those that they replace. It is no part of
	// the findings: the write that stores them appends it to the history of the digest.
	Change *StandingChange `json:"-"`
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
	// Aliases are other identifiers of the vulnerability (GHSA-…, GO-…). Where ID is that of
	// an advisory (SUSE-SU-…) they are the CVEs that it is about, which may be several. nil in
	// what earlier versions have stored.
	Aliases []string `json:"aliases,omitempty"`
	// Root is the package URL of the application that the package is part of, as its file
	// names it: the main module of a program, the project of a lock file. "" where it names
	// none with a version, and in what earlier versions have stored.
	Root string `json:"root,omitempty"`
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

// Names are the identifiers under which tables and statements may know the vulnerability:
// ID, and the aliases.
func (v *Vulnerability) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(v.ID) {
			return
		}
		for _, name := range v.Aliases {
			if !yield(name) {
				return
			}
		}
	}
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
	PairFindings(older, f, func(before, after []*Vulnerability) {
		seen := now
		if n := len(before); n > 0 && !before[n-1].FirstSeen.IsZero() {
			seen = before[n-1].FirstSeen
		}
		for _, v := range after {
			v.FirstSeen = seen
		}
	})
}

// PairFindings calls fn for each key of the vulnerabilities of two findings, in the order
// of keys, with those that have it: one of the lists may be empty, and more than one has a
// key where a package is there in several versions. nil findings have none.
func PairFindings(older, newer *Findings, fn func(before, after []*Vulnerability)) {
	before, after := inKeyOrder(older), inKeyOrder(newer)
	for len(before) > 0 || len(after) > 0 {
		b, a := 0, 0
		switch c := comparePlaces(before, after); {
		case c < 0:
			b = sameKey(before)
		case c > 0:
			a = sameKey(after)
		default:
			b, a = sameKey(before), sameKey(after)
		}
		fn(before[:b], after[:a])
		before, after = before[b:], after[a:]
	}
}

// inKeyOrder lists vulnerabilities in the order of their keys, which nearly all have.
func inKeyOrder(f *Findings) []*Vulnerability {
	if f == nil {
		return nil
	}
	list := make([]*Vulnerability, len(f.Vulnerabilities))
	for i := range f.Vulnerabilities {
		list[i] = &f.Vulnerabilities[i]
	}
	if !slices.IsSortedFunc(list, compareKeys) {
		slices.SortStableFunc(list, compareKeys)
	}
	return list
}

func compareKeys(a, b *Vulnerability) int {
	if c := strings.Compare(a.Package, b.Package); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.PackageID, b.PackageID), strings.Compare(a.Path, b.Path), strings.Compare(a.ID, b.ID))
}

// comparePlaces compares the first of two lists; a list that is over is behind.
func comparePlaces(a, b []*Vulnerability) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return compareKeys(a[0], b[0])
}

// sameKey is how many at the beginning of a list have one key.
func sameKey(list []*Vulnerability) int {
	n := 1
	for n < len(list) && compareKeys(list[0], list[n]) == 0 {
		n++
	}
	return n
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
