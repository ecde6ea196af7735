package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Follow loads what is in force if that has changed, without a look at the
// files. When it fails, what was in force stays, and [Status] says why; the
// errors are those of the store, and gate.ErrConflict when what is in force does
// not load here.
func (e *Engine) Follow(ctx context.Context) error {
	e.agreeing.Lock()
	defer e.agreeing.Unlock()
	return e.agree(ctx)
}

// agree brings the files found here and what is in force on the store together,
// and loads the latter.
func (e *Engine) agree(ctx context.Context) error {
	active, err := e.settle(ctx)
	if err != nil {
		return e.unsettled(err)
	}
	e.setStatus(func(s *Status) { s.Waits = "" })
	e.note(active)
	return e.load(ctx, active)
}

// unsettled says what it means here that it is not known what is in force. That
// the store does not answer is said by others.
func (e *Engine) unsettled(err error) error {
	now := e.Status()
	next := now
	next.Waits = ""
	switch files := e.files(); {
	case errors.Is(err, gate.ErrConflict) && !errors.Is(err, gate.ErrStoreUnavailable):
		next.Behind = err.Error()
	case files != "" && files != e.offer.Files:
		next.Waits = err.Error()
	}
	e.setStatus(func(s *Status) { s.Behind, s.Waits = next.Behind, next.Waits })
	if e.active.Load() != nil && (next.Behind != now.Behind || next.Waits != "" && now.Waits == "") {
		e.log.Error("it is not known which policies are in force, the former ones stay in use here", "inUse", now.Activation, "error", err.Error())
	}
	return err
}

// files is the content of the files here if it may be put in force, "" if not.
func (e *Engine) files() gate.Digest {
	if e.found == nil || e.rejected != "" {
		return ""
	}
	return e.found.content
}

// settle finds out what is in force: what the store says, unless it has lost
// what was there, or the files here have changed.
func (e *Engine) settle(ctx context.Context) (Activation, error) {
	active, ok, err := e.store.Active(ctx)
	if err != nil {
		return Activation{}, err
	}
	if e.options.Observe {
		if !ok || !e.options.Shared { // the files are what the one process would decide by
			active = Activation{Content: e.found.content}
		}
		return active, nil
	}
	if was := e.offer.InForce; was.Number > active.Number {
		if active, err = e.store.Restore(ctx, was); err != nil {
			return Activation{}, err
		}
		e.restored.Add(1)
		ok = true
		e.log.Error("the store had lost the policies in force, they were put back", "activation", was.Number, "content", was.Content.Short())
	}
	files := e.files()
	if files != active.Content && files != "" && len(e.found.Warnings()) > 0 {
		files = "" // such a set may stay in force and not come back
	}
	may := e.offer.may(files)
	if !e.options.Shared {
		may = func(active Activation, _ bool) bool { return active.Content != files }
	}
	if files != "" && may(active, ok) {
		number := active.Number
		if active, err = e.store.Activate(ctx, e.found.files, may); err != nil {
			return Activation{}, err
		}
		if active.Content == files && active.Number > number {
			e.log.Info("policies activated", "activation", active.Number, "content", files.Short(), "former", number)
		}
	}
	e.remember(files, active)
	return active, nil
}

// remember keeps what there is to know at the next look, and at the next start.
func (e *Engine) remember(files gate.Digest, active Activation) {
	last := e.offer
	e.offer = last.next(files, active, e.now())
	if e.offer.same(last) {
		return
	}
	if err := e.offers.save(e.offer); err != nil {
		e.log.Warn("the policies in force are not remembered for the next start", "error", err)
	}
}

// note says, once, when the files here are not what is in force.
func (e *Engine) note(active Activation) {
	differs := ""
	if e.found != nil && e.found.content != active.Content {
		were := "never were in force"
		if n := active.last(e.found.content); n > 0 {
			were = fmt.Sprintf("were in force last as activation %d", n)
		}
		differs = fmt.Sprintf("the files here (%s) are not the policies in force, they %s; in force is activation %d (%s), by %s at %s",
			e.found.content.Short(), were, active.Number, active.Content.Short(), active.By, active.ActivatedAt.UTC().Format(time.RFC3339))
	}
	if differs != "" && differs != e.Status().Differs {
		e.log.Warn("the policy files here are not those in force", "ours", e.found.content.Short(), "activation", active.Number, "content", active.Content.Short(),
			"by", active.By, "activatedAt", active.ActivatedAt)
	}
	e.setStatus(func(s *Status) { s.Differs = differs })
}

