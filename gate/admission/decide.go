package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"

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

// Limits of one review.
const (
	// maxPlaces bounds containers and image volumes, maxImages the distinct
	// references among them. Nobody runs Pods of that size; the node's own
	// limits end far below.
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

// group is one reference and the indexes of the places that name it.
type group struct {
	ref    gate.Reference
	places []int
}

// decide asks for every place, each distinct reference together, and returns
// when all are answered or ctx ends; then the missing ones are CodeTimeout.
// It is one stage of the review's stay, which may end later than decide returns.
// The error is ErrTooLarge.
func decide(ctx context.Context, d Decider, places []place, req gate.Request, held *stay) ([]checkedPlace, error) {
	out := make([]checkedPlace, len(places))
	groups, err := sortOut(places, out)
	if err != nil {
		held.begin(0)
		return nil, err
	}
	// Room for every answer: whoever comes late blocks nowhere.
	q := &questions{decider: d, groups: groups, places: places, request: req, results: make(chan result, len(places))}
	for _, w := range held.begin(min(parallel, len(groups))) {
		go func() {
			defer w.leave()
			q.work(gate.WithWaiter(ctx, w.wait))
		}()
	}
	missing := 0
	for _, g := range groups {
		missing += len(g.places)
	}
	for missing > 0 {
		select {
		case r := <-q.results:
			out[r.place].answer = r.answer
			missing--
		case <-ctx.Done():
			for len(q.results) > 0 { // only this goroutine receives
				r := <-q.results
				out[r.place].answer = r.answer
			}
			timeOut(out, context.Cause(ctx))
			return out, nil
		}
	}
	return out, nil
}

// questions are the references of a review, of which workers take one after
// the other. Nothing but next changes.
type questions struct {
	decider Decider
	groups  []group
	next    atomic.Int32
	places  []place
	request gate.Request
	results chan result
}

type result struct {
	place  int
	answer gate.Answer
}

// work asks until nothing is left or ctx ends.
func (q *questions) work(ctx context.Context) {
	for {
		i := int(q.next.Add(1)) - 1
		if i >= len(q.groups) || ctx.Err() != nil {
			return
		}
		ref := q.groups[i].ref
		for _, at := range q.groups[i].places {
			answer := ask(ctx, q.decider, ref, forContainer(q.request, q.places[at]))
			q.results <- result{at, answer}
			// What the first asked resolved, the others of the group share:
			// one review never judges two digests for one tag.
			if ref.Digest == "" && answer.Digest.Valid() {
				ref = ref.Pin(answer.Digest)
			}
		}
	}
}

// forContainer is the request with the name of the container or volume.
func forContainer(req gate.Request, p place) gate.Request {
	req.Container = p.name
	return req
}

// sortOut parses the references: what cannot be asked for is answered in out,
// the rest is grouped by what is written.
func sortOut(places []place, out []checkedPlace) ([]group, error) {
	groups := make([]group, 0, min(len(places), maxImages))
	index := make(map[string]int, cap(groups))
	for i, p := range places {
		out[i].place = p
		if at, ok := index[p.image]; ok {
			if at >= 0 {
				groups[at].places = append(groups[at].places, i)
			} else {
				out[i].answer = out[-at-1].answer
			}
			continue
		}
		if len(index) == maxImages {
			return nil, fmt.Errorf("request.object has more than %d different images: %w", maxImages, gate.ErrTooLarge)
		}
		ref, err := gate.ParseReference(p.image)
		if err != nil {
			out[i].answer = refReason(err)
			index[p.image] = -i - 1
			continue
		}
		index[p.image] = len(groups)
		groups = append(groups, group{ref, []int{i}})
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

// ask asks the decider and checks that its answer is one.
func ask(ctx context.Context, d Decider, ref gate.Reference, req gate.Request) (a gate.Answer) {
	defer func() {
		if p := recover(); p != nil {
			a = refusedFor(fmt.Errorf("deciding about %q: panic: %v\n%s", ref.String(), p, debug.Stack()))
		}
	}()
	a = d.Decide(ctx, ref, req)
	return consistent(a, ref)
}

// consistent turns an answer that contradicts itself into CodeInternal: an allow
// without evidence, a refusal without a reason, a digest that is not the one
// asked for.
func consistent(a gate.Answer, ref gate.Reference) gate.Answer {
	_, known := codes[a.Code]
	switch {
	case a.Permits() && (ref.Digest == "" || ref.Digest == a.Digest):
		return a
	case known && a.Outcome != gate.OutcomeAllow && a.Outcome != gate.OutcomeWarn:
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

// timeOut answers for every place that has no answer yet.
func timeOut(out []checkedPlace, cause error) {
	for i := range out {
		if out[i].answer.Outcome == "" {
			out[i].answer = refusedFor(fmt.Errorf("waiting for a decision about %s: %w", gate.Quoted(out[i].image, 300), errors.Join(gate.ErrTimeout, cause)))
		}
	}
}
