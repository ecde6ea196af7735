package gate

import "time"

// HistoryEntry is one change of a digest as its history keeps it. It is written in the
// same step as the findings or the verdicts that it describes, so that there is one for
// each of them, whichever worker wrote them and whenever it ended; a write that changed
// nothing has none.
//
// Of findings it has the ids, packages, versions, severities and first-seen times, of
// verdicts the outcome, the code and the rules. Findings that are the first of a digest
// are counted and not listed. Texts of more than 256 bytes are cut, and lists too, at
// 6 KiB; what is cut off is counted.
type HistoryEntry struct {
	// Number orders the entries of a digest: the version of its record that was written
	// with it. Numbers grow, with gaps. Number and Digest name an entry for ever.
	Number int64
	// StandingChange has At by the clock of the store.
	StandingChange
}

// HistoryQuery selects entries of one digest, the newest first.
type HistoryQuery struct {
	Before int64     // numbers below it; 0 for all
	Since  time.Time // entries of then or later; zero for all
	Limit  int       // at most so many; 0 for all that are kept
}
