package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Decider answers for one reference; lookup.Lookup implements it. An answer that
// does not permit (see gate.Answer.Permits) refuses, whatever its fields say.
// It may be called from several goroutines at once and should return when ctx
// ends; when it does not, the review is answered all the same, and the place
// that the review holds stays taken until it returns.
type Decider interface {
	// Decide answers whether the reference may run for the request. It returns no
	// error: a failure is an Answer with its code, and refuses.
	Decide(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer
}

// A Together is a Decider that reads once for all references of a review;
// lookup.Lookup implements it.
type Together interface {
	// Rounds begins the answers for the references of one review. It reads nothing
	// itself and does not wait.
	Rounds(refs []gate.Reference) gate.Rounds
}

// alone are the rounds of a Decider that looks at each reference for itself.
type alone struct{ Decider }

func (alone) Read(context.Context) {}

func (a alone) Decide(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	return a.Decider.Decide(ctx, ref, req), true
}

// Limits of one review.
const (
	// maxPlaces bounds containers and image volumes, maxImages the distinct references
	// among them. No cluster runs Pods of that size; the node's own limits end far
	// below.
	maxPlaces = 1000
	maxImages = 200
	// parallel is how many references of one review are looked up at once: a
	// store takes about as many connections from one replica, and a Pod has
	// rarely more images.
	parallel = 8
)

// checkedPlace is a place and what was found about its image.
type checkedPlace struct {
	place
	answer gate.Answer
	kept   bool // the request leaves it as it was: it cannot refuse
}

// blank: the image is to be filled in before there is a Pod.
func (j checkedPlace) blank() bool { return strings.TrimSpace(j.image) == "" }

// group is one reference and the indexes of the places that name it: the first, and
// nearly always no other.
type group struct {
	ref   gate.Reference
	first int
	rest  []int
}

func (g group) len() int { return 1 + len(g.rest) }

func (g group) at(n int) int {
	if n == 0 {
		return g.first
	}
	return g.rest[n-1]
}

// from is the group without the places before the n-th.
func (g group) from(n int) group {
	if n == 0 {
		return g
	}
	return group{g.ref, g.rest[n-1], g.rest[n:]}
}

// stage asks for every place of a list, for each distinct reference once.
type stage struct {
	places []place        // of the whole object
	out    []checkedPlace // likewise
	rounds gate.Rounds
	groups []group // without an answer
}

// newStage begins to ask for the places of some indexes. What cannot be asked for is
// answered. The error is ErrTooLarge.
func newStage(d Decider, places []place, indexes []int, out []checkedPlace) (stage, error) {
	s := stage{places: places, out: out}
	if len(indexes) == 0 {
		return s, nil
	}
	var err error
	if s.groups, err = sortOut(places, indexes, out); err != nil {
		return stage{}, err
	}
	s.rounds = roundsOf(d, s.groups)
	return s, nil
}

// open is 1 while there are references without an answer.
func (s *stage) open() int { return min(len(s.groups), 1) }

// atOnce answers what needs nothing to be read, or nothing but the word of the store that
// what is in memory holds, for which it waits until a time at the latest. The goroutine of
// the review does it.
func (s *stage) atOnce(ctx context.Context, req gate.Request, until time.Time) {
	prompt, ok := s.rounds.(gate.Prompt)
	if !ok || len(s.groups) == 0 {
		return
	}
	if proving, ok := prompt.(gate.Proving); ok && !prove(ctx, proving, until) {
		return
	}
	left := s.groups[:0]
	for _, g := range s.groups {
		for n := range g.len() {
			at := g.at(n)
			answer, ok := askAtOnce(ctx, prompt, g.ref, forContainer(req, &s.places[at]))
			if !ok {
				left = append(left, g.from(n))
				break
			}
			s.out[at].answer = answer
			g.ref = pinned(g.ref, answer)
		}
	}
	s.groups = left
}

// prove reports whether AtOnce may be asked; a panic is a bug, and no proof.
func prove(ctx context.Context, p gate.Proving, until time.Time) (ok bool) {
	defer func() {
		if recover() != nil { // Read does the same with a name for it
			ok = false
		}
	}()
	p.Prove(ctx, until)
	return true
}

// pinned: what the first asked resolved, the others of the group share. One review
// never judges two digests for one tag.
func pinned(ref gate.Reference, a gate.Answer) gate.Reference {
	if ref.Digest == "" && a.Digest.Valid() {
		return ref.Pin(a.Digest)
	}
	return ref
}

// finish asks for what is left, and returns when all is answered or ctx ends; then the
// missing ones are CodeTimeout. It is one stage of the review's stay, which may end
// later than finish returns.
func (s *stage) finish(ctx context.Context, req gate.Request, held *stay) {
	missing := 0
	for _, g := range s.groups {
		missing += g.len()
	}
	if missing == 0 {
		return
	}
	// Room for every answer: whoever comes late blocks nowhere.
	q := &questions{groups: s.groups, places: s.places, request: req, results: make(chan result, missing), rounds: s.rounds}
	q.start(ctx, held, held.begin(min(parallel, len(s.groups))), 1)
	waits := make([]int, 0, missing)
	for _, g := range s.groups {
		for n := range g.len() {
			waits = append(waits, g.at(n))
		}
	}
	for missing > 0 {
		select {
		case r := <-q.results:
			s.out[r.place].answer = r.answer
			missing--
		case <-ctx.Done():
			for len(q.results) > 0 { // only this goroutine receives
				r := <-q.results
				s.out[r.place].answer = r.answer
			}
			timeOut(s.out, waits, context.Cause(ctx))
			return
		}
	}
}

// roundsOf begins the rounds of the references.
func roundsOf(d Decider, groups []group) gate.Rounds {
	t, ok := d.(Together)
	if !ok || len(groups) == 0 {
		return alone{d}
	}
	refs := make([]gate.Reference, len(groups))
	for i, g := range groups {
		refs[i] = g.ref
	}
	return t.Rounds(refs)
}

// questions are the references of a review that have no answer yet. Nothing of it
// changes but next in one round; the round after it has its own.
type questions struct {
	rounds  gate.Rounds
	groups  []group
	places  []place
	request gate.Request
	results chan result

	next atomic.Int32 // of groups
	read sync.Once
	bug  error // of reading

	mu    sync.Mutex
	left  int     // workers
	again []group // for the next round
}

type result struct {
	place  int
	answer gate.Answer
}

// start has workers answer a round. The last of them starts the next one, if there is
// to be one, before it leaves, so that the review keeps what it holds.
func (q *questions) start(ctx context.Context, held *stay, workers []*worker, round int) {
	q.left = len(workers)
	for _, w := range workers {
		go func() {
			defer w.leave()
			q.work(gate.WithWaiter(ctx, w.wait), round)
			if again := q.end(); len(again) > 0 && ctx.Err() == nil {
				n := &questions{rounds: q.rounds, groups: again, places: q.places, request: q.request, results: q.results}
				n.start(ctx, held, held.more(min(parallel, len(again))), round+1)
			}
		}()
	}
}

// end is the end of one worker; the last is told what the next round is for.
func (q *questions) end() []group {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.left--; q.left > 0 {
		return nil
	}
	return q.again
}

// work asks until nothing is left or ctx ends.
func (q *questions) work(ctx context.Context, round int) {
	q.read.Do(func() { q.bug = readAhead(ctx, q.rounds) })
	for {
		i := int(q.next.Add(1)) - 1
		if i >= len(q.groups) || ctx.Err() != nil {
			return
		}
		g := q.groups[i]
		for n := range g.len() {
			at := g.at(n)
			answer, ok := q.ask(ctx, g.ref, forContainer(q.request, &q.places[at]), round)
			if !ok {
				q.mu.Lock()
				q.again = append(q.again, g.from(n))
				q.mu.Unlock()
				break
			}
			q.results <- result{at, answer}
			g.ref = pinned(g.ref, answer)
		}
	}
}

// readAhead reads for a round; a panic in it is a bug, and no answer.
func readAhead(ctx context.Context, r gate.Rounds) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading what a review needs: panic: %v\n%s", p, debug.Stack())
		}
	}()
	r.Read(ctx)
	return nil
}

