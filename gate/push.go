package gate

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// PushKind is what an event from a registry means here.
type PushKind string

// The kinds of event.
const (
	// PushArrived: content arrived, or a tag was set.
	PushArrived PushKind = "push"
	// PushDeleted: content or a tag was removed.
	PushDeleted PushKind = "delete"
	// PushIgnored: an event that we understand and do not act on (a pull, a
	// scan of the registry's own, a test button). Reason says which.
	PushIgnored PushKind = "ignored"
)

// Push is one event of a registry in the one form that every receiver
// produces. It is a hint and nothing more: whatever it claims is read again
// from the registry before it counts.
type Push struct {
	Kind PushKind
	// Reason says why an event is ignored, for the operator of the registry.
	Reason string
	// Host is the host that the payload names, "" when it names none. It is
	// compared with the configuration and never used.
	Host       string
	Repository string
	Digest     Digest // "" when the sender gives none
	Tag        string // "" when the event is about a digest alone
	// EventID is the sender's identity of the event, "" when it gives none.
	EventID string
	// OccurredAt is the sender's clock, displayed and never compared.
	OccurredAt time.Time
	Actor      string
}

// Ignored is an event that nothing is done about.
func Ignored(format string, args ...any) Push {
	return Push{Kind: PushIgnored, Reason: fmt.Sprintf(format, args...)}
}

// The grammars of OCI distribution-spec v1.1 ("Pulling manifests"). 255 bytes
// are the limit that distribution/reference puts on a whole name.
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// ValidRepository reports whether s is the name of a repository without a host.
func ValidRepository(s string) bool { return len(s) <= 255 && repositoryPattern.MatchString(s) }

// ValidTag reports whether s can be a tag.
func ValidTag(s string) bool { return tagPattern.MatchString(s) }

// PushState is what became of one image of a delivery (DESIGN.md §7).
type PushState string

// The states of a pushed image. A delivery as a whole has the first of these
// that occurs among its images.
const (
	// PushQueued: a resolve job was made.
	PushQueued PushState = "queued"
	// PushDuplicate: the same resolve is live already.
	PushDuplicate PushState = "duplicate"
	// PushKnown: nothing of the digest has to be pulled; the tag is confirmed.
	PushKnown PushState = "known"
	// PushNotActedOn: nothing was done, for a reason.
	PushNotActedOn PushState = "ignored"
)

// PushStates lists the states, the most telling first.
func PushStates() []PushState {
	return []PushState{PushQueued, PushDuplicate, PushKnown, PushNotActedOn}
}

// PushResult is what became of one image of a delivery, in the form in which a
// webhook answers it.
type PushResult struct {
	Registry   string    `json:"registry"`
	Repository string    `json:"repository"`
	Tag        string    `json:"tag"`
	Digest     Digest    `json:"digest"`
	State      PushState `json:"state"`
	// Reason says why an image is ignored, or what was left out.
	Reason string `json:"reason,omitempty"`
	// Foreign says that it is ignored because the event names a host that is
	// not the registry's: a forgotten alias, or somebody trying.
	Foreign bool `json:"-"`
}

// DeliveryState is the state of a delivery from those of its images: the first
// of [PushStates] that occurs, and ignored without any.
func DeliveryState(results []PushResult) PushState {
	for _, s := range PushStates() {
		if slices.ContainsFunc(results, func(r PushResult) bool { return r.State == s }) {
			return s
		}
	}
	return PushNotActedOn
}
