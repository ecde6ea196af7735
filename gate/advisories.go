package gate

import "time"

// AdvisoryData is how the advisory data of an installation stands: what is in force, what
// can be gone back to, and how asking the repositories goes. It is what all processes on
// the store know; see scanner/advisory.
type AdvisoryData struct {
	// InForce is the generation that decides; its Number is 0 before there is one.
	InForce AdvisoryGeneration `json:"inForce"`
	// Before is the one that a rollback goes to; its Number is 0 when there is none.
	Before AdvisoryGeneration `json:"before,omitzero"`
	// Repositories are asked for newer data; empty when advisories.path is used, or this
	// process is not configured to.
	Repositories []string `json:"repositories"`
	// Mirrors are these repositories, as the process that asked last found them.
	Mirrors []AdvisoryMirror `json:"mirrors,omitempty"`
	// Sources are the configured sources of which generations are composed, in the order
	// in which they decide; empty when there is only the database of Repositories.
	Sources []AdvisorySourceState `json:"sources,omitempty"`
	// Changed says how the sources of the generation in force, or the shape of what they
	// have, differ from those of the one before: then nearly everything may have to be matched again, and the images that run
	// are first. "" when they do not.
	Changed string `json:"changed,omitempty"`
	// Waiting says what the installation waits for while it has no data, and how far that
	// is; "" when there is data.
	Waiting string `json:"waiting,omitempty"`
	// Problem says why there is no newer data, in words; "" when all is well.
	Problem string `json:"problem,omitempty"`
	// CheckedAt is when the repositories were asked last, CheckedBy the process that did,
	// NextAt when they are asked again. Zero: never.
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	CheckedBy string    `json:"checkedBy,omitempty"`
	NextAt    time.Time `json:"nextAt,omitzero"`
	// Failures is how often in a row no repository had usable data.
	Failures int `json:"failures"`
	// Download is what is being downloaded now; nil for nothing.
	Download *AdvisoryDownload `json:"download,omitempty"`
	// Offered is what the repositories offered last, and whether it was taken.
	Offered *OfferedAdvisories `json:"offered,omitempty"`
	// JavaRefresh is how the index of Java archives is asked for; nil while it never was.
	JavaRefresh *JavaRefresh `json:"javaRefresh,omitempty"`
	// RolledBack is the generation that a person went back from: data that is not newer
	// than it is not put in force; nil for none.
	RolledBack *RolledBackAdvisories `json:"rolledBack,omitempty"`
	// Accepted are the refusals that a person overrides, expired ones too.
	Accepted []AcceptedAdvisories `json:"accepted"`
	// Processes are those that keep generations, and which.
	Processes []AdvisoryHolder `json:"processes"`
	// Tables are those that are joined to findings when policies are evaluated, as this
	// process sees them; empty in a process that evaluates none.
	Tables []TableStatus `json:"tables"`
	// Audit are the last things that people ordered, the newest first.
	Audit []AdvisoryOrder `json:"audit"`
}

// AdvisoryGeneration is one generation with what it is made of.
type AdvisoryGeneration struct {
	Number      int64     `json:"number"`
	Content     Digest    `json:"content,omitempty"`
	UpdatedAt   time.Time `json:"updatedAt,omitzero"`
	ActivatedAt time.Time `json:"activatedAt,omitzero"`
	By          string    `json:"by,omitempty"`
	// Sources are in the order of their priority.
	Sources []AdvisorySource `json:"sources,omitempty"`
	// Held are the buckets whose newer rows were refused.
	Held []HeldAdvisories `json:"held,omitempty"`
	// Disagreements are the first of the advisories of which sources say different things.
	Disagreements []AdvisoryDisagreement `json:"disagreements,omitempty"`
	// Java is the index that Java archives are looked up in; nil for none.
	Java *JavaIndex `json:"java,omitempty"`
}

// JavaIndex is the index of Java archives of a generation.
type JavaIndex struct {
	Digest    Digest    `json:"digest"`
	UpdatedAt time.Time `json:"updatedAt"`
	From      string    `json:"from,omitempty"` // REPOSITORY@DIGEST; "" for a directory
	Archives  int64     `json:"archives"`       // that it knows
	// Stale says that it is older than advisories.java.maxAge: archives that were published
	// since are gaps.
	Stale bool `json:"stale,omitempty"`
}

// JavaRefresh is how asking the repositories of the index of Java archives goes.
type JavaRefresh struct {
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	NextAt    time.Time `json:"nextAt,omitzero"`
	Failures  int       `json:"failures"`
	Problem   string    `json:"problem,omitempty"`
}

