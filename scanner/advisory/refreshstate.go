package advisory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// refreshState is how asking the repositories goes, for all processes: the value of a
// setting. Its times are of the store's clock.
type refreshState struct {
	// Holder asks now, until Until unless it is heard of again.
	Holder   string                 `json:"holder,omitempty"`
	Until    time.Time              `json:"until,omitzero"`
	Download *gate.AdvisoryDownload `json:"download,omitempty"`
	// CheckedAt is when the last attempt ended, of process CheckedBy; NextAt when the next
	// one is due.
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	CheckedBy string    `json:"checkedBy,omitempty"`
	NextAt    time.Time `json:"nextAt,omitzero"`
	Failures  int       `json:"failures"`
	Problem   string    `json:"problem,omitempty"`
	// Served is the last order to ask at once that was followed.
	Served time.Time `json:"served,omitzero"`
	// Settled is the manifest that needs not be downloaded again: it was put in force, was
	// gone back from, or was refused.
	Settled gate.Digest             `json:"settled,omitempty"`
	Offered *gate.OfferedAdvisories `json:"offered,omitempty"`
	Mirrors []gate.AdvisoryMirror   `json:"mirrors,omitempty"`
	// Sources are how those of a composition go, by name.
	Sources map[string]sourceState `json:"sources,omitempty"`
	Java    javaState              `json:"java,omitzero"`

	version int64
}

const (
	// refreshLease is how long asking stays with a process that is not heard of any more.
	refreshLease = time.Minute
	// firstRetry is the wait after the first attempt that failed; each further one doubles
	// it up to lastRetry, or firstDataRetry while there is no data at all.
	firstRetry     = time.Minute
	lastRetry      = time.Hour
	firstDataRetry = 10 * time.Minute
)

// loadRefresh reads the state; one that cannot be read counts as none.
func loadRefresh(ctx context.Context, s agree.Settings) (refreshState, error) {
	var st refreshState
	version, readable, err := agree.LoadState(ctx, s, agree.SettingRefresh, &st)
	if !readable {
		st = refreshState{}
	}
	st.version = version
	return st, err
}

func (st *refreshState) save(ctx context.Context, s agree.Settings) error {
	return agree.SaveState(ctx, s, agree.SettingRefresh, st, &st.version)
}

// due reports whether the repositories are to be asked now: because it is time, because
// somebody wants it, or because the clock was put back by more than a wait can be.
func (st refreshState) due(now time.Time, o orders, every time.Duration) bool {
	if now.Before(st.Until) && st.Until.Sub(now) <= refreshLease {
		return false // another process is at it
	}
	return !now.Before(st.NextAt) || st.NextAt.Sub(now) > max(every, lastRetry) || !o.Asked.Equal(st.Served)
}

// wait is how long to wait after an attempt.
func (st refreshState) wait(err error, every time.Duration, hasData bool) time.Duration {
	if err == nil {
		return every
	}
	longest := lastRetry
	if !hasData {
		longest = firstDataRetry
	}
	wait := firstRetry << min(max(st.Failures-1, 0), 10)
	wait = min(wait, longest, every)
	var later *gate.RetryAfterError
	if errors.As(err, &later) {
		wait = max(wait, min(later.After, every)) // what a mirror asks for
	}
	return wait
}

// show writes the state into the view of people.
func (st refreshState) show(v *gate.AdvisoryData, now time.Time, hasData bool) {
	v.CheckedAt, v.CheckedBy, v.NextAt, v.Failures, v.Problem, v.Offered = st.CheckedAt, st.CheckedBy, st.NextAt, st.Failures, st.Problem, st.Offered
	if j := st.Java; !j.CheckedAt.IsZero() {
		v.JavaRefresh = &gate.JavaRefresh{CheckedAt: j.CheckedAt, NextAt: j.NextAt, Failures: j.Failures, Problem: j.Problem}
	}
	if st.Holder != "" && now.Before(st.Until) {
		v.Download = cmp.Or(st.Download, &gate.AdvisoryDownload{By: st.Holder, Doing: "asking"})
	}
	v.Mirrors = st.Mirrors
	if len(v.Repositories) > 0 && !hasData {
		v.Waiting = st.waiting(now)
	}
}

// waiting says what an installation without data waits for, and how far it is.
func (st refreshState) waiting(now time.Time) string {
	switch {
	case st.Holder != "" && now.Before(st.Until) && st.Download != nil:
		return fmt.Sprintf("the first advisory data is on its way: %s of %s", progressText(*st.Download), st.Download.By)
	case st.Holder != "" && now.Before(st.Until):
		return fmt.Sprintf("the first advisory data is on its way: %s asks the repositories", st.Holder)
	case st.Failures > 0:
		return fmt.Sprintf("there is no advisory data yet, and no repository has given any (%s, tried %d times); the next try is at %s: let this host reach one of advisories.repositories, name a mirror of yours there, or bring the data to advisories.path",
			st.Problem, st.Failures, st.NextAt.UTC().Format(time.RFC3339))
	}
	return "the first advisory data is about to be downloaded"
}

// progressText is how far a download is, for people.
func progressText(d gate.AdvisoryDownload) string {
	text := d.Doing
	if d.Repository != "" {
		text += " " + d.Repository
	}
	switch {
	case d.Total > 0:
		text += fmt.Sprintf(", %s of %s (%d %%)", gate.ByteSize(d.Done), gate.ByteSize(d.Total), 100*d.Done/d.Total)
	case d.Done > 0:
		text += fmt.Sprintf(", %s", gate.ByteSize(d.Done))
	}
	return text
}
