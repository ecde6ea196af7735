package runtimes

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "seed of the random stacks; 0 takes a new one")
	forFlag    = flag.Duration("for", 10*time.Second, "how long random stacks are drawn")
	firstFlag  = flag.Int("first", 0, "number of the first stack")
	stacksFlag = flag.Int("stacks", 1<<30, "how many stacks, at most")
)

// maxFailures is how many counter-examples are printed.
const maxFailures = 10

// TestStacks is the property test. Its time is bounded, so that a run of it can
// be repeated only with the seed, the number of the stack, and -stacks 1.
func TestStacks(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	r := &run{seed: seed, end: time.Now().Add(*forFlag), next: *firstFlag, last: *firstFlag + *stacksFlag}
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := With(r.work); err != nil {
				t.Error(err)
			}
		}()
	}
	wait.Wait()
	t.Logf("seed %d: %s", seed, &r.count)
	for _, f := range r.failures {
		t.Error(f)
	}
	if r.count.stacks == 0 {
		t.Error("no stack was tried")
	}
}

// run is what the workers share.
type run struct {
	seed uint64
	end  time.Time

	mu         sync.Mutex
	next, last int
	count      count
	failures   []string
}

func (r *run) take() (n int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next >= r.last || time.Now().After(r.end) || len(r.failures) >= maxFailures {
		return 0, false
	}
	r.next++
	return r.next - 1, true
}

func (r *run) work(b *Bench) error {
	for {
		n, ok := r.take()
		if !ok {
			return nil
		}
		s := Draw(r.seed, n)
		o, err := b.try(s)
		if err != nil {
			return fmt.Errorf("stack %d of seed %d: %w\n%s", n, r.seed, err, s)
		}
		r.mu.Lock()
		r.count.add(o)
		r.mu.Unlock()
		if len(o.violations) == 0 {
			continue
		}
		kind := class(o.violations[0])
		s = Shrink(s, func(s Stack) bool {
			o, err := b.try(s)
			return err == nil && slices.ContainsFunc(o.violations, func(v string) bool { return class(v) == kind })
		})
		o, err = b.try(s)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.failures = append(r.failures, fmt.Sprintf("stack %d of seed %d, shrunk:\n%s\n%s\n\n%s", n, r.seed, strings.Join(o.violations, "\n"), s, table(o.shown)))
		r.mu.Unlock()
	}
}

// class is the kind of violation, which does not change while it is shrunk.
func class(violation string) string {
	kind, _, _ := strings.Cut(violation, ":")
	return kind
}

// outcome is what came of one stack.
type outcome struct {
	shown      map[string]Shown
	judgement  Judgement
	violations []string
}

// try unpacks a stack in every rig and compares.
func (b *Bench) try(s Stack) (o outcome, err error) {
	archives, err := s.Archives()
	if err != nil {
		return o, err
	}
	if o.shown, err = b.show(s, archives); err != nil {
		return o, err
	}
	allowed, err := b.allowed(s, Content)
	if err != nil {
		return o, err
	}
	if o.judgement, err = Judge(archives); err != nil {
		return o, err
	}
	o.violations = Compare(s, o.shown, allowed, o.judgement)
	return o, nil
}

// allowed is what the rigs show of a stack without its null devices, nothing when
// it has none. The entries keep the contents that they have in the stack.
func (b *Bench) allowed(s Stack, content func(layer, entry int) string) (map[string]Shown, error) {
	without, has := s.WithoutNullDevices()
	if !has {
		return nil, nil
	}
	archives := make([][]byte, len(s))
	for i := range without {
		var kept []int // which entry each one is in s
		for j, e := range s[i] {
			if !e.null() {
				kept = append(kept, j)
			}
		}
		var err error
		if archives[i], err = without.Archive(i, func(layer, entry int) string { return content(layer, kept[entry]) }); err != nil {
			return nil, err
		}
	}
	return b.show(s, archives)
}

// count is what a run is told by.
type count struct{ stacks, agree, refused, unassessable, unassessableNone int }

func (c *count) add(o outcome) {
	c.stacks++
	runs := slices.ContainsFunc(Rigs(), func(r Rig) bool { return o.shown[r.Name].Refused == nil })
	if Agree(o.shown) {
		c.agree++
	}
	if !runs {
		c.refused++
	}
	if o.judgement.Unassessable != "" {
		c.unassessable++
		if !runs {
			c.unassessableNone++
		}
	}
}

func (c *count) String() string {
	share := func(n int) string { return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(max(c.stacks, 1))) }
	return fmt.Sprintf("%d stacks; all rigs agree on %s; no rig accepts %s; unassessable %s, of which some rig accepts %s",
		c.stacks, share(c.agree), share(c.refused), share(c.unassessable), share(c.unassessable-c.unassessableNone))
}