// AdvisorySource is one source of a generation.
type AdvisorySource struct {
	// Name is "" in a generation that was not composed of several sources.
	Name      string    `json:"name,omitempty"`
	Kind      string    `json:"kind"`
	Digest    Digest    `json:"digest"`
	Priority  int       `json:"priority"`
	UpdatedAt time.Time `json:"updatedAt"`
	From      string    `json:"from,omitempty"` // REPOSITORY@DIGEST; "" for a directory
	// Licence is the note in the configuration on its terms.
	Licence string `json:"licence,omitempty"`
	// MaxAge is the age from which it counts as stale; "" where advisories.maxAge says it.
	MaxAge string `json:"maxAge,omitempty"`
	// Rows are its advisories in the generation. Alike are those that a source which
	// decides before has as well, Overruled those that it has otherwise, Replaced those in
	// buckets that it replaces.
	Rows      int `json:"rows,omitempty"`
	Alike     int `json:"alike,omitempty"`
	Overruled int `json:"overruled,omitempty"`
	Replaced  int `json:"replaced,omitempty"`
	// Unused are buckets of it that cannot be united with those of another source.
	Unused []string `json:"unused,omitempty"`
}

// AdvisoryDisagreement is an advisory of one source that differs from that of the source
// that decided.
type AdvisoryDisagreement struct {
	Bucket    string `json:"bucket"`
	Package   string `json:"package"`
	ID        string `json:"id"`
	Decided   string `json:"decided"`   // name of the source
	Overruled string `json:"overruled"` // likewise
}

// AdvisorySourceState is how one of the sources of which generations are composed goes.
type AdvisorySourceState struct {
	Name string `json:"name"`
	// Kind is "trivy-db", "path", "repository" or "feed", Where the place.
	Kind     string `json:"kind"`
	Where    string `json:"where,omitempty"`
	Priority int    `json:"priority"`
	Licence  string `json:"licence,omitempty"`
	MaxAge   string `json:"maxAge,omitempty"`
	// State is "waiting" (never asked), "ok", "failing" (its former rows stay), "missing"
	// (it fails and has no rows) or "stale" (older than its maxAge).
	State     string    `json:"state"`
	Problem   string    `json:"problem,omitempty"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"` // of its data in force
	Rows      int       `json:"rows"`               // in force
	Overruled int       `json:"overruled,omitempty"`
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	NextAt    time.Time `json:"nextAt,omitzero"`
	Failures  int       `json:"failures,omitempty"`
}

// HeldAdvisories is a bucket that keeps the rows of an earlier source.
type HeldAdvisories struct {
	Bucket    string    `json:"bucket"`
	UpdatedAt time.Time `json:"updatedAt"` // of the rows that are kept
	Reason    string    `json:"reason"`
}

// AdvisoryMirror is how one repository of advisory data is.
type AdvisoryMirror struct {
	Repository string `json:"repository"`
	// State is unasked, ok, failing (its last answer could not be used) or resting
	// (likewise, and it is not asked until RestsUntil).
	State string `json:"state"`
	// AskedAt is when it was asked last, WorkedAt when its answer could last be used,
	// FailedAt when one could not, and LastError why. Zero: never, as far as is known.
	AskedAt    time.Time `json:"askedAt,omitzero"`
	WorkedAt   time.Time `json:"workedAt,omitzero"`
	FailedAt   time.Time `json:"failedAt,omitzero"`
	LastError  string    `json:"lastError,omitempty"`
	RestsUntil time.Time `json:"restsUntil,omitzero"`
	Failures   int       `json:"failures"` // in a row
}

// Fails reports whether the last answer of the repository could not be used.
func (m AdvisoryMirror) Fails() bool { return m.Failures > 0 }

// AdvisoryDownload is a download that is under way.
type AdvisoryDownload struct {
	By         string    `json:"by"` // the process
	Repository string    `json:"repository"`
	Doing      string    `json:"doing"`
	Done       int64     `json:"done"`  // bytes
	Total      int64     `json:"total"` // 0: not known
	Since      time.Time `json:"since"`
}

// OfferedAdvisories is what repositories offered last.
type OfferedAdvisories struct {
	From      string    `json:"from"`
	Content   Digest    `json:"content,omitempty"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	// Refused says why nothing of it was taken; "" when it was, or was in force.
	Refused string `json:"refused,omitempty"`
	// Buckets are those that were refused.
	Buckets []HeldAdvisories `json:"buckets,omitempty"`
}

// RolledBackAdvisories is a generation that a person went back from.
type RolledBackAdvisories struct {
	Number    int64     `json:"number"`
	Content   Digest    `json:"content"`
	UpdatedAt time.Time `json:"updatedAt"`
	By        string    `json:"by"`
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
}

// AcceptedAdvisories is a refusal that a person overrides until a date.
type AcceptedAdvisories struct {
	What   string    `json:"what"` // a digest, or the name of a bucket
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// AdvisoryHolder is a process that keeps generations.
type AdvisoryHolder struct {
	Process  string    `json:"process"`
	Address  string    `json:"address,omitempty"` // of its private listener, for other processes
	Contents []Digest  `json:"contents"`
	SeenAt   time.Time `json:"seenAt"`
}

// AdvisoryOrder is one thing that a person ordered.
type AdvisoryOrder struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	What string    `json:"what"`
}
