package store

import (
	"errors"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Limits that every implementation keeps.
const (
	// MaxSetting is the largest value of a setting in bytes.
	MaxSetting = 1 << 20
	// MaxValue is the largest inventory or findings as JSON, in bytes: half of
	// what a Redis string may hold, before compression.
	MaxValue = 256 << 20
	// MaxTags is how many tags one job confirms; a request that would add one more is
	// gate.ErrBusy, so that its sender comes back when the job is done.
	MaxTags = 1000
	// MaxKey is the longest key of a job in bytes: a registry's name, a
	// repository of 255 bytes and a digest fit many times.
	MaxKey = 2048
	// DefaultMaxAttempts stands for a MaxAttempts of zero.
	DefaultMaxAttempts = 5
)

// How many changes a feed keeps.
const (
	// FeedPerRecord is how many for each record. A sweep appends two at most (findings
	// and verdicts), so that a reader that is a whole sweep behind when the next one
	// begins still finds its place.
	FeedPerRecord = 4
	// MaxFeed bounds that: 200 MB, which serve 500,000 records.
	MaxFeed = 2_000_000
)

// FeedFor is how many changes a feed keeps beside so many records: least at least.
func FeedFor(least, records int64) int64 {
	return max(least, min(FeedPerRecord*records, MaxFeed))
}

// SeenPrecision is how exact LocationState.SeenAt is: seeing a digest again
// within it writes nothing, because every confirmation of a tag sees it.
const SeenPrecision = time.Hour

// FairAfter is how many claims in a row may pass a waiting class over before
// its turn comes. There are four classes, so that three others may be due at
// the same time: 6 + 3 keeps the promise of every tenth claim.
const FairAfter = 6

// TriedBehind is how long a job that has returned to the queue lets those pass
// that have not been tried. After it, it is served in its turn again, so that no
// stream of new images keeps it out. Without others it is served at once.
const TriedBehind = 10 * time.Minute

// PlaceOf is where a waiting job stands in its line: the earlier is served first.
func PlaceOf(j gate.Job) time.Time {
	if j.Tried {
		return j.UpdatedAt.Add(TriedBehind)
	}
	return j.CreatedAt
}

// The waits before a counted attempt is repeated: what crashed or ran out of time
// usually does so again, and costs a slot for as long each time.
const (
	// MinAttemptWait is the wait after the first attempt; it grows fourfold.
	MinAttemptWait = time.Minute
	// MaxAttemptWait is the longest one.
	MaxAttemptWait = 15 * time.Minute
)

// AttemptWait is the wait after attempt number attempts+1 (attempts counts from
// 0). jitter in [0,1) takes off up to a quarter.
func AttemptWait(attempts int, jitter float64) time.Duration {
	d := MaxAttemptWait
	if attempts < 2 { // a minute, grown fourfold twice, is over 15 min
		d = min(MinAttemptWait<<(2*max(attempts, 0)), MaxAttemptWait)
	}
	return d - time.Duration(jitter*float64(d)/4)
}

// The waits of a job that waits for something outside the image.
const (
	// MinBackoff is the first wait without a Retry-After.
	MinBackoff = 5 * time.Second
	// MaxBackoff is the longest one (DESIGN.md §5 rule 3).
	MaxBackoff = 15 * time.Minute
	// MaxRetryAfter bounds what a registry may ask for: long enough to be
	// polite, short enough that a wrong header does not park a job for days.
	MaxRetryAfter = time.Hour
)

// Backoff is the wait before try number retries+1 (retries counts from 0): it
// doubles from MinBackoff to MaxBackoff. jitter in [0,1) takes off up to a
// half, so that jobs that failed together do not come back together.
func Backoff(retries int, jitter float64) time.Duration {
	d := MaxBackoff
	if retries < 8 { // 5 s doubled eight times is over 15 min
		d = min(MinBackoff<<max(retries, 0), MaxBackoff)
	}
	return d - time.Duration(jitter*float64(d)/2)
}

// PullsWindow is over which the pulls of a registry are counted.
const PullsWindow = time.Hour

// NextPull is when the window is over in which the oldest pull that counts was
// started; the zero time when it is.
func NextPull(oldest, now time.Time) time.Time {
	if next := oldest.Add(PullsWindow); !oldest.IsZero() && next.After(now) {
		return next
	}
	return time.Time{}
}

// MayRestart reports whether a request of trigger starts the finished job again; see
// [Scheduler]. The caller that requests an analysis that is done has seen that the
// digest has no inventory, or uses Force: the scheduler knows nothing of records.
func MayRestart(job gate.Job, trigger gate.Trigger, now time.Time) bool {
	switch job.State {
	case gate.JobDone:
		return true
	case gate.JobFailed:
		return trigger != gate.TriggerAdmission || now.Sub(job.FinishedAt) >= gate.AdmissionRestart
	case gate.JobCancelled:
		return trigger == gate.TriggerAPI || (trigger == gate.TriggerPush && job.Kind == gate.JobResolve)
	}
	return false
}

// Verb is what becomes of a claimed job when its result is in.
type Verb int

// What may become of a claimed job.
const (
	VerbDone    Verb = iota
	VerbAgain        // queued again at once, no attempt counted
	VerbWait         // queued again after a wait, no attempt counted
	VerbAttempt      // an attempt counted, queued again after AttemptWait
	VerbFail         // an attempt counted, failed
	VerbCancel
)

// VerbFor says what a result does to a job with attempts counted so far, and for
// how long VerbWait waits; 0 stands for Backoff.
func VerbFor(r gate.Result, attempts int) (Verb, time.Duration) {
	switch {
	case r.Err == nil:
		return VerbDone, 0
	case errors.Is(r.Err, gate.ErrCancelled):
		return VerbCancel, 0
	case gate.Any(r.Err, func(c gate.ErrorClass) bool { return c.AtOnce }):
		return VerbAgain, 0
	case r.Final:
		return VerbFail, 0
	}
	if class, ok := gate.Classify(r.Err); ok && class.Retry {
		after := r.After
		if after <= 0 {
			after, _ = gate.RetryAfter(r.Err)
		}
		return VerbWait, min(max(after, 0), MaxRetryAfter)
	}
	if attempts+1 >= Attempts(r.MaxAttempts) {
		return VerbFail, 0
	}
	return VerbAttempt, 0
}

// RefusedFor is how long a registry may refuse an image before the job is failed
// (DESIGN.md §5 rule 3): a policy that stays for a day is meant.
const RefusedFor = 24 * time.Hour

// Refusal is what a result says of a registry that refuses an image.
type Refusal int

// What a result may say.
const (
	RefusalOver  Refusal = iota // the registry has served it, or the job ends
	RefusalOpen                 // nothing; what is remembered stays
	RefusalGoes                 // not told from one of the credentials: it continues where there was one
	RefusalBegin                // refused
)

// RefusalOf says what a result that VerbFor gave a verb says. A refusal that a
// restarted worker takes for one of the credentials, because it has read nothing
// else of the repository yet, neither ends nor begins one.
func RefusalOf(r gate.Result, verb Verb) Refusal {
	if verb != VerbWait && verb != VerbAgain {
		return RefusalOver
	}
	class, _ := gate.Classify(r.Err)
	switch class.Err {
	case gate.ErrRegistryRefused:
		return RefusalBegin
	case gate.ErrRegistryAuth:
		return RefusalGoes
	}
	return RefusalOpen
}

// Since is when a refusal that is remembered since then began, after this result;
// ends says that it has lasted for RefusedFor, and the job is failed.
func (r Refusal) Since(then, now time.Time) (since time.Time, ends bool) {
	switch {
	case r == RefusalOver:
		return time.Time{}, false
	case r == RefusalBegin && then.IsZero():
		return now, false
	}
	return then, r >= RefusalGoes && !then.IsZero() && now.Sub(then) >= RefusedFor
}

// Attempts is a configured number of attempts, DefaultMaxAttempts for none.
func Attempts(configured int) int {
	if configured <= 0 {
		return DefaultMaxAttempts
	}
	return configured
}
