package gate

import (
	"errors"
	"strings"
	"time"
)

// CauseKind says in one word why a job failed or waits. It is what is stored, not
// a text: the text is made for the person who asks, from whom the places of others
// are kept. The set is closed; a word that this version does not know reads as
// [CauseInternal].
type CauseKind string

// The kinds of cause.
const (
	// CauseContent follows from hashed bytes and holds wherever the image is.
	CauseContent CauseKind = "content"

	// These are about a place, which is a repository of a registry.
	CauseCredentials   CauseKind = "credentials"   // the registry refuses ours
	CauseMissing       CauseKind = "missing"       // the registry does not have it there
	CauseRefused       CauseKind = "refused"       // the registry refuses this one image
	CauseServed        CauseKind = "served"        // the registry serves other bytes than the digest names
	CauseNotConfigured CauseKind = "notConfigured" // the registry was removed from the configuration

	// These are about a registry as a whole.
	CauseAskedToWait CauseKind = "askedToWait" // 429, or Retry-After
	CauseName        CauseKind = "name"        // its host name cannot be resolved
	CauseCertificate CauseKind = "certificate" // TLS
	CauseUnreachable CauseKind = "unreachable" // no connection, or no answer in time
	CauseFailing     CauseKind = "failing"     // it answers with errors

	// These are about digestgate itself.
	CauseQuota      CauseKind = "quota"      // quota.limit is reached
	CausePulls      CauseKind = "pulls"      // pullsPerHour of the registry is reached
	CauseWorker     CauseKind = "worker"     // the worker was lost
	CauseResource   CauseKind = "resource"   // disk or memory
	CauseAdvisories CauseKind = "advisories" // no vulnerability data is loaded
	CauseStore      CauseKind = "store"      // the store did not answer
	CauseInternal   CauseKind = "internal"   // a bug, or a kind of a later version
)

// Cause is why a job last failed or waits.
type Cause struct {
	Kind CauseKind `json:"kind"`
	// At is where it was met, for a kind that is about a place or a registry;
	// zero stands for the job's own location.
	At Location `json:"at,omitzero"`
	// Text is what hashed bytes have shown, with [CauseContent]. It names no
	// place. At most 300 bytes.
	Text string `json:"text,omitempty"`
	// Until is until when a registry asked to wait, with [CauseAskedToWait]. It may be
	// asked again earlier. Zero when it named no time.
	Until time.Time `json:"until,omitzero"`
}

// The bounds of what is kept with a job.
const (
	maxCauses    = 8 // places of one image that are told apart
	maxCauseText = 300
)

// Outage is an ErrRegistryUnavailable of which it is known what it is. Kind is one
// of those about a registry as a whole.
type Outage struct{ Kind CauseKind }

func (o *Outage) Error() string { return ErrRegistryUnavailable.Error() }

// Unwrap gives access to the sentinel.
func (o *Outage) Unwrap() error { return ErrRegistryUnavailable }

// PlaceError is an error that was met at a place. Others are the causes of the
// places that were tried besides.
type PlaceError struct {
	At     Location
	Err    error
	Others []Cause
}

func (e *PlaceError) Error() string {
	return "reading from " + quoted(e.At.String()) + ": " + e.Err.Error()
}

// Unwrap gives access to the error.
func (e *PlaceError) Unwrap() error { return e.Err }

func quoted(s string) string { return Quoted(s, 600) }

// ErrPanic marks what a bug of ours did to a job: its text is for the log only.
var ErrPanic = errors.New("panic")

// CausesOf is what is kept of an error beside its text: a cause for each place that
// was tried, the decisive one first. now is when the error was met. It is nil for
// nil.
func CausesOf(err error, now time.Time) []Cause {
	if err == nil {
		return nil
	}
	causes := []Cause{CauseOf(err, now)}
	var place *PlaceError
	if errors.As(err, &place) {
		causes = append(causes, place.Others...)
	}
	return causes[:min(len(causes), maxCauses)]
}

