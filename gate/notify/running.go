package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// running is the work of all targets in the process whose turn it is.
type running struct {
	*Engine
	pages      *pages
	conditions *conditions
	wait       sync.WaitGroup
	targets    map[string]*runner
}

// runner is the goroutine of one target.
type runner struct {
	fingerprint string
	stop        context.CancelFunc
	done        chan struct{}
	problem     string // why it cannot be used as it is set
	mu          sync.Mutex
	waiting     int
	oldest      time.Time
	// What was read after the stored cursor, stored, and had nothing for the target need
	// not be read again before the cursor is written: reading continues from ahead.
	stored, ahead int64
}

// follow starts and stops the goroutines of targets as they come and go.
func (r *running) follow(ctx context.Context) error {
	list, err := r.Targets.All(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, d := range list {
		wanted[d.Name] = true
		print := d.fingerprint()
		if was, ok := r.targets[d.Name]; ok {
			if was.fingerprint == print {
				continue
			}
			was.end()
			delete(r.targets, d.Name)
		}
		t, err := r.Targets.open(ctx, d)
		if err != nil {
			// It is listed with its problem; the next look tries again when it changes.
			r.Log.Warn("a notification target cannot be used", "target", d.Name, "error", gate.Sentence(err))
			if errors.Is(err, gate.ErrTimeout) { // its template was tried while the machine was busy
				continue
			}
			closed := make(chan struct{})
			close(closed)
			r.targets[d.Name] = &runner{fingerprint: print, stop: func() {}, done: closed, problem: unusable(d.Name, err)}
			continue
		}
		if t.templateProblem != nil {
			r.Log.Warn("the template of a notification target cannot be used, the shipped one is used", "target", d.Name, "error", gate.Sentence(t.templateProblem))
		}
		r.start(ctx, t, print)
	}
	r.stand(wanted)
	return nil
}

// unusable is what is said of a target that nothing is sent to.
func unusable(name string, err error) string {
	return fmt.Sprintf("nothing is sent to the target %q: %s", name, gate.Sentence(err))
}

// stand ends the goroutines of targets that are gone, and says how all stand.
func (r *running) stand(wanted map[string]bool) {
	waiting, oldest, problems := 0, time.Time{}, []string(nil)
	for name, run := range r.targets {
		if !wanted[name] {
			run.end()
			delete(r.targets, name)
			continue
		}
		if run.problem != "" {
			problems = append(problems, run.problem)
		}
		run.mu.Lock()
		waiting += run.waiting
		if !run.oldest.IsZero() && (oldest.IsZero() || run.oldest.Before(oldest)) {
			oldest = run.oldest
		}
		run.mu.Unlock()
	}
	age := time.Duration(0)
	if !oldest.IsZero() {
		age = r.Now().Sub(oldest)
	}
	slices.Sort(problems)
	r.note(problems)
	r.Metrics.stands(waiting, age, len(problems))
}

func (r *running) start(ctx context.Context, t *target, print string) {
	ctx, stop := context.WithCancel(ctx)
	run := &runner{fingerprint: print, stop: stop, done: make(chan struct{})}
	if t.templateProblem != nil {
		run.problem = fmt.Sprintf("the target %q is sent messages with the shipped template: %s", t.Name, gate.Sentence(t.templateProblem))
	}
	r.targets[t.Name] = run
	r.wait.Go(func() {
		defer close(run.done)
		defer t.sender.Close()
		for ctx.Err() == nil {
			again, err := r.step(ctx, t, run)
			if err != nil && ctx.Err() == nil {
				r.Log.Warn("a notification target is paused, it is tried again", "target", t.Name, "error", err)
				again = false
			}
			if !again && sleep(ctx, r.every()) != nil {
				return
			}
		}
	})
}

func (run *runner) end() {
	run.stop()
	<-run.done
}

func (run *runner) stands(st state) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.waiting, run.oldest = len(st.Queue), time.Time{}
	if len(st.Queue) > 0 {
		run.oldest = st.Queue[0].QueuedAt
	}
}