// forContainer is the request with the name of the container or volume.
func forContainer(req gate.Request, p *place) gate.Request {
	req.Container = p.name
	return req
}

// fewPlaces is up to where comparing each image with all before it is quicker than a
// map; nearly all Pods have fewer.
const fewPlaces = 16

// sortOut parses the references of the places of some indexes: what cannot be asked for
// is answered in out, the rest is grouped by what is written.
func sortOut(places []place, indexes []int, out []checkedPlace) ([]group, error) {
	groups := make([]group, 0, min(len(indexes), maxImages))
	// By the first place that names an image: its group, or -1 without one.
	var few [fewPlaces]int
	groupOf, distinct := few[:], 0
	var firsts map[string]int
	if len(indexes) > fewPlaces {
		groupOf, firsts = make([]int, len(indexes)), make(map[string]int, maxImages)
	}
	for n, i := range indexes {
		p := &places[i]
		out[i].place = *p
		first, again := firsts[p.image]
		for m := 0; firsts == nil && m < n && !again; m++ {
			first, again = m, places[indexes[m]].image == p.image
		}
		if again {
			if at := groupOf[first]; at >= 0 {
				groups[at].rest = append(groups[at].rest, i)
			} else {
				out[i].answer = out[indexes[first]].answer
			}
			continue
		}
		if distinct == maxImages {
			return nil, fmt.Errorf("request.object has more than %d different images: %w", maxImages, gate.ErrTooLarge)
		}
		distinct++
		if firsts != nil {
			firsts[p.image] = n
		}
		ref, err := gate.ParseReference(p.image)
		if err != nil {
			out[i].answer, groupOf[n] = refReason(err), -1
			continue
		}
		groupOf[n] = len(groups)
		groups = append(groups, group{ref: ref, first: i})
	}
	return groups, nil
}

