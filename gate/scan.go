package gate

import (
	"slices"
	"time"
)

// ScanKind is what a scan of many images repeats.
type ScanKind string

// The kinds of scan.
const (
	// ScanMatch matches the stored inventories with the advisory data in force and
	// evaluates again: no pull, no charge.
	ScanMatch ScanKind = "match"
	// ScanContent analyses images from their registries: it pulls. What was analysed
	// before is not charged again.
	ScanContent ScanKind = "content"
)

// ScanKinds lists all kinds.
func ScanKinds() []ScanKind { return []ScanKind{ScanMatch, ScanContent} }

// ScanRequest says which images a scan task goes over, and how.
type ScanRequest struct {
	Kind ScanKind `json:"kind"`
	// Force analyses every image; without it a scan of the kind content analyses those
	// that never were, or by other analysers than the present ones, and matches the others.
	Force bool      `json:"force,omitempty"`
	Scope ScanScope `json:"scope"`
	// Risks are what is looked at; none are all.
	Risks []Risk `json:"risks,omitempty"`
	// Rate is how many images are begun in an hour, 0 for as many as can be.
	Rate int `json:"rate,omitempty"`
	// Concurrency is how many images are worked on at a time; 0 leaves it to the program.
	Concurrency int `json:"concurrency,omitempty"`
	// Window is the time of the day in which images are begun, as for [ParseDayWindow], in
	// TimeZone; "" is UTC.
	Window   string `json:"window,omitempty"`
	TimeZone string `json:"timeZone,omitempty"`
	// Schedule is the name of the schedule whose run it is, "" for none, and Tick the time
	// at which that was to run; zero for a run that a person started.
	Schedule string    `json:"schedule,omitempty"`
	Tick     time.Time `json:"tick,omitzero"`
}

// DayWindow is the window of the request.
func (r ScanRequest) DayWindow() (DayWindow, error) {
	zone, err := ParseTimeZone(r.TimeZone)
	if err != nil {
		return DayWindow{}, err
	}
	return ParseDayWindow(r.Window, zone)
}

// ScanState is the state of a scan task.
type ScanState string

// The states of a scan task. Done, cancelled and failed are final.
const (
	ScanQueued    ScanState = "queued"    // a process takes it up within seconds
	ScanRunning   ScanState = "running"   //
	ScanWaiting   ScanState = "waiting"   // for its window, or to be tried again
	ScanPaused    ScanState = "paused"    // by a person, until it is resumed
	ScanDone      ScanState = "done"      // it has gone over all images
	ScanCancelled ScanState = "cancelled" // by a person
	ScanFailed    ScanState = "failed"    // it cannot be run
)

// Live reports whether a task in this state has not ended.
func (s ScanState) Live() bool {
	return !slices.Contains([]ScanState{ScanDone, ScanCancelled, ScanFailed}, s)
}

// ScanTask is a scan of many images: how it stands. Every process on the store sees the
// same.
type ScanTask struct {
	ScanRequest
	ID         string    `json:"id"`
	State      ScanState `json:"state"`
	CreatedAt  time.Time `json:"createdAt"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	UpdatedAt  time.Time `json:"updatedAt"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	// Counted says that Total is known: the images of the scope when the task began.
	Counted bool `json:"counted,omitempty"`
	Total   int  `json:"total"`
	// Done are the images that were matched or analysed, Analyzed those of them that were
	// analysed, Failed those that could not be, and Skipped those with nothing to do: see
	// gate/scantask.
	Done     int `json:"done"`
	Analyzed int `json:"analyzed,omitempty"`
	Failed   int `json:"failed,omitempty"`
	Skipped  int `json:"skipped,omitempty"`
	// Working is how long images were worked on, without waiting for a window or a person.
	Working time.Duration `json:"working,omitempty"`
	// Error is why the last try ended early, in words for an operator; RetryAt is when the
	// next one begins.
	Error   string    `json:"error,omitempty"`
	RetryAt time.Time `json:"retryAt,omitzero"`
	Tries   int       `json:"tries,omitempty"` // that ended early, since it last got further
}

// Seen is how many images are dealt with.
func (t ScanTask) Seen() int { return t.Done + t.Failed + t.Skipped }

// ExpectedEnd is when the task ends if images take as long as until now, its rate and its
// window counted; zero while that is not known, and for one that is paused or has ended.
func (t ScanTask) ExpectedEnd(now time.Time) time.Time {
	window, err := t.DayWindow()
	left := max(t.Total-t.Seen(), 0)
	if err != nil || !t.Counted || !t.State.Live() || t.State == ScanPaused || t.Seen() == 0 && t.Rate == 0 {
		return time.Time{}
	}
	var each time.Duration
	if t.Seen() > 0 {
		each = t.Working / time.Duration(t.Seen())
	}
	if t.Rate > 0 {
		each = max(each, time.Hour/time.Duration(t.Rate))
	}
	const most = 10 * 365 * 24 * time.Hour
	if left > 0 && each > most/time.Duration(left) {
		return time.Time{}
	}
	return window.After(now, time.Duration(left)*each)
}
