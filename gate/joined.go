package gate

import (
	"iter"
	"strings"
	"time"
)

// TableKind names a table that is joined to findings when policies are evaluated. What
// it says is never stored in findings, so that a change of it is an evaluation and no
// match.
type TableKind string

// The tables.
const (
	TableEPSS TableKind = "epss" // how likely a vulnerability is exploited, by FIRST
	TableKEV  TableKind = "kev"  // vulnerabilities known to be exploited, by CISA
	TableEOL  TableKind = "eol"  // until when releases are maintained, by endoflife.date
	TableVEX  TableKind = "vex"  // what vendors state about vulnerabilities of a product
)

// TableKinds lists all tables, in the order in which they are shown.
func TableKinds() []TableKind { return []TableKind{TableEPSS, TableKEV, TableEOL, TableVEX} }

// Table is what is in force of one table. Its Number is 0 when nothing is.
type Table struct {
	Number    int64     `json:"number"`
	Content   Digest    `json:"content,omitempty"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"` // as its source states it
	Rows      int       `json:"rows"`
	// Model is the version of the model that made the scores, of EPSS alone.
	Model string `json:"model,omitempty"`
}

// EPSS is how likely a vulnerability is exploited within 30 days, from 0 to 1, and the
// share of all vulnerabilities that are at most as likely to be.
type EPSS struct {
	Score      float64 `json:"score"`
	Percentile float64 `json:"percentile"`
}

// KnownExploited is what CISA says of a vulnerability that is exploited.
type KnownExploited struct {
	AddedAt    time.Time `json:"addedAt"`
	DueAt      time.Time `json:"dueAt,omitzero"`
	Ransomware bool      `json:"ransomware"` // it is used in ransomware campaigns
}

// EndOfLife is until when the release of a distribution is maintained.
type EndOfLife struct {
	Product string `json:"product"` // as endoflife.date names it
	Release string `json:"release"`
	// From is the first day without maintenance; zero when no day is known, and then
	// Ended says whether it has passed.
	From  time.Time `json:"from,omitzero"`
	Ended bool      `json:"ended"`
}

// EndedAt reports whether the end of life has come at now.
func (e EndOfLife) EndedAt(now time.Time) bool {
	if e.From.IsZero() {
		return e.Ended
	}
	return !now.Before(e.From)
}

// Statement is what a VEX document says that takes a finding out of the live ones.
type Statement struct {
	Source        string    `json:"source"`   // name of the entry in advisories.vex
	Document      string    `json:"document"` // its id
	Author        string    `json:"author"`
	At            time.Time `json:"at"`     // when it was stated
	Status        string    `json:"status"` // not_affected or fixed
	Justification string    `json:"justification"`
	Reason        string    `json:"reason"` // in the author's words
	Product       string    `json:"product"`
	Component     string    `json:"component"`
	// Until is when it is too old to count; zero for never.
	Until time.Time `json:"until,omitzero"`
}

// Joined is what the tables say of one finding.
type Joined struct {
	EPSS *EPSS           `json:"epss"` // nil: the table does not have it, or there is none
	KEV  *KnownExploited `json:"kev"`  // nil likewise
	// VEX is the statement that hides the finding; nil while it is live.
	VEX *Statement `json:"vex"`
}

// Exploits are what tables say of a vulnerability wherever it is.
type Exploits interface {
	// EPSS is the score of one id, in any case of its letters.
	EPSS(id string) (EPSS, bool)
	// KEV is the entry of one id.
	KEV(id string) (KnownExploited, bool)
}

// JoinExploits is what tables say of a vulnerability with several names: the highest score,
// and of the entries the earliest dates. An advisory about several vulnerabilities is as
// bad as the worst of them.
func JoinExploits(t Exploits, names iter.Seq[string]) (j Joined) {
	for name := range names {
		if s, ok := t.EPSS(name); ok && (j.EPSS == nil || s.Score > j.EPSS.Score) {
			j.EPSS = &s
		}
		k, ok := t.KEV(name)
		switch {
		case !ok:
		case j.KEV == nil:
			j.KEV = &k
		default:
			j.KEV.Ransomware = j.KEV.Ransomware || k.Ransomware
			if k.AddedAt.Before(j.KEV.AddedAt) {
				j.KEV.AddedAt = k.AddedAt
			}
			if due := k.DueAt; !due.IsZero() && (j.KEV.DueAt.IsZero() || due.Before(j.KEV.DueAt)) {
				j.KEV.DueAt = due
			}
		}
	}
	return j
}

