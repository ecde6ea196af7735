package gate

import (
	"context"
	"slices"
	"time"
)

// Outcome is the answer of a decision.
type Outcome string

// The outcomes; OutcomeNone means that no verdict exists, which admission
// denies. Worst first: deny, none, warn, allow.
const (
	OutcomeAllow Outcome = "allow"
	OutcomeWarn  Outcome = "warn"
	OutcomeDeny  Outcome = "deny"
	OutcomeNone  Outcome = "none"
)

// outcomeRank orders outcomes from the one that permits most to the one that refuses
// most, for Worse.
var outcomeRank = map[Outcome]int{OutcomeAllow: 0, OutcomeWarn: 1, OutcomeNone: 2, OutcomeDeny: 3}

// Worse reports whether o is worse than p: deny > no verdict > warn > allow.
// An unknown value is worse than everything.
func (o Outcome) Worse(p Outcome) bool { return o.rank() > p.rank() }

func (o Outcome) rank() int {
	if r, ok := outcomeRank[o]; ok {
		return r
	}
	return 4
}

// Reason is one thing that a rule said, or one condition that the engine
// itself found before any rule ran (Rule is then "").
type Reason struct {
	Action   Outcome  `json:"action"` // deny or warn
	Code     Code     `json:"code"`
	Rule     string   `json:"rule"`
	Msg      string   `json:"msg"`
	Findings []string `json:"findings"`
	// Text is what Msg says, for other languages; the zero Text where a rule said it,
	// or an earlier version recorded it.
	Text Text `json:"text,omitzero"`
}

// Line is what a reason says, with its rule in front.
func (r Reason) Line() string {
	if r.Rule == "" {
		return r.Msg
	}
	return r.Rule + ": " + r.Msg
}

// Decision is the result of evaluate for one platform's image. Code is "" when
// the outcome is allow or warn.
type Decision struct {
	Outcome        Outcome   `json:"decision"`
	Code           Code      `json:"code,omitempty"`
	Reasons        []Reason  `json:"reasons"`
	PolicyRevision string    `json:"policyRevision"`
	EvaluatedAt    time.Time `json:"evaluatedAt"`
	// Until is when time alone may make another decision of the same question: the next
	// turn of an age that the rules or the conditions see, or the start or end of an
	// exception. Zero: not known, so that it has to be evaluated again. It is never
	// stored.
	Until time.Time `json:"-"`
	// Unmatched says that the image could not be matched with the advisory data in use in
	// time: there is no answer, or the findings of generation Former have given it.
	Unmatched bool  `json:"-"`
	Former    int64 `json:"-"`
}

// Same reports whether two decisions differ by their times at most.
func (d Decision) Same(o Decision) bool {
	return d.Outcome == o.Outcome && d.Code == o.Code && d.PolicyRevision == o.PolicyRevision &&
		slices.EqualFunc(d.Reasons, o.Reasons, Reason.same)
}

func (r Reason) same(o Reason) bool {
	return r.Action == o.Action && r.Code == o.Code && r.Rule == o.Rule && r.Msg == o.Msg &&
		slices.Equal(r.Findings, o.Findings) && r.Text.same(o.Text)
}

// Warns are the reasons that only warn. They are shared with Reasons where they stand
// together at its end, as every evaluator of this program has them.
func (d Decision) Warns() []Reason {
	warns := func(r Reason) bool { return r.Action == OutcomeWarn }
	first := slices.IndexFunc(d.Reasons, warns)
	if first < 0 {
		return nil
	}
	tail := d.Reasons[first:]
	for i := range tail {
		if tail[i].Action != OutcomeWarn {
			return slices.DeleteFunc(slices.Clone(tail), func(r Reason) bool { return !warns(r) })
		}
	}
	return slices.Clip(tail)
}

// Event is why an evaluation takes place.
type Event string

// The events a policy can distinguish.
const (
	EventPush      Event = "push"
	EventAdmission Event = "admission"
	EventRescan    Event = "rescan"
	EventCheck     Event = "check"
)

// MaxUser is the longest name of a user that is read, in bytes. Kubernetes has
// no limit of its own: a certificate or an issuer may say anything.
const MaxUser = 1024

// Request is what admission knows of the caller; the zero value stands for
// evaluation outside admission.
type Request struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	// NamespaceLabels and NamespaceAnnotations are those of the namespace where its cluster
	// is watched. They are shared and not modified.
	NamespaceLabels      map[string]string `json:"namespaceLabels"`
	NamespaceAnnotations map[string]string `json:"namespaceAnnotations"`
	Kind                 string            `json:"kind"`
	Name                 string            `json:"name"`
	Operation            string            `json:"operation"`
	User                 string            `json:"user"`
	Container            string            `json:"container"`
	// LongUser is the length of a name over MaxUser, which User then does not
	// hold, so that policies that read it refuse; 0 for every other one.
	LongUser int `json:"-"`
	// NamespaceUnknown is why the labels and annotations are not known, a phrase for
	// people; "" when they are, and where no cluster is watched. Policies that read them
	// then refuse: what is not known is never the same as none.
	NamespaceUnknown string `json:"-"`
	// DryRun asks for the answer without side effects: nothing is queued and
	// nothing is charged. It is no input of policies.
	DryRun bool `json:"-"`
}

// Question is one evaluation: a digest at a location, seen at a time, perhaps
// for a request. The engine that answers it does no I/O except through Load.
type Question struct {
	Event    Event
	Now      time.Time
	Digest   Digest
	Location Location
	Host     string   // the host in the reference, or the registry's
	Tags     []string // tags that are known to name the digest there

	Record Record // the small record; its ids key the engine's caches
	// State is the image's state (Record and newest job together).
	State State
	// Advisories is the active generation; its age is measured against Now.
	Advisories Generation
	// Request is nil outside admission.
	Request *Request
	// Load fetches the large values that Record names. It is called at most
	// once, and not at all when the engine needs neither.
	Load func(ctx context.Context) (*Inventory, *Findings, error)
	// LoadFindings fetches the findings that Record names, where nothing of the
	// inventory is needed; nil when they cannot be had without it. After an error of
	// it Load is called.
	LoadFindings func(ctx context.Context) (*Findings, error)
	// Former is what is stored, where Load matches the image because its findings are of
	// former advisory data; nil otherwise, and outside admission.
	Former *Former
}

// Former is what is stored of an image whose findings are of former advisory data; the
// functions are those of a [Question].
type Former struct {
	Record       Record
	Load         func(ctx context.Context) (*Inventory, *Findings, error)
	LoadFindings func(ctx context.Context) (*Findings, error)
}

// Verdict is the standing decision for one location: evaluated without a
// request and shown by console, API and reports. Admission never reads it.
type Verdict struct {
	Decision
	Location Location `json:"location"`
}
