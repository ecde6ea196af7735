package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/pipeline"
)

// TestAwait: a wait ends at a change at once, without one at the next look, and with
// the cause of its context.
func TestAwait(t *testing.T) {
	cause := errors.New("enough")
	for name, test := range map[string]struct {
		change time.Duration // 0: none
		cancel time.Duration
		nobody bool // nothing tells of changes
		over   time.Duration
		looks  int
		took   time.Duration
		err    error
	}{
		"at_once":         {over: 0, looks: 1, took: 0},
		"after_a_change":  {change: time.Second, over: time.Second, looks: 2, took: time.Second},
		"without_changes": {over: 25 * time.Second, looks: 4, took: 30 * time.Second},
		"over_http":       {nobody: true, over: 25 * time.Second, looks: 4, took: 30 * time.Second},
		"cancelled":       {cancel: 15 * time.Second, over: time.Hour, looks: 2, took: 15 * time.Second, err: cause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, func() { cancel(cause) })
				}
				change := make(chan struct{})
				if test.change > 0 {
					time.AfterFunc(test.change, func() { close(change) })
				}
				changed := func() <-chan struct{} { return change }
				if test.nobody {
					changed = nil
				}
				began, looks := time.Now(), 0
				err := pipeline.Await(ctx, changed, 10*time.Second, func(context.Context) (bool, error) {
					looks++
					return time.Since(began) >= test.over, nil
				})
				if took := time.Since(began); !errors.Is(err, test.err) || looks != test.looks || took != test.took {
					t.Errorf("got %d looks in %s, %v, want %d in %s, %v", looks, took, err, test.looks, test.took, test.err)
				}
			})
		})
	}
	if err := pipeline.Await(t.Context(), nil, time.Hour, func(context.Context) (bool, error) { return false, cause }); !errors.Is(err, cause) {
		t.Errorf("an error of a look: got %v", err)
	}
}

// watched is a store in which a resolve of an index has been queued, and its child is
// analysed. Each look at a job brings it one step further.
type watched struct {
	step    int
	steps   []func(*watched)
	jobs    map[string]gate.Job
	digests map[gate.Digest]gate.Entry
	tag     gate.TagMapping
}

func (w *watched) next() {
	if w.step < len(w.steps) {
		w.steps[w.step](w)
		w.step++
	}
}

func (w *watched) Job(_ context.Context, id string) (gate.Job, error) {
	defer w.next()
	return w.jobs[id], nil
}

func (w *watched) Read(_ context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	res := gate.ReadResult{Digests: w.digests, Tags: map[gate.TagKey]gate.TagMapping{}}
	for _, key := range req.Tags {
		res.Tags[key] = w.tag
	}
	return res, nil
}

func (w *watched) Changed() <-chan struct{} { return nil }

// TestSettled: a tag's index has settled when the analysis of its judged child has
// ended, however that ended; a job that waits for its registry is not waited for.
func TestSettled(t *testing.T) {
	index, child := gate.Digest("sha256:"+strings.Repeat("a", 64)), gate.Digest("sha256:"+strings.Repeat("b", 64))
	set := func(id string, change func(*gate.Job)) func(*watched) {
		return func(w *watched) {
			job := w.jobs[id]
			change(&job)
			w.jobs[id] = job
			if id == "analysis" {
				e := w.digests[child]
				e.Job = &job
				w.digests[child] = e
			}
		}
	}
	state := func(s gate.JobState, problem string) func(*gate.Job) {
		return func(j *gate.Job) { j.State, j.Error = s, problem }
	}
	for name, test := range map[string]struct {
		steps   []func(*watched)
		stopped string // the job that stopped it
		child   gate.JobState
	}{
		"done": {steps: []func(*watched){
			set("resolve", state(gate.JobRunning, "")), set("resolve", state(gate.JobDone, "")), nil,
			set("analysis", state(gate.JobRunning, "")), set("analysis", state(gate.JobDone, "")),
		}, child: gate.JobDone},
		"analysis_fails": {steps: []func(*watched){
			set("resolve", state(gate.JobDone, "")), nil, set("analysis", state(gate.JobFailed, "the layer is broken")),
		}, child: gate.JobFailed},
		"resolve_fails":  {steps: []func(*watched){set("resolve", state(gate.JobFailed, "no such image"))}, stopped: "resolve"},
		"resolve_waits":  {steps: []func(*watched){set("resolve", state(gate.JobQueued, "the registry asks to wait"))}, stopped: "resolve"},
		"analysis_waits": {steps: []func(*watched){set("resolve", state(gate.JobDone, "")), nil, set("analysis", state(gate.JobQueued, "the registry asks to wait"))}, stopped: "analysis"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{
					jobs: map[string]gate.Job{
						"resolve":  {ID: "resolve", Kind: gate.JobResolve, State: gate.JobQueued, Tags: []string{"v1"}},
						"analysis": {ID: "analysis", Kind: gate.JobAnalyze, State: gate.JobQueued},
					},
					tag: gate.TagMapping{Digest: index},
				}
				analysis := w.jobs["analysis"]
				w.digests = map[gate.Digest]gate.Entry{
					index: {Record: gate.Record{Digest: index, Manifest: gate.Manifest{Kind: gate.KindIndex, Children: []gate.Child{{Digest: child, Judged: true}}}}},
					child: {Record: gate.Record{Digest: child}, Job: &analysis},
				}
				for _, step := range test.steps {
					if step == nil {
						step = func(*watched) {}
					}
					w.steps = append(w.steps, step)
				}
				shown := 0
				entry, err := pipeline.Settled(t.Context(), w, w.jobs["resolve"], func(gate.Job) { shown++ })
				var stopped *pipeline.Stopped
				switch {
				case test.stopped != "":
					if !errors.As(err, &stopped) || stopped.Job.ID != test.stopped {
						t.Errorf("got %v, want that job %q has stopped it", err, test.stopped)
					}
				case err != nil || entry.Record.Digest != index || w.jobs["analysis"].State != test.child:
					t.Errorf("got %+v, %v with the analysis %s", entry.Record, err, w.jobs["analysis"].State)
				}
				if shown < len(test.steps) {
					t.Errorf("shown %d times, want at least %d", shown, len(test.steps))
				}
			})
		})
	}
}
