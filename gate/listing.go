package gate

// RepositoryList is what a registry says it holds, as far as include and
// exclude take it.
type RepositoryList struct {
	Names []string // sorted
	// Complete says that nothing is missing: no limit was reached and the
	// registry has such a list.
	Complete bool
	// Note says what is missing or was left out, for an operator.
	Note string
}

// TagList is the tags of one repository. A tag that is missing from a list
// which is not complete says nothing.
type TagList struct {
	Tags     []ListedTag // sorted
	Complete bool
	Note     string
}

// ListedTag is a tag of a list. Digest is the registry's word, "" where its
// lists do not say it.
type ListedTag struct {
	Tag    string
	Digest Digest
}

// ProbeResult is how one step of a connection test ended.
type ProbeResult string

// The results of a step.
const (
	ProbeOK      ProbeResult = "ok"
	ProbeWarning ProbeResult = "warning" // works, with something to know
	ProbeFailed  ProbeResult = "failed"
	ProbeSkipped ProbeResult = "skipped" // an earlier step failed, or it does not apply
)

// ProbeStep is one step of a connection test: what was found and, unless all is
// well, what to do about it.
type ProbeStep struct {
	Name   string // reachability, certificate, login, catalog, pull
	Result ProbeResult
	Text   string
	Advice string
}
