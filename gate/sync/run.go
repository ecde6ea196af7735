package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// syncRun is one attempt at a run. The state belongs to mu, because the lease
// is renewed beside the work.
type syncRun struct {
	*Syncer
	registry gate.Registry

	mu      sync.Mutex
	state   syncState
	renewed time.Time // of this machine, when the state was last written
}

// change alters the state; it is written with the next renewal or save.
func (r *syncRun) change(f func(*syncState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.state)
}

// write saves the state with a fresh lease. ErrFenced: another replica has the
// run.
func (r *syncRun) write(ctx context.Context) error {
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Until, r.state.Updated = now.Add(syncLease), now
	err = r.save(ctx, r.registry.Name, &r.state)
	if errors.Is(err, gate.ErrConflict) {
		return fmt.Errorf("%w: %w", err, gate.ErrFenced)
	}
	if err == nil {
		r.renewed = time.Now()
	}
	return err
}

func (r *syncRun) age() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.renewed)
}

// all compares the repositories after the cursor.
func (r *syncRun) all(ctx context.Context) error {
	repositories, err := r.repositories(ctx)
	if err != nil {
		return err
	}
	from := r.state.Cursor // nobody else writes it
	var last error
	failed := 0 // in a row
	for _, repo := range repositories {
		if repo <= from {
			continue
		}
		err := r.repository(ctx, gate.Location{Registry: r.registry.Name, Repository: repo})
		switch {
		case err == nil:
		case !perRepository(ctx, err):
			return err
		case errors.Is(err, gate.ErrRegistryUnavailable):
			// The cursor stays in front of the first of them, for the next
			// attempt; which tries more, so that a few broken repositories
			// cannot hold up the rest for ever.
			last = err
			if failed++; failed >= syncFailing*r.state.Attempt {
				return err
			}
		}
		if err != nil {
			r.problem(repo, err)
			if errors.Is(err, gate.ErrRegistryUnavailable) {
				r.change(func(st *syncState) { st.Unread++ })
				continue
			}
		}
		failed = 0
		if err := r.passed(ctx, repo); err != nil {
			return err
		}
	}
	if failed > 0 && (r.state.Attempt < syncFailing || r.state.Counts.Done == 0) {
		return last
	}
	return nil
}

// problem notes why a repository was not compared, or not in whole.
func (r *syncRun) problem(repo string, err error) {
	r.change(func(st *syncState) {
		st.Counts.Problems++
		st.Error = gate.Printable(fmt.Sprintf("repository %s: %v", gate.Quoted(repo, 255), err), 500)
	})
	r.metrics.syncProblem(r.registry.Name)
	r.log.Warn("repository cannot be synchronised", "registry", r.registry.Name, "repository", repo, "error", err)
}

// passed moves the cursor and writes it, but not more often than saveEvery.
func (r *syncRun) passed(ctx context.Context, repo string) error {
	r.change(func(st *syncState) {
		st.Cursor, st.Attempt = repo, 1
		st.Counts.Done++
	})
	if r.age() < r.saveEvery {
		return nil
	}
	return r.write(ctx)
}

// perRepository reports whether an error is about one repository, so that the
// others can be compared.
func perRepository(ctx context.Context, err error) bool {
	if _, asked := gate.RetryAfter(err); asked || ctx.Err() != nil {
		return false
	}
	return gate.OfContent(err) || errors.Is(err, gate.ErrRefInvalid) || // its name is one that no node accepts
		gate.Any(err, func(c gate.ErrorClass) bool { return c.Fault == gate.FaultRegistry })
}

// repositories are those that the registry lists and those in which tags are
// known: a repository that vanished from the list is looked at as well.
func (r *syncRun) repositories(ctx context.Context) ([]string, error) {
	list, err := r.source.Repositories(ctx, r.registry.Name)
	if err != nil {
		return nil, err
	}
	known, err := r.known.Repositories(ctx, r.registry.Name)
	if err != nil {
		return nil, err
	}
	all := list.Names
	for _, repo := range known {
		if r.registry.Takes(repo) {
			all = append(all, repo)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	r.change(func(st *syncState) { st.Counts.Repositories, st.Note = len(all), gate.Printable(list.Note, 500) })
	return all, r.write(ctx)
}

// finish records how the attempt ended, also while stopping.
func (r *syncRun) finish(ctx context.Context, outcome error) error {
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	now, err := r.store.Now(ctx)
	if err != nil {
		return fmt.Errorf("ending the synchronisation of %q: %w", r.registry.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := &r.state
	st.Holder, st.Updated = "", now
	switch {
	case outcome == nil:
		st.Done, st.Ended, st.Cursor = true, now, ""
		st.LastTags = st.Started
		if st.Full {
			st.LastFull, st.FullAgain = st.Started, time.Time{}
			if st.Unread > 0 {
				st.FullAgain = now.Add(syncFullAgain)
			}
		}
		if st.Counts.Problems == 0 {
			st.Error = ""
		}
		r.metrics.synced(r.registry.Name, st.LastTags, st.LastFull)
		r.metrics.syncAttempt(r.registry.Name, syncEnded)
		r.log.Info("synchronisation ends", "registry", r.registry.Name, "full", st.Full, "duration", now.Sub(st.Started),
			"repositories", st.Counts.Done, "tags", st.Counts.Tags, "queued", st.Counts.Queued, "problems", st.Counts.Problems)
	case stopping:
		st.Until = now
		st.Attempt-- // nobody's fault
		r.metrics.syncAttempt(r.registry.Name, syncStopped)
		r.log.Info("synchronisation stopped, it continues later", "registry", r.registry.Name)
	default:
		asked, _ := gate.RetryAfter(outcome)
		wait := max(syncRest(st.Attempt), asked)
		st.Until, st.Error = now.Add(wait), gate.Printable(outcome.Error(), 500)
		r.metrics.syncAttempt(r.registry.Name, syncFailed)
		r.log.Warn("synchronisation waits, it continues later", "registry", r.registry.Name, "wait", wait, "attempt", st.Attempt, "error", outcome)
	}
	if err := r.save(ctx, r.registry.Name, st); err != nil && !errors.Is(err, gate.ErrConflict) {
		return fmt.Errorf("ending the synchronisation of %q: %w", r.registry.Name, err)
	}
	return nil
}

// syncRest is how long a run waits after its nth attempt without progress.
func syncRest(n int) time.Duration {
	d := syncFirstRest
	for ; n > 1 && d < syncLongestRest; n-- {
		d *= 2
	}
	return min(d, syncLongestRest)
}
