package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// SyncCounts is what a run has seen and done so far.
type SyncCounts struct {
	Repositories int `json:"repositories"` // to look at; 0 until they are listed
	Done         int `json:"done"`         // of them
	Tags         int `json:"tags"`         // in the lists of the registry
	Checked      int `json:"checked"`      // asked for their digest by HEAD
	Queued       int `json:"queued"`       // resolves for new and moved tags
	Gone         int `json:"gone"`         // resolves for tags that vanished
	Problems     int `json:"problems"`     // repositories that could not be compared
}

// syncState is the value of the setting "sync/REGISTRY": the run under way, or
// the last one.
type syncState struct {
	Full    bool      `json:"full,omitempty"`
	Done    bool      `json:"done"`
	Started time.Time `json:"started,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Cursor is the last repository that was done: the names are sorted.
	Cursor string     `json:"cursor,omitempty"`
	Counts SyncCounts `json:"counts"`
	// Attempt grows with each attempt that made no progress.
	Attempt int `json:"attempt,omitempty"`
	// Until is when the run may be taken by somebody: the lease of Holder, or
	// a rest.
	Until  time.Time `json:"until,omitzero"`
	Holder string    `json:"holder,omitempty"`
	Error  string    `json:"error,omitempty"` // why it waits, or the last problem
	Note   string    `json:"note,omitempty"`  // what the lists leave out
	// Request is the version of the last ask that a run has served or serves.
	Ask int64 `json:"ask,omitempty"`
	// Unread counts the repositories that the run gave up because the registry
	// did not answer for them.
	Unread int `json:"unread,omitempty"`
	// LastTags and LastFull are when the last finished runs began. A full run
	// is a comparison of tags too.
	LastTags time.Time `json:"lastTags,omitzero"`
	LastFull time.Time `json:"lastFull,omitzero"`
	// FullAgain is when a full run that gave repositories up is repeated, if
	// that is before the next one.
	FullAgain time.Time `json:"fullAgain,omitzero"`

	version int64
}

// syncAsk is the value of the setting "sync-ask/REGISTRY", which the API
// writes and whoever runs reads, so that neither meets the other's writes.
type syncAsk struct {
	Full bool      `json:"full"`
	At   time.Time `json:"at"`

	version int64
}

// next decides what to do when no process holds a run: continue one, begin one, or wait
// until Until.
func (st syncState) next(now time.Time, plan Config, ask syncAsk) (next syncState, due bool) {
	if !st.Done && !st.Started.IsZero() {
		st.Attempt++
		return st, true
	}
	begin := syncState{
		Started: now, Attempt: 1, LastTags: st.LastTags, LastFull: st.LastFull, FullAgain: st.FullAgain,
		Ask: ask.version, version: st.version,
	}
	fullAt, tagsAt := dueAt(st.LastFull, plan.Full), dueAt(st.LastTags, plan.Tags)
	if again := st.FullAgain; plan.Full > 0 && !again.IsZero() && again.Before(fullAt) {
		fullAt = again
	}
	switch {
	case ask.version > st.Ask:
		begin.Full = ask.Full
		return begin, true
	case !fullAt.IsZero() && !now.Before(fullAt):
		begin.Full = true
		return begin, true
	case !tagsAt.IsZero() && !now.Before(tagsAt):
		return begin, true
	}
	st.Until = now.Add(syncPoll)
	for _, at := range []time.Time{fullAt, tagsAt} {
		if !at.IsZero() && at.Before(st.Until) {
			st.Until = at
		}
	}
	return st, false
}

// dueAt is when a run is due whose last one began at last; zero is never.
func dueAt(last time.Time, every time.Duration) time.Time {
	switch {
	case every == 0:
		return time.Time{}
	case last.IsZero():
		return time.Unix(1, 0) // at once
	}
	return last.Add(every)
}

// load reads the state of a registry. A value that cannot be read counts as none: the
// registry is compared from the beginning, which is harmless.
func (s *Syncer) load(ctx context.Context, registry string) (syncState, error) {
	st := syncState{}
	version, readable, err := agree.LoadState(ctx, s.store, agree.SettingSync(registry), &st)
	if err != nil {
		return syncState{}, fmt.Errorf("reading the synchronisation of %q: %w", registry, err)
	}
	if !readable {
		st = syncState{Done: true}
		if version > 0 {
			s.log.Error("the state of a synchronisation cannot be read, it starts from the beginning", "registry", registry)
		}
	}
	st.version = version
	return st, nil
}

// save writes the state if nobody else has, and notes the new version.
func (s *Syncer) save(ctx context.Context, registry string, st *syncState) error {
	return agree.SaveState(ctx, s.store, agree.SettingSync(registry), st, &st.version)
}

// asked reads what the API was last asked for; version 0 is nothing yet.
func (s *Syncer) asked(ctx context.Context, registry string) (syncAsk, error) {
	var a syncAsk
	version, readable, err := agree.LoadState(ctx, s.store, agree.SettingSyncRequested(registry), &a)
	if err != nil {
		return syncAsk{}, fmt.Errorf("reading what synchronisation of %q was asked for: %w", registry, err)
	}
	if !readable {
		a = syncAsk{} // if there is one somebody asked, and a comparison of tags is cheap
	}
	a.version = version
	return a, nil
}

// ask writes a request. A full one that waits is not made smaller by a later one.
func (s *Syncer) ask(ctx context.Context, registry string, full bool) error {
	for range 10 {
		now, err := s.store.Now(ctx)
		if err != nil {
			return err
		}
		was, err := s.asked(ctx, registry)
		if err != nil {
			return err
		}
		st, err := s.load(ctx, registry)
		if err != nil {
			return err
		}
		waits := was.version > st.Ask
		err = agree.SaveState(ctx, s.store, agree.SettingSyncRequested(registry), syncAsk{Full: full || waits && was.Full, At: now}, &was.version)
		if !errors.Is(err, gate.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("many ask at once: %w", gate.ErrBusy)
}

// Compared is when the last comparison began after which every repository of the registry
// had answered, the zero time when there was none or the last one left some out. Errors:
// those of the store.
func (s *Syncer) Compared(ctx context.Context, registry string) (time.Time, error) {
	st, err := s.load(ctx, registry)
	if err != nil || st.Unread > 0 {
		return time.Time{}, err
	}
	if st.LastFull.After(st.LastTags) {
		return st.LastFull, nil
	}
	return st.LastTags, nil
}

// SyncPhase is where the synchronisation of a registry stands.
type SyncPhase string

// The phases of a synchronisation.
const (
	Never   SyncPhase = "never"   // has not run
	Waiting SyncPhase = "waiting" // asked for, or resting before another try
	Running SyncPhase = "running"
	Done    SyncPhase = "done" // nothing is under way
)

// SyncStatus is the synchronisation of a registry as people see it.
type SyncStatus struct {
	Registry string
	Phase    SyncPhase
	Full     bool
	// Started, Updated and Ended are of the run under way or the last one;
	// zero when there is none.
	Started, Updated, Ended time.Time
	Cursor                  string
	Counts                  SyncCounts
	Attempt                 int
	NextTry                 time.Time // of a run that rests
	Error                   string
	Note                    string
	LastTags, LastFull      time.Time // when the last finished runs began
	Plan                    Config
}

// Status says how the synchronisation of a registry stands. Errors:
// ErrNotFound for an unknown registry, ErrStoreUnavailable.
func (s *Syncer) Status(ctx context.Context, registry string) (SyncStatus, error) {
	if _, ok := s.registries.ByName(registry); !ok {
		return SyncStatus{}, unknownRegistry(registry)
	}
	st, err := s.load(ctx, registry)
	if err != nil {
		return SyncStatus{}, err
	}
	ask, err := s.asked(ctx, registry)
	if err != nil {
		return SyncStatus{}, err
	}
	out := SyncStatus{
		Registry: registry, Full: st.Full, Started: st.Started, Updated: st.Updated, Ended: st.Ended, Cursor: st.Cursor,
		Counts: st.Counts, Attempt: st.Attempt, Error: st.Error, Note: st.Note, LastTags: st.LastTags, LastFull: st.LastFull,
		Plan: s.plan(registry),
	}
	switch {
	case !st.Done && st.Holder == "":
		out.Phase, out.NextTry = Waiting, st.Until
	case !st.Done:
		out.Phase = Running
	case ask.version > st.Ask:
		out.Phase = Waiting
	case st.Started.IsZero():
		out.Phase = Never
	default:
		out.Phase = Done
	}
	return out, nil
}
