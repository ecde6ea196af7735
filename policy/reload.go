package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// retryRefused is after how long the same refused content is tried again: what
// was wrong may have been the machine (no memory, no processor time).
const retryRefused = 5 * time.Minute

// Reload reads the paths, puts what is there in force when that is due to a
// change of it, and loads what is in force. A set that does not read, try or
// compile is refused: the old one stays in force, [Status] and the log say so,
// and the same content is not tried again for five minutes. The errors are
// those of [New].
func (e *Engine) Reload(ctx context.Context) error {
	err := e.find(ctx)
	if err != nil && (e.active.Load() == nil && !e.mayFollow(ctx, err) || ctx.Err() != nil) {
		return err // there must be no start with files that are wrong
	}
	return errors.Join(err, e.Follow(ctx))
}

// find reads the paths and tries what is there unless it was tried before.
// Meanwhile what is in force is followed.
func (e *Engine) find(ctx context.Context) error {
	e.finding.Lock()
	defer e.finding.Unlock()
	files, err := Read(e.options.Config.Paths)
	if err != nil {
		return e.refuse(err, err.Error())
	}
	content := contentOf(files)
	if known, err := e.tried(content); known {
		return err
	}
	inForce, err := e.inForce(ctx, content)
	if err != nil {
		return err
	}
	set, err := e.try(ctx, live(files), true, inForce)
	switch {
	case err != nil && ctx.Err() != nil:
		return err // stopping; the candidate may be good
	case err != nil:
		return e.refuse(err, string(content))
	}
	e.agreeing.Lock()
	defer e.agreeing.Unlock()
	e.found, e.rejected = &candidate{set, content}, ""
	e.setStatus(func(s *Status) { s.Error, s.RefusedAt = "", time.Time{} })
	return nil
}

// tried reports whether files with this content need no look: they are those
// that were good last, or were refused lately.
func (e *Engine) tried(content gate.Digest) (known bool, refused error) {
	e.agreeing.Lock()
	defer e.agreeing.Unlock()
	if e.found != nil && e.found.content == content {
		if e.rejected != "" {
			e.rejected = ""
			e.setStatus(func(s *Status) { s.Error, s.RefusedAt = "", time.Time{} })
			e.log.Info("the policy files are those from before again", "content", content.Short())
		}
		return true, nil
	}
	if string(content) == e.rejected && e.now().Sub(e.triedAt) < retryRefused {
		return true, fmt.Errorf("%s: %w", e.Status().Error, gate.ErrInvalid)
	}
	e.triedAt = e.now()
	return false, nil
}

// try compiles files, after a trial in a child if they need one. What is not in
// force may have no warnings.
func (e *Engine) try(ctx context.Context, files []File, trial, inForce bool) (*Set, error) {
	var warnings Problems
	if trial && e.options.Trial != nil {
		var err error
		if warnings, err = e.options.Trial(ctx, files); err != nil {
			return nil, err
		}
	}
	set, err := CompileInForce(files)
	if err != nil {
		return nil, err
	}
	set.warnings = append(set.warnings, set.warnings.others(warnings)...).sorted()
	if len(set.warnings) > 0 && !inForce {
		return nil, newerRefusal{set.warnings}
	}
	return set, nil
}

// newerRefusal is the error of a set that versions before this one let in.
type newerRefusal struct{ problems Problems }

func (r newerRefusal) Error() string { return r.problems.Error() }

// Unwrap gives access to the problems.
func (r newerRefusal) Unwrap() error { return r.problems }

// refuse notes why a candidate, named by a text that changes with it, is not
// in force. The same refusal is logged once.
func (e *Engine) refuse(err error, candidate string) error {
	e.agreeing.Lock()
	defer e.agreeing.Unlock()
	if candidate != e.rejected {
		e.rejected = candidate
		e.setStatus(func(s *Status) { s.Error, s.RefusedAt = err.Error(), e.now() })
		if old := e.active.Load(); old != nil {
			e.log.Error("policies refused, the old ones stay in force", "error", err.Error(), "revision", old.revision)
		}
	}
	return err
}

// revisionOf is the hash of everything that decides besides the question.
func (e *Engine) revisionOf(set *Set) string {
	o := e.options
	return contentHash(canonical(set.files),
		fmt.Sprint("input ", InputVersion), fmt.Sprint("risks ", e.risks), fmt.Sprint("allowIncomplete ", o.Config.AllowIncomplete),
		fmt.Sprint("maxAge ", o.MaxAge, " deny ", o.DenyStale), fmt.Sprint("budget ", o.Budget))
}

// Run looks at the files every Options.ReloadEvery, and at a shared store every
// Options.FollowEvery, until ctx ends; it returns the cause. A set without
// paths that nobody shares has nothing to watch.
func (e *Engine) Run(ctx context.Context) error {
	var looking sync.WaitGroup
	every := func(interval time.Duration, look func(context.Context) error) {
		looking.Go(func() {
			ticker := time.NewTicker(interval)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					_ = look(ctx) // what fails is in the status and the log
				}
			}
		})
	}
	if len(e.options.Config.Paths) > 0 {
		every(e.options.ReloadEvery, e.Reload)
	}
	if e.options.Shared {
		every(e.options.FollowEvery, e.Follow)
	}
	<-ctx.Done()
	looking.Wait()
	return context.Cause(ctx)
}
