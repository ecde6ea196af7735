package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Active is an [Engine] with the set of policies that is in force: it finds
// files, agrees on them with all processes on the store, and hands the engine
// what is in force. All methods are safe for concurrent use.
type Active struct {
	*Engine
	options Options
	log     *slog.Logger
	now     func() time.Time
	live    *agree.Live[*Set]

	finding sync.Mutex // one look at the files at a time; held during a trial

	mu       sync.Mutex // guards the rest, never held long
	rejected string     // names the last refused candidate, "" for none
	triedAt  time.Time  // when it was last tried
	found    *candidate // the files that were good last
	status   Status
}

// candidate is a set that was found in the files.
type candidate struct {
	*Set
	agree.Content
}

// New reads, tries and compiles the policies of the configuration and agrees
// with all that share the store on the set in force. Errors: [Problems], those
// of [Read], and those of the trial, which wrap gate.ErrInvalid or
// gate.ErrTooLarge; gate.ErrConflict when what is in force does not load here;
// those of the store. There is none without a set that loads.
func New(ctx context.Context, o Options) (*Active, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	o = o.complete()
	a := &Active{Engine: engineWith(o), options: o, log: o.Log, now: o.Now}
	a.live = agree.NewLive(agree.NewMember(agree.Options{
		Kind: Kind(!o.Shared), Store: o.Store, By: o.Process, Program: o.Program, Place: o.Place, DataDir: a.dataDir(), Observe: o.Observe, Log: o.Log, Now: o.Now,
	}), agree.Loading[*Set]{Find: a.candidate, Load: a.load, Use: a.use})
	if err := a.Reload(ctx); err != nil && !a.loaded() {
		return nil, err
	}
	return a, nil
}

// dataDir is where it is remembered what was in force; a process that only asks
// knows nothing of earlier ones.
func (a *Active) dataDir() string {
	if a.options.Observe {
		return ""
	}
	return a.options.DataDir
}

// loaded reports whether there is a set to decide with.
func (a *Active) loaded() bool { return a.active.Load() != nil }

// retryRefused is after how long the same refused content is tried again: what
// was wrong may have been the machine (no memory, no processor time).
const retryRefused = 5 * time.Minute

// Reload reads the paths, puts what is there in force when that is due to a
// change of it, and loads what is in force. A set that does not read, try or
// compile is refused: the old one stays in force, [Status] and the log say so,
// and the same content is not tried again for five minutes. The errors are
// those of [New].
func (a *Active) Reload(ctx context.Context) error {
	err := a.find(ctx)
	if err != nil && (!a.loaded() && !a.mayFollow(ctx, err) || ctx.Err() != nil) {
		return err // there must be no start with files that are wrong
	}
	return errors.Join(err, a.Follow(ctx))
}

// Follow loads what is in force if that has changed, without a look at the
// files. When it fails, what was in force stays, and [Status] says why; the
// errors are those of the store, and gate.ErrConflict when what is in force does
// not load here.
func (a *Active) Follow(ctx context.Context) error { return a.live.Follow(ctx) }

// candidate is what was found in the files. A set with warnings may stay in force
// and not come back; so may one that other files, which were refused, have
// replaced.
func (a *Active) candidate() *agree.Content {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.found == nil {
		return nil
	}
	c := a.found.Content
	c.Stays = a.rejected != "" || len(a.found.warnings) > 0
	return &c
}

// load makes a set of an activation. What the same version of the program has
// tried is not tried again, so that a revocation need not wait for it.
func (a *Active) load(ctx context.Context, active agree.Activation) (*Set, error) {
	a.mu.Lock()
	found := a.found
	a.mu.Unlock()
	if found != nil && found.Digest == active.Content {
		return found.Set, nil
	}
	files, err := filesOf(active)
	if err != nil {
		return nil, err
	}
	return a.try(ctx, files, active.Program != a.options.Program, true)
}

