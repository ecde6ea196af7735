package gate

import "slices"

// Answer is what the lookup says about one reference in one request: may it
// run? Admission turns the answers of a review's references into one response.
//
// Only positive evidence permits. An answer permits when Outcome is allow or
// warn, Code is "", Err is nil and Digest is what was judged; everything else,
// the zero Answer included, refuses (see [Answer.Permits]).
type Answer struct {
	// Outcome is allow, warn or deny as evaluated, or none when there was
	// nothing to evaluate.
	Outcome Outcome
	// Code says why the image is refused, "" when it is not.
	Code Code
	// Text is for the developer who is refused: what is wrong and what to do.
	// It names neither code nor reference (admission puts them in front), and it
	// never holds the text of a foreign error or a credential. The zero Text
	// means the code's usual sentence. With CodePolicy admission writes the line
	// from Reasons, so that it can leave findings out one by one.
	Text Text
	// Reasons are those of the decision, deny and warn ones.
	Reasons []Reason
	// Digest is what the reference names: the digest in it, or what its tag
	// was resolved to; for an index the index's own. "" when it is not known.
	Digest Digest
	// Platform is the child of an index that decided, "" otherwise.
	Platform string
	// Warnings are lines for the developer whatever the outcome, for example that an
	// earlier confirmation of the tag was used. Not escaped or cut.
	Warnings []string
	// Warns are the reasons that only warn, which are said after Warnings whatever the
	// outcome. They are those of the decision, or of all decisions about an index, and
	// are shared and not modified.
	Warns []Reason
	// Err is the whole chain of what went wrong, for the operator's log only.
	// It never accompanies an answer that permits: a fallback that succeeded
	// says so in Warnings.
	Err error
	// PolicyRevision and Generation say what the answer is based on.
	PolicyRevision string
	Generation     int64
}

// Said are all lines that are said whatever the outcome, in their order.
func (a Answer) Said() []string {
	lines := slices.Clone(a.Warnings)
	for i := range a.Warns {
		lines = append(lines, a.Warns[i].Line())
	}
	return lines
}

// Permits reports whether the image may run for all that a says. A caller that
// knows the digest in the reference compares it with a.Digest as well.
func (a Answer) Permits() bool {
	return (a.Outcome == OutcomeAllow || a.Outcome == OutcomeWarn) &&
		a.Code == "" && a.Err == nil && a.Digest.Valid()
}
