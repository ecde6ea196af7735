package scantask

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// The bounds of what is kept, in one value of at most 1 MiB.
const (
	MaxLive  = 20      // tasks that have not ended
	MaxEnded = 50      // that have, apart from the last of each schedule
	maxBytes = 900_000 // of the value; the oldest ended ones are dropped before that
)

// task is a task with what the process that runs it knows.
type task struct {
	gate.ScanTask
	// Holder runs the task until Until; "" no process does.
	Holder string    `json:"holder,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	// Lanes are how far it is: one without a registry for a scan that pulls nothing, else
	// one for each registry, so that a slow one keeps no other from being read.
	Lanes []lane `json:"lanes,omitempty"`
	// Flight are the images whose analysis was begun and not counted yet.
	Flight []flight `json:"flight,omitempty"`
	// Settled: since the task stopped, what of Flight was in the queue was taken out of it.
	Settled bool `json:"settled,omitempty"`
	// NextAt is when the next image may begin, by the rate.
	NextAt time.Time `json:"nextAt,omitzero"`
}

// lane is a walk over the images in the order of their digests.
type lane struct {
	Registry string      `json:"registry,omitempty"`
	After    gate.Digest `json:"after,omitempty"`
	Ended    bool        `json:"ended,omitempty"`
}

// flight is an image that is being analysed.
type flight struct {
	Digest gate.Digest `json:"digest"`
	Lane   string      `json:"lane,omitempty"`
	Job    string      `json:"job,omitempty"`
	// First: the image has no inventory, so that reviews may wait for this analysis.
	First bool `json:"first,omitempty"`
	// Joined: others wanted the job before. Priority is that at which it was queued: it is
	// raised when others want it too.
	Joined   bool          `json:"joined,omitempty"`
	Priority gate.Priority `json:"priority,omitempty"`
	// Stopped: it has no job, because the task stopped or the job is not known any more.
	Stopped bool `json:"stopped,omitempty"`
}

// held reports whether a process runs the task.
func (t *task) held(now time.Time) bool { return t.Holder != "" && now.Before(t.Until) }

// unsettled reports whether analyses may be in the queue although the task has stopped.
func (t *task) unsettled() bool { return len(t.Flight) > 0 && !t.Settled }

// kept is the value of the setting.
type kept struct {
	Format int    `json:"format"`
	Tasks  []task `json:"tasks"` // the oldest first
}

const format = 1

func decode(value []byte) (k kept, err error) {
	if value == nil {
		return kept{Format: format}, nil
	}
	if err = json.Unmarshal(value, &k); err == nil && k.Format != format {
		err = fmt.Errorf("it is in format %d, and this version reads format %d", k.Format, format)
	}
	if err != nil {
		return kept{}, fmt.Errorf("setting %q in the store cannot be read: %w; run the version of digestgate that wrote it: %w", agree.SettingScanTasks, err, gate.ErrStoreUnavailable)
	}
	return k, nil
}

// find is the task with an id, nil when there is none.
func (k *kept) find(id string) *task {
	for i := range k.Tasks {
		if k.Tasks[i].ID == id {
			return &k.Tasks[i]
		}
	}
	return nil
}

// live is the run of a schedule that has not ended, nil when there is none.
func (k *kept) live(schedule string) *task {
	for i := range k.Tasks {
		if t := &k.Tasks[i]; t.Schedule == schedule && t.State.Live() {
			return t
		}
	}
	return nil
}

// encode drops what is not kept any longer: ended tasks beyond MaxEnded, but for the last
// of each schedule, and the oldest ones of a value that would be too large.
func (k *kept) encode() ([]byte, error) {
	last, ended := map[string]bool{}, 0
	tasks := slices.Clone(k.Tasks)
	for i := len(tasks) - 1; i >= 0; i-- {
		t := tasks[i]
		if t.State.Live() {
			continue
		}
		if t.Schedule != "" && !last[t.Schedule] {
			last[t.Schedule] = true
			continue
		}
		if ended++; ended > MaxEnded {
			tasks = slices.Delete(tasks, i, i+1)
		}
	}
	for {
		k.Tasks = tasks
		value, err := json.Marshal(k)
		oldest := slices.IndexFunc(tasks, func(t task) bool { return !t.State.Live() })
		if err != nil || len(value) <= maxBytes || oldest < 0 {
			return value, err
		}
		tasks = slices.Delete(slices.Clone(tasks), oldest, oldest+1)
	}
}

func (k *kept) liveTasks() int {
	n := 0
	for _, t := range k.Tasks {
		if t.State.Live() {
			n++
		}
	}
	return n
}