// use decides with a set from now on.
func (a *Active) use(set *Set, active agree.Activation) {
	revision := a.Engine.use(set)
	names := make([]string, len(set.files))
	for i, f := range canonical(set.files) {
		names[i] = f.Name
	}
	a.setStatus(func(s *Status) {
		s.Revision, s.Files, s.Rules, s.LoadedAt = revision, names, set.rules, a.now()
		s.Outdated = outdated(set.warnings)
		s.Activation, s.Content, s.ActivatedAt, s.By = active.Number, active.Content, active.ActivatedAt, active.By
	})
	a.log.Info("policies loaded", "revision", revision, "activation", active.Number, "content", active.Content.Short(), "by", active.By,
		"files", len(names), "rules", set.rules)
	if len(set.warnings) > 0 {
		a.log.Error("this version finds mistakes in the policies in force and refuses new policies with such mistakes; run digestgate policy check and correct them",
			"activation", active.Number, "content", active.Content.Short(), "mistakes", len(set.warnings), "error", set.warnings.Error())
	}
}

// find reads the paths and tries what is there unless it was tried before.
// Meanwhile what is in force is followed.
func (a *Active) find(ctx context.Context) error {
	a.finding.Lock()
	defer a.finding.Unlock()
	files, err := Read(a.options.Config.Paths)
	if err != nil {
		return a.refuse(err, err.Error())
	}
	content, err := contentFor(files)
	if err != nil {
		return err
	}
	if known, err := a.tried(content.Digest); known {
		return err
	}
	inForce, err := a.inForce(ctx, content.Digest)
	if err != nil {
		return err
	}
	set, err := a.try(ctx, live(files), true, inForce)
	switch {
	case err != nil && ctx.Err() != nil:
		return err // stopping; the candidate may be good
	case err != nil:
		return a.refuse(err, string(content.Digest))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = &candidate{set, content}
	a.accept()
	return nil
}

// tried reports whether files with this content need no look: they are those
// that were good last, or were refused lately.
func (a *Active) tried(content gate.Digest) (known bool, refused error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.found != nil && a.found.Digest == content {
		if a.rejected != "" {
			a.accept()
			a.log.Info("the policy files are again the usable ones that were read last", "content", content.Short())
		}
		return true, nil
	}
	if string(content) == a.rejected && a.now().Sub(a.triedAt) < retryRefused {
		return true, fmt.Errorf("%s: %w", a.status.Error, gate.ErrInvalid)
	}
	a.triedAt = a.now()
	return false, nil
}

// accept notes that nothing is wrong with the files; mu is held.
func (a *Active) accept() { a.rejected, a.status.Error, a.status.RefusedAt = "", "", time.Time{} }

// try compiles files, after a trial in a child if they need one. What is not in
// force may have no warnings.
func (a *Active) try(ctx context.Context, files []File, trial, inForce bool) (*Set, error) {
	var warnings Problems
	if trial && a.options.Trial != nil {
		var err error
		if warnings, err = a.options.Trial(ctx, files); err != nil {
			return nil, err
		}
	}
	set, err := CompileInForce(files)
	if err != nil {
		return nil, err
	}
	if len(set.watched) > 0 && !a.options.Watched {
		return nil, set.watched
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
func (a *Active) refuse(err error, candidate string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if candidate != a.rejected {
		a.rejected, a.status.Error, a.status.RefusedAt = candidate, err.Error(), a.now()
		if old := a.active.Load(); old != nil {
			a.log.Error("policies refused, the old ones stay in force", "error", err.Error(), "revision", old.revision)
		}
	}
	return err
}

// Run looks at the files every Options.ReloadEvery, and at the store every
// Options.FollowEvery, until ctx ends; it returns the cause. What is in force is
// followed on a store of its own too: it may have lost what was there.
func (a *Active) Run(ctx context.Context) error {
	var looking sync.WaitGroup
	if len(a.options.Config.Paths) > 0 {
		looking.Go(func() { a.watch(ctx) })
	}
	looking.Go(func() { a.live.Run(ctx, a.options.FollowEvery) })
	<-ctx.Done()
	looking.Wait()
	return context.Cause(ctx)
}

// watch reloads until ctx ends; what fails is in the status and the log.
func (a *Active) watch(ctx context.Context) {
	tick := time.NewTicker(a.options.ReloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = a.Reload(ctx)
		}
	}
}