// load takes what is in force into use. A set that does not load leaves the
// former one in use.
func (e *Engine) load(ctx context.Context, active Activation) error {
	old := e.active.Load()
	if old != nil && old.activation.Content == active.Content {
		e.unloaded = ""
		if old.activation.Number != active.Number {
			e.use(old.Set, active)
		}
		e.setStatus(func(s *Status) { s.Behind = "" })
		return nil
	}
	if e.unloaded == active.Content && e.now().Sub(e.loadedAt) < retryRefused {
		return fmt.Errorf("%s: %w", e.Status().Behind, gate.ErrConflict)
	}
	e.unloaded, e.loadedAt = active.Content, e.now()
	set, err := e.compile(ctx, active)
	if err == nil {
		e.unloaded = ""
		e.use(set, active)
		return nil
	}
	if ctx.Err() != nil {
		e.unloaded = ""
		return err
	}
	behind := fmt.Sprintf("activation %d (%s, by %s, tried by version %s) is in force and does not load here: %v",
		active.Number, active.Content.Short(), active.By, gate.Quoted(active.Program, 60), err)
	if old == nil {
		return fmt.Errorf("%s; run the version of digestgate that it was made for, or put the files of this one in force with \"digestgate policy activate\": %w",
			behind, errors.Join(gate.ErrConflict, err))
	}
	e.setStatus(func(s *Status) { s.Behind = behind })
	e.log.Error("the policies in force do not load, the former ones stay in use here", "activation", active.Number, "content", active.Content.Short(),
		"by", active.By, "program", active.Program, "inUse", old.activation.Number, "error", err.Error())
	return fmt.Errorf("%s: %w", behind, gate.ErrConflict)
}

// compile makes a set of an activation. What the same version of the program has
// tried is not tried again, so that a revocation need not wait for it.
func (e *Engine) compile(ctx context.Context, active Activation) (*Set, error) {
	if e.found != nil && e.found.content == active.Content {
		return e.found.Set, nil
	}
	files, err := active.Files()
	if err != nil {
		return nil, err
	}
	return e.try(ctx, files, active.Program != e.options.Program, true)
}

// use decides with a set from now on.
func (e *Engine) use(set *Set, active Activation) {
	next := &activeSet{Set: set, activation: active, revision: e.revisionOf(set)}
	e.active.Store(next)
	names := make([]string, len(set.files))
	for i, f := range canonical(set.files) {
		names[i] = f.Name
	}
	e.setStatus(func(s *Status) {
		s.Revision, s.Files, s.Rules, s.LoadedAt = next.revision, names, set.rules, e.now()
		s.Outdated = outdated(set.warnings)
		s.Activation, s.Content, s.ActivatedAt, s.By, s.Behind = active.Number, active.Content, active.ActivatedAt, active.By, ""
	})
	e.log.Info("policies loaded", "revision", next.revision, "activation", active.Number, "content", active.Content.Short(), "by", active.By,
		"files", len(names), "rules", set.rules)
	if len(set.warnings) > 0 {
		e.log.Error("this version finds mistakes in the policies in force and refuses new policies with such mistakes; run digestgate policy check and correct them",
			"activation", active.Number, "content", active.Content.Short(), "mistakes", len(set.warnings), "error", set.warnings.Error())
	}
}

// outdated says what is wrong with a set that is in force, "" for nothing.
func outdated(warnings Problems) string {
	if len(warnings) == 0 {
		return ""
	}
	return fmt.Sprintf("this version finds %d mistakes in the policies in force and refuses new policies with such mistakes; the first is %s; run \"digestgate policy check\" on the files and correct them",
		len(warnings), warnings[0])
}
