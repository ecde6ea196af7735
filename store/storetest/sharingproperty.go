package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

// stall is how long a job holds its slot when a registry stops in the middle of a
// body (scanner/registry, timeouts.idle).
const stall = 30 * time.Second

// healthy is the registry that answers.
const healthy = "healthy"

// world is workers' slots over registries of which all but one stall.
type world struct {
	*env
	slots  []*slot
	quick  time.Duration // for a job of the healthy registry
	ids    []string      // of all jobs
	claims []gate.Job    // in their order
	starts []time.Time
	mixed  bool                       // jobs are of several classes
	single bool                       // each slot is a worker of its own
	passed map[string]map[string]bool // registry without a running job that waits: those that had a turn meanwhile
}

type slot struct {
	job  gate.Job
	ends time.Time // zero: free
}

func newWorld(e *env, slots int, quick time.Duration) *world {
	w := &world{env: e, quick: quick, passed: map[string]map[string]bool{}}
	for range slots {
		w.slots = append(w.slots, &slot{})
	}
	return w
}

func (w *world) ask(registry, repository string, i int, trigger gate.Trigger) {
	job := w.enqueue(at(registry, repository, fmt.Sprint(registry, repository, i), trigger), gate.EnqueuedNew)
	w.ids = append(w.ids, job.ID)
}

// waiting lists the jobs that may be claimed now.
func (w *world) waiting() (list []gate.Job) {
	jobs, err := w.s.Jobs(w.ctx, w.ids)
	w.no(err)
	for _, job := range jobs {
		if job.State == gate.JobQueued && !job.NotBefore.After(w.now()) {
			list = append(list, job)
		}
	}
	return list
}

// held counts the slots of each registry and repository, by Location.
func (w *world) held() (busy int, registries map[string]int, places map[gate.Location]int) {
	registries, places = map[string]int{}, map[gate.Location]int{}
	for _, s := range w.slots {
		if !s.ends.IsZero() {
			busy++
			registries[s.job.Location.Registry]++
			places[s.job.Location]++
		}
	}
	return busy, registries, places
}

// fill lets every free slot claim.
func (w *world) fill() {
	for _, s := range w.slots {
		if !s.ends.IsZero() {
			continue
		}
		waiting := w.waiting()
		busy, registries, places := w.held()
		req := claimRequest()
		req.Lease = time.Hour
		req.Single = w.single
		if !w.single && busy > 0 && busy == len(w.slots)-1 && len(registries) == 1 {
			for req.Yielding = range registries {
			}
		}
		job, err := w.s.Claim(w.ctx, req)
		if errors.Is(err, gate.ErrNoJob) {
			return
		}
		w.no(err)
		w.check(job, waiting, busy, registries[job.Location.Registry], places[job.Location])
		w.checkTurn(job, waiting, registries)
		s.job, s.ends = job, w.now().Add(stall)
		if job.Location.Registry == healthy {
			s.ends = w.now().Add(w.quick)
		}
		w.claims, w.starts = append(w.claims, job), append(w.starts, w.now())
	}
}

// check checks a claim: busy slots were taken before it, those of its registry and
// of its repository among them.
func (w *world) check(job gate.Job, waiting []gate.Job, busy, ofRegistry, ofPlace int) {
	anotherRegistry := slices.ContainsFunc(waiting, func(o gate.Job) bool { return o.Location.Registry != job.Location.Registry })
	last := w.single && busy > 0 || len(w.slots) > 1 && busy == len(w.slots)-1 // as far as a claim can know
	if last && ofRegistry == busy && anotherRegistry {
		w.Fatalf("registry %q got all %d slots while another waited", job.Location.Registry, busy+1)
	}
	if w.mixed {
		return
	}
	anotherPlace := slices.ContainsFunc(waiting, func(o gate.Job) bool {
		return o.Location.Registry == job.Location.Registry && o.Location != job.Location && o.Tried == job.Tried
	})
	if ofRegistry > 0 && ofPlace == ofRegistry && anotherPlace {
		w.Fatalf("repository %q got all %d slots of its registry while another waited", job.Location, ofRegistry+1)
	}
}

// checkTurn checks that no registry has two turns while another one, without a
// running job, waits for one.
func (w *world) checkTurn(job gate.Job, waiting []gate.Job, running map[string]int) {
	if w.mixed {
		return
	}
	waits := map[string]bool{}
	for _, o := range waiting {
		if r := o.Location.Registry; !o.Tried && running[r] == 0 && r != job.Location.Registry {
			waits[r] = true
		}
	}
	maps.DeleteFunc(w.passed, func(r string, _ map[string]bool) bool { return !waits[r] })
	for r := range waits {
		if w.passed[r][job.Location.Registry] {
			w.Fatalf("registry %q had two turns while %q waited for one", job.Location.Registry, r)
		}
		if w.passed[r] == nil {
			w.passed[r] = map[string]bool{}
		}
		w.passed[r][job.Location.Registry] = true
	}
}