// Whereabouts are where a finding is looked at: a VEX source counts in the repositories
// that it is named for.
type Whereabouts struct {
	Digest   Digest
	Location Location
	Host     string // of the registry
	// Beside is what the tables have read of the documents beside the image; nil for none.
	Beside any
}

// TableStatus is how a table stands, for people.
type TableStatus struct {
	Kind    TableKind `json:"kind"`
	InForce Table     `json:"inForce"`
	// By and ActivatedAt say which process put it in force, and when.
	By          string    `json:"by,omitempty"`
	ActivatedAt time.Time `json:"activatedAt,omitzero"`
	// Problem says why newer content is not in use; "" when all is well.
	Problem   string        `json:"problem,omitempty"`
	CheckedAt time.Time     `json:"checkedAt,omitzero"` // of the source, by this process
	Sources   []VEXStanding `json:"sources,omitempty"`  // of VEX alone
	// Beside is what was found beside images; nil where nothing is looked for.
	Beside *BesideStanding `json:"beside,omitempty"`
}

// BesideStanding is what a process has found beside images since it has started.
type BesideStanding struct {
	// Images is beside how many it has looked, and Documents how many it has taken.
	Images    int `json:"images"`
	Documents int `json:"documents"`
	// Refused counts what does not count, by the reason.
	Refused map[string]int `json:"refused"`
	// Unread counts the images beside which not everything could be read: no document beside
	// them hides anything.
	Unread int `json:"unread"`
	// Unreached counts the images whose registry could not be asked: what was found before
	// stays. Problem is the last reason.
	Unreached int    `json:"unreached"`
	Problem   string `json:"problem,omitempty"`
}

// VEXStanding is how one source of VEX stands.
type VEXStanding struct {
	Name      string    `json:"name"`
	Author    string    `json:"author,omitempty"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	Until     time.Time `json:"until,omitzero"` // when it is too old to count
	Expired   bool      `json:"expired"`
	// Statements are those that count, Refused those that do not, by reason.
	Statements int            `json:"statements"`
	Refused    map[string]int `json:"refused"`
	Problem    string         `json:"problem,omitempty"`
	// Images: its documents beside images count too.
	Images bool `json:"images,omitempty"`
}

// CanonicalID is the id of a vulnerability as it is compared: sources differ in the case
// of their letters ("cve-2026-1", "GHSA-xxxx"), and in blanks around them.
func CanonicalID(id string) string { return strings.ToUpper(strings.TrimSpace(id)) }

// VEXEffect is what a VEX document would hide of what is stored.
type VEXEffect struct {
	Format   string    `json:"format"`
	Document string    `json:"document"`
	Author   string    `json:"author"`
	At       time.Time `json:"at"`
	// Statements count, Refused do not, by reason.
	Statements int            `json:"statements"`
	Refused    map[string]int `json:"refused"`
	// Hidden are the findings that it would hide, Images in how many images; More is how
	// many are not listed.
	Hidden []HiddenFinding `json:"hidden"`
	Images int             `json:"images"`
	More   int             `json:"more"`
	// Partial says why not every stored image was looked at; "" when every one was.
	Partial string `json:"partial,omitempty"`
}

// HiddenFinding is a finding that a statement hides somewhere.
type HiddenFinding struct {
	Digest           Digest     `json:"digest"`
	ID               string     `json:"id"`
	Package          string     `json:"package"`
	InstalledVersion string     `json:"installedVersion"`
	Severity         Severity   `json:"severity"`
	Path             string     `json:"path"`
	Locations        []Location `json:"locations"` // where it is hidden
	Statement        Statement  `json:"statement"`
}
