package advisory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Mirrors are the repositories of advisory data; scanner/advisory/download implements it
// through the adapter of the program.
type Mirrors interface {
	// Fetch downloads what the repositories offer, asked in their order. nil without an
	// error: what they offer is r.Settled. Errors: gate.ErrRegistryUnavailable (perhaps in a
	// gate.RetryAfterError), gate.ErrInvalid and gate.ErrIntegrity (nothing that they offer
	// can be used), gate.ErrResource (no room), gate.ErrTimeout.
	Fetch(ctx context.Context, r MirrorRequest) (*Download, error)
}

// MirrorRequest is what is wanted of the repositories.
type MirrorRequest struct {
	// Settled is the manifest that is not downloaded again.
	Settled gate.Digest
	// Digest asks for exactly this manifest, "" for what is offered now.
	Digest gate.Digest
	// Again also asks for what was refused, and those that rest.
	Again bool
	// Accept judges what was downloaded; an error that wraps gate.ErrInvalid has the next
	// repository asked.
	Accept func(ctx context.Context, d Download) error
}

// Download is data that has arrived: a directory below dataDir/advisories that belongs to
// the receiver.
type Download struct {
	Dir        string
	Repository string
	Manifest   gate.Digest // of the OCI artifact
	// Own says that the repository is marked as the operator's: no minimums are shipped
	// for it.
	Own     bool
	Discard func()
}

func (d Download) from() string { return d.Repository + "@" + string(d.Manifest) }

// Refresher brings generations by themselves. One process at a time asks the
// repositories, by a lease in the store, judges what they offer and puts it in force; all
// others, and each that has lost its files, get the generation in force from a process
// that keeps it, or by its digest from the repository that it came from. Data that cannot
// be had or is refused changes nothing: what is in force stays, and the state says why.
// All exported fields are set before Run and not changed.
type Refresher struct {
	Manager *Manager
	Mirrors Mirrors // nil: this process asks none
	// Sources are those of which generations are composed, besides what Mirrors have.
	Sources []Supplied
	// JavaMirrors are those of the index of Java archives, likewise.
	JavaMirrors Mirrors
	// Client asks other processes for their generations; nil asks none.
	Client *http.Client
	Store  agree.Store
	// Process names this process, uniquely; Address is the URL of its private listener for
	// others, "" for none.
	Process, Address string
	Every            time.Duration // between two times that the repositories are asked
	Log              *slog.Logger

	announcing   sync.Mutex // one at a time; guards the next three
	said         string     // announced last, and when
	saidAt       time.Time
	descriptions map[gate.Digest]heldGeneration

	retryAt map[gate.Digest]time.Time // of contents that could not be obtained
	tries   map[gate.Digest]int

	mu       sync.Mutex // guards progress
	progress *gate.AdvisoryDownload
	toldAt   time.Time
}

// refreshTick is how often a process looks whether there is something to do: three small
// values of the store.
const refreshTick = 2 * time.Second