// step fills the slots and continues to the next end of a job, at most until a time.
func (w *world) step(until time.Time) {
	w.fill()
	next := until
	for _, s := range w.slots {
		if !s.ends.IsZero() && s.ends.Before(next) {
			next = s.ends
		}
	}
	w.advance(max(next.Sub(w.now()), 0))
	for _, s := range w.slots {
		if s.ends.IsZero() || s.ends.After(w.now()) {
			continue
		}
		if s.job.Location.Registry == healthy {
			w.finish(s.job, nil, gate.JobDone)
		} else {
			w.finish(s.job, fmt.Errorf("no byte for %s: %w", stall, gate.ErrRegistryUnavailable), gate.JobQueued)
		}
		s.ends = time.Time{}
	}
}

func (w *world) runUntil(t time.Time) {
	for w.now().Before(t) {
		w.step(t)
	}
}

// pass lets each registry have a turn, in a random order.
func (w *world) pass(rt *rapid.T, registries []string) {
	for _, r := range rapid.Permutation(registries).Draw(rt, "past") {
		w.enqueue(at(r, "past", r, gate.TriggerPush), gate.EnqueuedNew)
		w.finish(w.claim(), nil, gate.JobDone)
		w.advance(time.Second)
	}
}

// sharingProperty: of k registries all but one stall, with n images in each of m
// repositories, and a few of them come after the healthy one. The first job of that
// is taken within two claims, and two for each that came after it: with two slots
// or more it starts within one stall of being asked for when none did. With a
// single slot it starts within k stalls. While it waits it gets every k-th claim.
// None of this depends on the turns that were before.
func sharingProperty(e *env, rt *rapid.T) {
	slots := rapid.IntRange(1, 4).Draw(rt, "slots")
	k := rapid.IntRange(2, 12).Draw(rt, "registries")
	m := rapid.IntRange(1, 2).Draw(rt, "repositories")
	n := rapid.IntRange(1, 3).Draw(rt, "images")
	after := rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(rt, "after")
	after = min(after, k-1)
	w := newWorld(e, slots, time.Duration(rapid.IntRange(1, 30).Draw(rt, "quick"))*time.Second)
	stalling := []string{}
	for r := range k - 1 {
		stalling = append(stalling, name("stalls", r))
	}
	if rapid.Bool().Draw(rt, "had turns") {
		w.pass(rt, append([]string{healthy}, stalling...))
	}
	push := func(registries []string) {
		for i := range n {
			for _, r := range registries {
				for p := range m {
					w.ask(r, name("repository", p), i, gate.TriggerPush)
				}
			}
		}
	}
	push(stalling[after:])
	w.runUntil(e.now().Add(time.Duration(rapid.IntRange(0, 200).Draw(rt, "later")) * time.Second))
	asked, before := e.now(), len(w.claims)
	images := rapid.IntRange(1, 8).Draw(rt, "healthy")
	for i := range images {
		w.ask(healthy, name("repository", i%m), i, gate.TriggerPush)
	}
	push(stalling[:after])

	first := min(2+2*after, k) // claims until it has its first
	bound := time.Duration((first+slots-1)/slots) * stall
	end := asked.Add(time.Duration(k*(images+1)) * stall * 2)
	got := 0
	for i := before; got < images; i++ {
		for len(w.claims) <= i {
			if !e.now().Before(end) {
				e.Fatalf("%d of %d jobs of the healthy registry were claimed after %s", got, images, end.Sub(asked))
			}
			w.step(end)
		}
		claims := i - before + 1
		if w.claims[i].Location.Registry == healthy {
			if got++; got == 1 && (claims > first || w.starts[i].Sub(asked) > bound) {
				e.Fatalf("its first job was claim %d after %s, want %d after %s at most", claims, w.starts[i].Sub(asked), first, bound)
			}
		}
		if got*k <= claims-k {
			e.Fatalf("it got %d of %d claims beside %d registries", got, claims, k-1)
		}
	}
}

// turnsProperty: however images arrive, no registry has two turns while another
// waits for one.
func turnsProperty(e *env, rt *rapid.T) {
	w := newWorld(e, rapid.IntRange(1, 4).Draw(rt, "slots"), 5*time.Second)
	names := []string{healthy, "a", "b", "c", "d", "e", "f"}
	for i := range rapid.IntRange(4, 40).Draw(rt, "images") {
		w.ask(rapid.SampledFrom(names).Draw(rt, "registry"), "app", i, gate.TriggerPush)
		if rapid.Bool().Draw(rt, "time") {
			w.runUntil(e.now().Add(10 * time.Second))
		}
	}
	w.runUntil(e.now().Add(5 * time.Minute))
}

// classSharingProperty: whatever the classes, a registry never gets the last slot
// of a worker that has given it all others while another one waits; of workers of
// one slot, it never gets a second one while it has all that are in use.
func classSharingProperty(e *env, rt *rapid.T) {
	w := newWorld(e, rapid.IntRange(2, 4).Draw(rt, "slots"), 5*time.Second)
	w.mixed, w.single = true, rapid.Bool().Draw(rt, "single")
	triggers := rapid.SampledFrom([]gate.Trigger{gate.TriggerAdmission, gate.TriggerPush, gate.TriggerSync})
	for i := range rapid.IntRange(4, 30).Draw(rt, "jobs") {
		registry := rapid.SampledFrom([]string{"stalls", "stands", healthy}).Draw(rt, "registry")
		w.ask(registry, "app", i, triggers.Draw(rt, "trigger"))
		if rapid.Bool().Draw(rt, "time") {
			w.runUntil(e.now().Add(10 * time.Second))
		}
	}
	w.runUntil(e.now().Add(5 * time.Minute))
}
