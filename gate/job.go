package gate

import (
	"slices"
	"time"
)

// JobKind is what a job does (DESIGN.md §5 rule 1).
type JobKind string

// The kinds of job and their keys.
const (
	// JobResolve reads a manifest, classifies it, expands an index, confirms
	// the tag and records the location. Key: registry/repository@digest or
	// registry/repository:tag.
	JobResolve JobKind = "resolve"
	// JobAnalyze makes the inventory of one platform's manifest. Key: digest.
	JobAnalyze JobKind = "analyze"
	// JobProvenance verifies signatures and attestations. Key: digest.
	JobProvenance JobKind = "provenance"
)

// JobKinds lists all kinds.
func JobKinds() []JobKind { return []JobKind{JobResolve, JobAnalyze, JobProvenance} }

// Priority orders the queue; a lower value is served first.
type Priority int

// The classes of urgency.
const (
	PriorityInteractive Priority = iota // admission, a person
	PriorityPush
	PrioritySync
	PriorityRescan
)

// Priorities lists all classes, most urgent first.
func Priorities() []Priority {
	return []Priority{PriorityInteractive, PriorityPush, PrioritySync, PriorityRescan}
}

func (p Priority) String() string {
	switch p {
	case PriorityInteractive:
		return "interactive"
	case PriorityPush:
		return "push"
	case PrioritySync:
		return "sync"
	case PriorityRescan:
		return "rescan"
	}
	return "unknown"
}

// Trigger is who asked for a job. It decides what a new ask may restart: a
// push restarts failed, an admission miss restarts failed at most every 15
// minutes, and only a person or the API restarts cancelled.
type Trigger string

// The triggers.
const (
	TriggerPush      Trigger = "push"
	TriggerSync      Trigger = "sync"
	TriggerAdmission Trigger = "admission"
	TriggerRescan    Trigger = "rescan"
	TriggerAPI       Trigger = "api"
)

// Priority is the class that a trigger's jobs belong to.
func (t Trigger) Priority() Priority {
	switch t {
	case TriggerAdmission, TriggerAPI:
		return PriorityInteractive
	case TriggerPush:
		return PriorityPush
	case TriggerSync:
		return PrioritySync
	}
	return PriorityRescan
}

// Event is the event that policies see for work of this trigger.
func (t Trigger) Event() Event {
	switch t {
	case TriggerRescan:
		return EventRescan
	case TriggerAPI:
		return EventCheck
	}
	return EventPush
}

// AdmissionRestart is how long a failed job rests before an admission miss
// starts it again.
const AdmissionRestart = 15 * time.Minute

// RefusedWait is the longest wait between two tries of a job whose image its
// registry refuses; half of it is the shortest.
const RefusedWait = time.Hour

// JobState is the state of a job.
type JobState string

// The states of a job. Queued jobs may wait for NotBefore; parked ones wait for quota.
// Done, failed and cancelled are final until a new request.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobParked    JobState = "quota_exhausted"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Live reports whether a job in this state is the one live job of its key.
func (s JobState) Live() bool {
	return s == JobQueued || s == JobRunning || s == JobParked
}

// Phase names what a running analysis is doing.
type Phase string

// The phases of a job in their order.
const (
	PhaseManifest Phase = "manifest"
	PhaseLayers   Phase = "layers"
	PhaseMerge    Phase = "merge"
	PhaseMatch    Phase = "match"
	PhaseRecord   Phase = "record"
)

// Progress is what a running job reports. Bytes are compressed.
type Progress struct {
	Phase       Phase `json:"phase"`
	LayersDone  int   `json:"layersDone"`
	LayersTotal int   `json:"layersTotal"`
	LayersKnown int   `json:"layersKnown"` // analysed before, not pulled
	Bytes       int64 `json:"bytes"`
	BytesTotal  int64 `json:"bytesTotal"`
	// LayersAgain are the layers that are read a second time, because links give
	// their content other names that matter.
	LayersAgain int `json:"layersAgain"`
}

// JobRequest asks for work. The store turns it into a new job, joins it to the live one
// of the same key (raising its priority where the request is more urgent), or leaves a
// finished one as it is where the trigger may not restart it.
type JobRequest struct {
	Kind     JobKind
	Location Location // where the digest may be read
	Digest   Digest   // "" when only a tag is known
	Tag      string   // "" when only a digest is known
	Trigger  Trigger
	// Force makes an analysis run again although an inventory exists.
	Force bool
	// Cluster and Namespace are those of an admission miss, "" else. They say
	// whose budget it draws on and are not stored.
	Cluster, Namespace string
}

// Key is the identity under which at most one job is live.
func (r JobRequest) Key() string { return JobKey(r.Kind, r.Location, r.Digest, r.Tag) }

// JobKey builds the key of a job (DESIGN.md §5 rule 1).
func JobKey(kind JobKind, loc Location, digest Digest, tag string) string {
	if kind != JobResolve {
		return string(digest)
	}
	if digest != "" {
		return loc.String() + "@" + string(digest)
	}
	return loc.String() + ":" + tag
}