func refReason(err error) gate.Answer {
	a := refusedFor(err)
	var refErr *gate.ReferenceError
	if errors.As(err, &refErr) {
		a.Text = refusal.Say(refusal.Detail, refusal.P{"text": refErr.Reason})
	}
	return a
}

// ask asks for one reference and checks that its answer is one. ok is false when it
// has none in this round.
func (q *questions) ask(ctx context.Context, ref gate.Reference, req gate.Request, round int) (a gate.Answer, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			a, ok = refusedFor(fmt.Errorf("deciding about %q: panic: %v\n%s", ref.String(), p, debug.Stack())), true
		}
	}()
	if q.bug != nil {
		return refusedFor(q.bug), true
	}
	a, ok = q.rounds.Decide(ctx, ref, req)
	switch {
	case ok:
		return consistent(a, ref), true
	case round < gate.MaxRounds:
		return gate.Answer{}, false
	}
	return refusedFor(fmt.Errorf("deciding about %q: no answer after %d rounds", ref.String(), round)), true
}

// askAtOnce asks for one reference that may need nothing to be read.
func askAtOnce(ctx context.Context, prompt gate.Prompt, ref gate.Reference, req gate.Request) (a gate.Answer, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			a, ok = refusedFor(fmt.Errorf("deciding about %q: panic: %v\n%s", ref.String(), p, debug.Stack())), true
		}
	}()
	if a, ok = prompt.AtOnce(ctx, ref, req); !ok {
		return gate.Answer{}, false
	}
	return consistent(a, ref), true
}

// consistent turns an answer that contradicts itself into CodeInternal: an allow
// without evidence, a refusal without a reason, a digest that is not the one
// asked for.
func consistent(a gate.Answer, ref gate.Reference) gate.Answer {
	if a.Permits() && (ref.Digest == "" || ref.Digest == a.Digest) {
		return a
	}
	if _, known := codes[a.Code]; known && a.Outcome != gate.OutcomeAllow && a.Outcome != gate.OutcomeWarn {
		if a.Outcome == "" {
			a.Outcome = gate.OutcomeNone
		}
		return a
	}
	// The error is not wrapped: whatever its class, this is a bug.
	return refusedFor(fmt.Errorf("deciding about %q: contradictory answer: outcome %q, code %q, digest %q, error %v",
		ref.String(), a.Outcome, a.Code, a.Digest, a.Err))
}

// refusedFor is the answer for an error, without an outcome.
func refusedFor(err error) gate.Answer {
	return gate.Answer{Outcome: gate.OutcomeNone, Code: gate.CodeOf(err), Err: err}
}

// timeOut answers for those of some places that have no answer yet.
func timeOut(out []checkedPlace, waits []int, cause error) {
	for _, i := range waits {
		if out[i].answer.Outcome == "" {
			out[i].answer = refusedFor(fmt.Errorf("waiting for a decision about %s: %w", gate.Quoted(out[i].image, 300), errors.Join(gate.ErrTimeout, cause)))
		}
	}
}
