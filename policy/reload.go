package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Status is what is known of the policies in force.
type Status struct {
	Revision string    `json:"revision"`
	Files    []string  `json:"files"`
	Rules    int       `json:"rules"`
	LoadedAt time.Time `json:"loadedAt"`
	// Error is why the newest files were refused, "" when they are in force;
	// RefusedAt is when.
	Error     string    `json:"error"`
	RefusedAt time.Time `json:"refusedAt,omitzero"`
	// LostSlots of Slots are held by evaluations over their budget.
	LostSlots int `json:"lostSlots"`
	Slots     int `json:"slots"`
}

// Status reports the policies in force and the last refusal.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.status
	s.LostSlots, s.Slots = e.pool.lostSlots()
	return s
}

// retryRefused is after how long the same refused content is tried again: what
// was wrong may have been the machine (no memory, no processor time).
const retryRefused = 5 * time.Minute

// Reload reads the paths and activates what is there when it differs from what
// is active. A set that does not read, try or compile is refused: the old one
// stays in force, [Status] and the log say so, and the same content is not
// tried again for five minutes. The errors are those of [New].
func (e *Engine) Reload(ctx context.Context) error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	files, err := Read(e.options.Config.Paths)
	if err != nil {
		return e.refuse(err, err.Error())
	}
	files = live(files)
	content := contentHash(files)
	if old := e.active.Load(); old != nil && old.content == content {
		if e.rejected != "" {
			e.rejected = ""
			e.setStatus(func(s *Status) { s.Error, s.RefusedAt = "", time.Time{} })
			e.log.Info("policies are those in force again", "revision", old.revision)
		}
		return nil
	}
	if content == e.rejected && e.now().Sub(e.triedAt) < retryRefused {
		return fmt.Errorf("%s: %w", e.Status().Error, gate.ErrInvalid)
	}
	e.triedAt = e.now()
	if e.options.Trial != nil {
		if err := e.options.Trial(ctx, files); err != nil {
			if ctx.Err() != nil {
				return err // stopping; the candidate may be good
			}
			return e.refuse(err, content)
		}
	}
	set, err := Compile(files)
	if err != nil {
		return e.refuse(err, content)
	}
	e.activate(set, content)
	return nil
}

func (e *Engine) activate(set *Set, content string) {
	next := &activeSet{Set: set, content: content, revision: e.revisionOf(set)}
	e.active.Store(next)
	e.rejected = ""
	names := make([]string, len(set.files))
	for i, f := range set.files {
		names[i] = f.Name
	}
	e.setStatus(func(s *Status) {
		*s = Status{Revision: next.revision, Files: names, Rules: set.rules, LoadedAt: e.now()}
	})
	e.log.Info("policies loaded", "revision", next.revision, "files", len(names), "rules", set.rules)
}

// refuse notes why a candidate, named by a text that changes with it, is not
// in force. The same refusal is logged once.
func (e *Engine) refuse(err error, candidate string) error {
	if candidate != e.rejected {
		e.rejected = candidate
		e.setStatus(func(s *Status) { s.Error, s.RefusedAt = err.Error(), e.now() })
		if old := e.active.Load(); old != nil {
			e.log.Error("policies refused, the old ones stay in force", "error", err.Error(), "revision", old.revision)
		}
	}
	return err
}

// setStatus changes the status; it never waits for a trial.
func (e *Engine) setStatus(change func(*Status)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.status)
}

// revisionOf is the hash of everything that decides besides the question.
func (e *Engine) revisionOf(set *Set) string {
	o := e.options
	return contentHash(set.files,
		fmt.Sprint("input ", InputVersion), fmt.Sprint("risks ", e.risks), fmt.Sprint("allowIncomplete ", o.Config.AllowIncomplete),
		fmt.Sprint("maxAge ", o.MaxAge, " deny ", o.DenyStale), fmt.Sprint("budget ", o.Budget))
}

// Run reloads the policies every Options.ReloadEvery until ctx ends; it
// returns the cause. A set without paths has nothing to watch and only waits.
func (e *Engine) Run(ctx context.Context) error {
	if len(e.options.Config.Paths) == 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	ticker := time.NewTicker(e.options.ReloadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			// A refusal is in the status and the log; the next tick looks
			// again.
			_ = e.Reload(ctx)
		}
	}
}