// Job is one unit of queued work.
type Job struct {
	ID       string   `json:"id"`
	Kind     JobKind  `json:"kind"`
	Key      string   `json:"key"`
	Location Location `json:"location"`
	Digest   Digest   `json:"digest,omitempty"`
	// Tags are all the tags that asks for this key have named; a resolve
	// confirms each of them.
	Tags     []string `json:"tags,omitempty"`
	Trigger  Trigger  `json:"trigger"`
	Priority Priority `json:"priority"`
	Force    bool     `json:"force,omitempty"`
	State    JobState `json:"state"`

	Epoch    int64  `json:"epoch"`    // grows with each claim of this key
	Attempts int    `json:"attempts"` // counted against the image
	Worker   string `json:"worker,omitempty"`
	// Tried says that a claim of it has ended and it has returned to the queue:
	// jobs that have not been tried are served before it.
	Tried bool `json:"tried,omitempty"`
	// Again says that a request with new facts arrived while the job ran; it is queued
	// once more when it ends.
	Again bool `json:"again,omitempty"`
	// Repeat marks the run that serves such a request.
	Repeat bool `json:"repeat,omitempty"`

	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	NotBefore  time.Time `json:"notBefore,omitzero"`
	// RefusedSince is when the registry first refused the image (ErrRegistryRefused)
	// without having served it since; zero when it does not. See store.RefusedFor.
	RefusedSince time.Time `json:"refusedSince,omitzero"`
	LeaseUntil   time.Time `json:"leaseUntil,omitzero"`

	Progress Progress `json:"progress"`
	// Error is why the job last failed or waits, in words for an operator.
	Error  string `json:"error,omitempty"`
	Reason string `json:"reason,omitempty"` // label of the error's class
	// Causes are what is kept of it for others, see [CausesOf].
	Causes []Cause `json:"causes,omitempty"`
}

// AddTag adds tag to the tags of the job and reports whether it was new.
func (j *Job) AddTag(tag string) bool {
	if tag == "" || slices.Contains(j.Tags, tag) {
		return false
	}
	j.Tags = append(j.Tags, tag)
	return true
}

// Lease is the right to work on a claimed job. Epoch fences it.
type Lease struct {
	JobID string
	Epoch int64
}

// Lease is the lease of a claimed job.
func (j Job) Lease() Lease { return Lease{JobID: j.ID, Epoch: j.Epoch} }

// Limits are the limits of one registry that a claim respects, across all
// workers. Zero means unlimited.
type Limits struct {
	Concurrency  int
	PullsPerHour int // analyses started in the last 60 minutes
	// Rest is for how long from now nothing is sent to the registry, as the worker that
	// claims knows it; 0 for one that is asked. Meanwhile the jobs of the registry that
	// could only come back are passed over: its resolves, and what of its other jobs has
	// been tried. An analysis that has not may find its image in another registry.
	Rest time.Duration
}

// Rests reports whether a job of the kind, tried or not, is passed over for as long as
// Rest says.
func (l Limits) Rests(kind JobKind, tried bool) bool {
	return l.Rest > 0 && (kind == JobResolve || tried)
}

// Period is a span of the quota: its key ("2026-11", "none") and the limit
// that holds in it, 0 for none.
type Period struct {
	Key   string
	Limit int64
}

// ClaimRequest asks for the next job.
type ClaimRequest struct {
	Worker string
	Kinds  []JobKind // empty: all
	// NoRescan leaves rescans out: they hold at most concurrency-1 slots of a
	// worker.
	NoRescan bool
	// Yielding names the registry that holds all the worker's other slots when
	// this claim is for its last one; "" when there is none. It is passed over
	// while another registry has a job of any class but rescan to claim.
	Yielding string
	// Single says that the worker has one slot, for which Yielding tells nothing. A
	// registry that has all running jobs of the requested kinds, in all workers, yields
	// instead.
	Single     bool
	Registries map[string]Limits
	Period     Period
	Lease      time.Duration
	// MaxAttempts ends a job whose lease ran out that often.
	MaxAttempts int
}

// Beat is the answer to a heartbeat.
type Beat struct {
	// Urgent says that more urgent work waits: a rescan that holds the only
	// slot yields between layers.
	Urgent bool
}

// Enqueued is what a request for a job did.
type Enqueued string

// The outcomes of a request for a job.
const (
	// EnqueuedNew: a job was made, or a finished one started again.
	EnqueuedNew Enqueued = "new"
	// EnqueuedJoined: the key had a live job.
	EnqueuedJoined Enqueued = "joined"
	// EnqueuedLeft: a finished job stays as it is; this trigger may not restart it.
	EnqueuedLeft Enqueued = "left"
)

// Result is how a claimed job ended.
type Result struct {
	// Err is nil for success. A class with Retry gives the attempt back and
	// waits for After (or a backoff); ErrYielded and a graceful stop
	// (ErrBusy) queue the job again at once; ErrCancelled ends it; everything
	// else counts as an attempt, which is repeated after a wait, and ends it as
	// failed when MaxAttempts is reached or Final is set. Whatever returns to the
	// queue queues behind what has not been tried.
	Err         error
	After       time.Duration
	Final       bool
	MaxAttempts int
	// Progress is what the job has reported last; the zero value leaves what heartbeats
	// have stored.
	Progress Progress
}