// Run works until ctx ends. Failures are in the state and the log. A download, which takes
// long, runs beside what other processes learn from the store meanwhile.
func (r *Refresher) Run(ctx context.Context) {
	var turn sync.WaitGroup
	defer turn.Wait()
	free := make(chan struct{}, 1)
	free <- struct{}{}
	tick := time.NewTicker(refreshTick)
	defer tick.Stop()
	for {
		s, ok := r.tick(ctx)
		select {
		case <-free:
			turn.Go(func() {
				if ok {
					r.turn(ctx, s)
				}
				free <- struct{}{}
			})
		default: // it is still at the last one
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// seen is what one look at the store has shown.
type seen struct {
	now     time.Time // by the store's clock
	refresh refreshState
	orders  orders
}

// glance reads what all of a turn goes by. Errors: those of the store.
func (r *Refresher) glance(ctx context.Context) (s seen, err error) {
	if s.refresh, err = loadRefresh(ctx, r.Store); err != nil {
		return s, err
	}
	if s.orders, err = loadOrders(ctx, r.Store); err != nil {
		return s, err
	}
	s.now, err = r.Store.Now(ctx)
	return s, err
}

// trouble notes an error of the store, which reports its own outages.
func (r *Refresher) trouble(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.Log.Debug("looking at the state of advisory data", "error", err)
	}
}

// tick reads what a turn goes by, and tells of this process; ok is false when the store
// does not answer.
func (r *Refresher) tick(ctx context.Context) (s seen, ok bool) {
	s, err := r.glance(ctx)
	if err == nil {
		err = r.tell(ctx, s)
	}
	r.trouble(ctx, err)
	return s, err == nil
}

// Tell says in the store what this process keeps, and takes from there what it waits for.
func (r *Refresher) Tell(ctx context.Context) { r.tick(ctx) }

func (r *Refresher) tell(ctx context.Context, s seen) error {
	r.Manager.setOrders(s.orders)
	r.Manager.setRefresh(s.refresh, s.now)
	return r.announce(ctx, s.now)
}

// Turn does what is to be done now: it gets the generation in force if it is not here,
// and asks the repositories if that is due and no other process is at it.
func (r *Refresher) Turn(ctx context.Context) {
	s, err := r.glance(ctx)
	if err != nil {
		r.trouble(ctx, err)
		return
	}
	r.turn(ctx, s)
}

func (r *Refresher) turn(ctx context.Context, s seen) {
	r.trouble(ctx, r.obtain(ctx))
	r.trouble(ctx, r.ask(ctx, s))
}

// ask asks the repositories when that is due. The error is that of the store; what
// repositories answer is in the state. Of two processes that saw the same, one is first.
func (r *Refresher) ask(ctx context.Context, s seen) error {
	st, o, now := s.refresh, s.orders, s.now
	due, javaDue := (r.Mirrors != nil || r.composes()) && st.due(now, o, r.Every), r.JavaMirrors != nil && st.javaDue(now, o, r.Every)
	if !due && (!javaDue || r.Manager.Status().Generation.Number == 0) {
		return nil
	}
	r.Progress("", "asking", 0, 0)
	st.Holder, st.Until, st.Download = r.Process, now.Add(refreshLease), r.downloading()
	if err := st.save(ctx, r.Store); err != nil {
		if errors.Is(err, gate.ErrConflict) {
			return nil // another process was first
		}
		return err
	}
	was, out := st, outcome{}
	failed := agree.HoldLease(ctx, refreshLease, func(ctx context.Context) error { return r.renew(ctx, &st) }, func(ctx context.Context) (err error) {
		if due {
			out, err = r.refresh(ctx, was, o, now)
		}
		out.unasked, out.served = !due, o.Asked
		if javaDue && ctx.Err() == nil && r.Manager.Status().Generation.Number > 0 {
			out.java = r.refreshJava(ctx, was, o, now)
		}
		return err
	})
	if errors.Is(failed, gate.ErrFenced) {
		return failed // another process has the state now
	}
	return r.finish(ctx, st, out, failed)
}

func (r *Refresher) renew(ctx context.Context, st *refreshState) error {
	now, err := r.Store.Now(ctx)
	if err != nil {
		return err
	}
	next := *st
	next.Until, next.Download = now.Add(refreshLease), r.downloading()
	if err := next.save(ctx, r.Store); err != nil {
		return err
	}
	*st = next
	return nil
}

// finish records how an attempt ended. One that was cut off by a stop counts as none:
// another process takes it up.
func (r *Refresher) finish(ctx context.Context, st refreshState, out outcome, failed error) error {
	stopped := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	now, err := r.Store.Now(ctx)
	if err != nil {
		return err
	}
	st.Holder, st.Until, st.Download = "", time.Time{}, nil
	if !stopped && out.java != nil {
		st.Java, st.Served = *out.java, out.served
	}
	if !stopped && !out.unasked {
		st.CheckedAt, st.CheckedBy, st.Served = now.UTC(), r.Process, out.served
		if out.settled != "" {
			st.Settled = out.settled
		}
		if out.offered != nil {
			st.Offered = out.offered
		}
		st.Mirrors = r.mirrors(st.Mirrors)
		r.sayOutcome(&st, failed)
		st.NextAt = now.Add(st.wait(failed, r.Every, r.Manager.Status().Generation.Number > 0)).UTC()
		if out.sources != nil {
			st.Sources = out.sources
		}
		st.NextAt = nextOf(st.Sources, st.NextAt)
	}
	if err := st.save(ctx, r.Store); err != nil {
		return err
	}
	r.Manager.setRefresh(st, now)
	return nil
}

// sayOutcome counts failures and says each new one once.
func (r *Refresher) sayOutcome(st *refreshState, failed error) {
	if failed == nil {
		if st.Failures > 0 {
			r.Log.Info("the repositories of advisory data answer again", "failures", st.Failures)
		}
		st.Failures, st.Problem = 0, ""
		return
	}
	problem := gate.Printable(failed.Error(), 500)
	if st.Failures == 0 || problem != st.Problem {
		r.Log.Warn("no newer advisory data could be had, the present stays", "error", problem)
	}
	st.Failures++
	st.Problem = problem
}

// Progress notes how far a download is; it may be called from any goroutine.
func (r *Refresher) Progress(repository, doing string, done, total int64) {
	now := r.Manager.now()
	r.mu.Lock()
	if r.progress == nil || doing == "asking" && r.progress.Doing != doing {
		r.progress, r.toldAt = &gate.AdvisoryDownload{By: r.Process, Since: now.UTC()}, now
	}
	p := *r.progress
	p.Repository, p.Doing, p.Done, p.Total = repository, doing, done, total
	r.progress = &p
	tell := now.Sub(r.toldAt) >= tellEvery
	if tell {
		r.toldAt = now
	}
	r.mu.Unlock()
	if tell {
		r.Log.Info("advisory data is on its way", "progress", progressText(p), "since", p.Since)
	}
}

// tellEvery is how often the log says how far a download is.
const tellEvery = 10 * time.Second

func (r *Refresher) downloading() *gate.AdvisoryDownload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}

// errMeanwhile: another generation came into force while this one was downloaded.
func errMeanwhile(number int64) error {
	return fmt.Errorf("generation %d came into force while newer data was downloaded; it is asked for again: %w", number, gate.ErrConflict)
}
