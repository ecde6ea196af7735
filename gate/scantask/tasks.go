package scantask

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Tasks are the scan tasks of a store. It is safe for concurrent use, in one process and
// between several.
type Tasks struct {
	store agree.TimedSettings
	log   *slog.Logger
	woken chan struct{} // holds one after a change here
}

// New keeps tasks in a store.
func New(store agree.TimedSettings, log *slog.Logger) *Tasks {
	return &Tasks{store: store, log: log, woken: make(chan struct{}, 1)}
}

func (t *Tasks) wake() {
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

func (t *Tasks) load(ctx context.Context) (kept, error) {
	value, _, err := t.store.Setting(ctx, agree.SettingScanTasks)
	if errors.Is(err, gate.ErrNotFound) {
		return kept{Format: format}, nil
	}
	if err != nil {
		return kept{}, fmt.Errorf("reading the scan tasks: %w", err)
	}
	return decode(value)
}

// errSame leaves the tasks as they are.
var errSame = errors.New("nothing to change")

// update changes the tasks, once, whatever other processes write meanwhile. change may be
// called several times; after errSame nothing is written, and update returns nil.
func (t *Tasks) update(ctx context.Context, change func(k *kept, now time.Time) error) error {
	now, err := t.store.Now(ctx)
	if err != nil {
		return fmt.Errorf("reading the store's clock: %w", err)
	}
	now = now.UTC()
	return agree.UpdateSetting(ctx, t.store, agree.SettingScanTasks, func(value []byte) ([]byte, error) {
		k, err := decode(value)
		if err == nil {
			err = change(&k, now)
		}
		if errors.Is(err, errSame) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return k.encode()
	})
}

// Start makes a task with an id, or returns the one that has it. gate.ErrConflict: a run
// of the same schedule has not ended, and is returned; with the zero task, too many tasks
// have not ended; those of the store.
func (t *Tasks) Start(ctx context.Context, id string, r gate.ScanRequest) (started gate.ScanTask, err error) {
	err = t.update(ctx, func(k *kept, now time.Time) error {
		if same := k.find(id); same != nil {
			started = same.ScanTask
			return errSame
		}
		if r.Schedule != "" {
			if before := k.live(r.Schedule); before != nil {
				started = before.ScanTask
				return gate.Refuse(gate.ErrConflict, "scan task %q of schedule %q has not ended", before.ID, r.Schedule)
			}
		}
		if n := k.liveTasks(); n >= MaxLive {
			return gate.Refuse(gate.ErrConflict, "%d scan tasks have not ended, the most there can be; wait for one, or cancel one (\"digestgate scans list\" shows them)", n)
		}
		started = gate.ScanTask{ScanRequest: r, ID: id, State: gate.ScanQueued, CreatedAt: now, UpdatedAt: now}
		k.Tasks = append(k.Tasks, task{ScanTask: started})
		return nil
	})
	t.wake()
	return started, err
}

// List is all tasks, the newest first. Errors: those of the store.
func (t *Tasks) List(ctx context.Context) ([]gate.ScanTask, error) {
	k, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]gate.ScanTask, 0, len(k.Tasks))
	for _, one := range slices.Backward(k.Tasks) {
		list = append(list, one.ScanTask)
	}
	return list, nil
}

// Get is one task; gate.ErrNotFound when there is none with this id any more.
func (t *Tasks) Get(ctx context.Context, id string) (gate.ScanTask, error) {
	k, err := t.load(ctx)
	if err != nil {
		return gate.ScanTask{}, err
	}
	if one := k.find(id); one != nil {
		return one.ScanTask, nil
	}
	return gate.ScanTask{}, noTask(id)
}

func noTask(id string) error {
	return gate.Refuse(gate.ErrNotFound, "there is no scan task %s; \"digestgate scans list\" lists them; tasks that ended long ago are not kept", gate.Quoted(id, 100))
}

// Pause stops a task until it is resumed. gate.ErrNotFound; gate.ErrConflict when it is
// paused or has ended; those of the store.
func (t *Tasks) Pause(ctx context.Context, id string) (gate.ScanTask, error) {
	return t.turn(ctx, id, "paused", func(one *task, now time.Time) bool {
		if !one.State.Live() || one.State == gate.ScanPaused {
			return false
		}
		one.State = gate.ScanPaused
		return true
	})
}

// Resume continues a paused task where it was. Errors: those of Pause.
func (t *Tasks) Resume(ctx context.Context, id string) (gate.ScanTask, error) {
	return t.turn(ctx, id, "resumed", func(one *task, now time.Time) bool {
		if one.State != gate.ScanPaused {
			return false
		}
		one.State, one.RetryAt, one.Tries, one.Error = gate.ScanQueued, time.Time{}, 0, ""
		return true
	})
}

// Cancel ends a task. Errors: those of Pause.
func (t *Tasks) Cancel(ctx context.Context, id string) (gate.ScanTask, error) {
	return t.turn(ctx, id, "cancelled", func(one *task, now time.Time) bool {
		if !one.State.Live() {
			return false
		}
		one.State, one.FinishedAt = gate.ScanCancelled, now
		return true
	})
}

// turn changes the state of a task as a person wants it.
func (t *Tasks) turn(ctx context.Context, id, into string, change func(*task, time.Time) bool) (turned gate.ScanTask, err error) {
	err = t.update(ctx, func(k *kept, now time.Time) error {
		one := k.find(id)
		if one == nil {
			return noTask(id)
		}
		if !change(one, now) {
			return gate.Refuse(gate.ErrConflict, "scan task %q is %s and cannot be %s", id, one.State, into)
		}
		one.UpdatedAt = now
		turned = one.ScanTask
		return nil
	})
	if err != nil {
		return gate.ScanTask{}, err
	}
	t.log.InfoContext(ctx, "scan task changed through the API", "task", id, "state", turned.State, "schedule", turned.Schedule, "seen", turned.Seen(), "total", turned.Total)
	t.wake()
	return turned, nil
}
