package gate

import "time"

// StandingChange is what became different about a digest when its findings and
// standing verdicts were renewed. It says what was written, compared with exactly what
// that replaced: of several workers that write the same, one has a change to report.
// A renewal that writes nothing new has none.
//
// It is bounded: [MaxChanged] findings of each kind and as many verdicts are held in
// full, the worst first, and the rest is counted.
type StandingChange struct {
	Digest Digest
	At     time.Time
	Event  Event // why it was renewed
	// Generation is that of the findings which the record names then.
	Generation int64
	// Findings is nil when none were written, or the same again.
	Findings *FindingsChange
	// Verdicts are the locations whose verdict differs, MoreVerdicts how many others
	// do.
	Verdicts     []VerdictChange
	MoreVerdicts int
}

// MaxChanged is how many findings, and verdicts, of a kind a change holds in full. An
// old image has hundreds of findings; the part that people are told is shorter.
const MaxChanged = 100

// Empty reports whether nothing became different.
func (c StandingChange) Empty() bool { return c.Findings == nil && len(c.Verdicts) == 0 }

// FindingsChange compares new findings with those that they replaced. A digest's
// content never changes: what is found or fixed follows from other advisories, another
// matcher or another analysis.
type FindingsChange struct {
	Before, After FindingsRef
	// First: there were none before, so that all are found.
	First bool
	// Lost: those before could not be read any more. Nothing was compared.
	Lost bool
	// Found were not there before; Fixed are not there any more.
	Found, Fixed ChangedFindings
	// Severity are findings whose severity differs.
	Severity     []SeverityChange
	MoreSeverity int
	// Unseen counts what was there before, and is missing now although it may still
	// apply: see Incomplete.
	Unseen Counts
	// Missing are those of Unseen, as the lists of Found and Fixed are bounded: when they
	// come back, it is still known when they were first seen.
	Missing []Vulnerability
	// Incomplete says that the new findings cannot tell what is fixed: the advisories do
	// not know the distribution (FindingsRef.Unassessable), or they are of an analysis
	// that could not read everything.
	Incomplete bool
	// Analysed: the image was analysed again in between.
	Analysed bool
}

// Same reports whether the findings are those from before, computed again.
func (c *FindingsChange) Same() bool {
	return !c.First && !c.Lost && c.Found.Total == (Counts{}) && c.Fixed.Total == (Counts{}) && len(c.Severity) == 0 &&
		c.Unseen == (Counts{}) && c.Before.Unassessable == c.After.Unassessable
}

// FindingsRef names stored findings.
type FindingsRef struct {
	ID           string // "" for none
	InventoryID  string
	Generation   int64
	Advisories   Digest
	Counts       Counts
	Unassessable string // why the advisories cannot judge the image
}

// ChangedFindings are findings that came or went.
type ChangedFindings struct {
	List  []Vulnerability // at most [MaxChanged]
	Total Counts          // of all, listed or not
}

// SeverityChange is a finding whose severity is another than before.
type SeverityChange struct {
	Vulnerability          // as it is now
	Before        Severity // which it had
}

// VerdictChange is a standing verdict that differs in its outcome, its code or the
// rules that speak. One that differs in its text or in the revision of the policies
// alone is none.
type VerdictChange struct {
	Location      Location
	Before, After VerdictRef
}

// First reports whether no verdict stood at the location before.
func (c VerdictChange) First() bool { return c.Before.Outcome == "" }

// VerdictRef is what changes say of a verdict. The reasons are in the record.
type VerdictRef struct {
	Outcome        Outcome // "" for none
	Code           Code
	Rules          []string // that deny or warn, in order, each once
	PolicyRevision string
}