// CauseOf is the cause of an error that was met now, the decisive one of several.
func CauseOf(err error, now time.Time) Cause {
	var c Cause
	var place *PlaceError
	if errors.As(err, &place) {
		c.At = place.At
	}
	var wait *RetryAfterError
	var outage *Outage
	class, _ := Classify(err)
	c.Kind = causeKinds[class.Err]
	switch {
	case errors.Is(err, ErrPanic):
		return Cause{Kind: CauseInternal}
	case c.Kind == CauseContent, errors.Is(err, ErrPermanent): // whatever its class, it follows from the bytes
		return Cause{Kind: CauseContent, Text: ContentText(err, class.Err)}
	case c.Kind == "":
		return Cause{Kind: CauseInternal}
	case errors.As(err, &outage):
		c.Kind = outage.Kind
	}
	if errors.As(err, &wait) && c.Kind == CauseAskedToWait && wait.Asked > 0 {
		c.Until = now.Add(wait.Asked).UTC()
	}
	if !c.Kind.OfPlace() && !c.Kind.ofRegistry() {
		c.At = Location{}
	}
	return c
}

// causeKinds is the cause for each class of error that can end a job. It is not
// modified.
var causeKinds = map[error]CauseKind{
	ErrScanFailed: CauseContent, ErrUnassessable: CauseContent, ErrTooLarge: CauseContent,
	ErrRegistryAuth: CauseCredentials, ErrNotFound: CauseMissing, ErrIntegrity: CauseServed, ErrRegistryRefused: CauseRefused, ErrRegistryNotTrusted: CauseNotConfigured,
	ErrRegistryUnavailable: CauseFailing, ErrTimeout: CauseUnreachable,
	ErrResource: CauseResource, ErrAdvisoriesUnavailable: CauseAdvisories, ErrStoreUnavailable: CauseStore,
}

// OfPlace reports whether the kind is about one repository.
func (k CauseKind) OfPlace() bool {
	switch k {
	case CauseCredentials, CauseMissing, CauseRefused, CauseServed, CauseNotConfigured:
		return true
	}
	return false
}

// ofRegistry: the kind is about a registry, whatever the repository.
func (k CauseKind) ofRegistry() bool {
	switch k {
	case CauseAskedToWait, CauseName, CauseCertificate, CauseUnreachable, CauseFailing:
		return true
	}
	return false
}

// ContentText is what an error says of hashed bytes: the text of the innermost error
// that has one, without its class. What is wrapped around it says where the bytes were
// read, which must not be shown elsewhere.
func ContentText(err, class error) string {
	text := ""
	for err != nil && err != class {
		var next error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				if errors.Is(one, class) {
					next = one
					break
				}
			}
		}
		if next == class || next == nil {
			text = strings.TrimSuffix(err.Error(), ": "+class.Error())
		}
		err = next
	}
	return Printable(text, maxCauseText)
}

// CauseAt is why a job last failed or waits, as far as it concerns a location: what
// was met there, else what holds everywhere, else what was met in another
// repository of the same registry, else in another one. ok is false for a job
// without an error.
func (j Job) CauseAt(at Location) (c Cause, ok bool) {
	best := 0
	for _, one := range j.causes() {
		if one.At == (Location{}) {
			one.At = j.Location
		}
		if j.Location != at && mentions(one.Text, j.Location) {
			one.Text = "" // it should not; the words for none are true
		}
		rank := 1
		switch {
		case one.At == at:
			rank = 4
		case !one.Kind.OfPlace() && !one.Kind.ofRegistry():
			rank = 3
		case one.At.Registry == at.Registry && one.Kind.ofRegistry():
			rank = 2
		}
		if rank > best {
			c, best = one, rank
		}
	}
	return c, best > 0
}

// causes are those that are kept with the job. One that an earlier version has
// written, or that was taken from a lost worker, has its class alone.
func (j Job) causes() []Cause {
	if len(j.Causes) > 0 || j.Reason == "" {
		return j.Causes
	}
	if strings.HasPrefix(j.Error, "worker ") {
		return []Cause{{Kind: CauseWorker}}
	}
	for _, class := range errorClasses {
		if kind := causeKinds[class.Err]; class.Label == j.Reason && kind != "" {
			return []Cause{{Kind: kind}}
		}
	}
	return []Cause{{Kind: CauseInternal}}
}
