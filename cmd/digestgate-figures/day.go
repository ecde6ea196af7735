package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// live is one day: the advisories of the day come into force and are swept for, admission
// asks for a tenth of the images, one of a hundred is pushed again and one analysed again,
// tags are read again, a schedule matches what runs, two periodic sweeps find nothing to
// do, and what became different is notified.
func (in *installation) live(ctx context.Context, day int) error {
	if _, err := in.data.Refresh(ctx); err != nil {
		return err
	}
	if err := in.sweep(ctx); err != nil {
		return err
	}
	for i := 0; i < in.images; i += 10 {
		in.standing.Asked.Note(in.site.stock.Digest(i), in.clock.Now())
	}
	if err := in.standing.Asked.Share(ctx, in.store); err != nil {
		return err
	}
	for k := range max(in.images/100, 1) {
		if err := in.comesAgain(ctx, (day*7919+k)%in.images); err != nil {
			return err
		}
	}
	if err := in.rescan(ctx, day); err != nil {
		return err
	}
	for range 2 {
		in.clock.set(in.clock.Now().Add(5 * time.Minute))
		if err := in.sweep(ctx); err != nil {
			return err
		}
	}
	return in.delivered(ctx)
}

func (in *installation) sweep(ctx context.Context) error {
	if err := in.ready(ctx); err != nil {
		return err
	}
	return in.rematch(ctx)
}

// ready is what comes before a sweep.
func (in *installation) ready(ctx context.Context) error {
	if err := in.catalog.CatchUp(ctx); err != nil {
		return err
	}
	if err := in.lifter.Lift(ctx); err != nil && !errors.Is(err, gate.ErrNotFound) {
		return err
	}
	return nil
}

func (in *installation) rematch(ctx context.Context) error {
	swept, err := in.sweeper.Rematch(ctx)
	if in.matched += swept.Matched; err == nil && swept.Failed > 0 {
		err = fmt.Errorf("%d of %d images were left for the next sweep", swept.Failed, swept.Seen)
	}
	return err
}

// comesAgain is a push of a known image, with its tag, and an analysis of it that finds what
// is known.
func (in *installation) comesAgain(ctx context.Context, i int) error {
	s, now := in.site.stock, in.clock.Now()
	period := in.quota.Period(now)
	if _, err := in.store.PutTag(ctx, s.Tag(i), s.Digest(i), now, ""); err != nil {
		return err
	}
	if err := in.store.Avoid(ctx, period.Key, 1); err != nil {
		return err
	}
	req := gate.JobRequest{Kind: gate.JobAnalyze, Location: s.Locations(i)[0], Digest: s.Digest(i), Trigger: gate.TriggerRescan, Force: true}
	if _, _, err := in.store.Enqueue(ctx, req); err != nil {
		return err
	}
	job, err := in.store.Claim(ctx, gate.ClaimRequest{Worker: "figures", Kinds: []gate.JobKind{gate.JobAnalyze}, Lease: time.Minute, Period: period})
	if err != nil {
		return err
	}
	_, err = in.store.Finish(ctx, job.Lease(), gate.Result{})
	return err
}

// rescan is the run of a schedule, until it has ended.
func (in *installation) rescan(ctx context.Context, day int) error {
	id := fmt.Sprintf("daily-%d", day)
	if _, err := in.tasks.Start(ctx, id, gate.ScanRequest{Kind: gate.ScanMatch, Scope: gate.ScanScope{Running: true}, Schedule: "daily", Tick: in.clock.Now()}); err != nil {
		return err
	}
	return in.until(ctx, "the scan task has ended", func() (bool, error) {
		t, err := in.tasks.Get(ctx, id)
		if err == nil && !t.State.Live() && t.State != gate.ScanDone {
			err = fmt.Errorf("the scan task is %s: %s", t.State, t.Error)
		}
		return !t.State.Live(), err
	})
}

// delivered waits until everything was notified.
func (in *installation) delivered(ctx context.Context) error {
	// Changes are gathered for a minute, and more while there are more to read.
	in.clock.set(in.clock.Now().Add(15 * time.Minute))
	position, err := in.store.Newest(ctx)
	if err != nil {
		return err
	}
	return in.until(ctx, "everything was notified", func() (bool, error) {
		in.clock.set(in.clock.Now().Add(time.Second)) // for the times between two messages
		value, _, err := in.store.Setting(ctx, agree.SettingNotifyState(receiverName))
		if errors.Is(err, gate.ErrNotFound) {
			return false, nil
		}
		var state struct {
			Started     bool
			Cursor      int64
			Open, Queue json.RawMessage
		}
		if err == nil {
			err = json.Unmarshal(value, &state)
		}
		return state.Started && state.Cursor >= position && len(state.Open) == 0 && len(state.Queue) == 0, err
	})
}

// until waits for something that others do.
func (in *installation) until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("waiting 2 minutes until %s", what))
	defer cancel()
	for {
		if over, err := done(); over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// histories counts all entries, and the verdicts in them that turned from or to deny.
func (in *installation) histories(ctx context.Context) (entries, flips float64, err error) {
	for i := range in.images {
		list, err := in.store.History(ctx, in.site.stock.Digest(i), gate.HistoryQuery{})
		if err != nil {
			return 0, 0, err
		}
		entries += float64(len(list))
		for _, e := range list {
			for _, v := range e.Verdicts {
				if v.Before.Outcome != "" && (v.Before.Outcome == gate.OutcomeDeny) != (v.After.Outcome == gate.OutcomeDeny) {
					flips++
				}
			}
		}
	}
	return entries, flips, nil
}
