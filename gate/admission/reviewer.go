package admission

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/listener"
)

// Times of one review (DESIGN.md §7).
const (
	// DefaultTimeout is what a caller waits that does not say: timeoutSeconds
	// of the shipped webhook configuration, and Kubernetes' own default.
	DefaultTimeout = 10 * time.Second
	// maxTimeout is the longest that Kubernetes waits.
	maxTimeout = 30 * time.Second
	// margin is how long before the caller's timeout a review is answered.
	// The API server rounds the timeout up to whole seconds when it tells us,
	// so that up to one second of it does not exist.
	margin = 1500 * time.Millisecond
	// slotWait is how long a review waits for a place among those in flight,
	// to smooth a burst without hiding an overload.
	slotWait = 200 * time.Millisecond
	// unchangedBudget is what is spent on looking up images that a request
	// leaves where they were, to warn about them.
	unchangedBudget = 250 * time.Millisecond
)

// Options are what a Reviewer is given besides its configuration.
type Options struct {
	// Namespaces says what is known of the namespace of an object; nil knows nothing.
	Namespaces Namespaces
	// Log gets one line per review; nil discards them.
	Log *slog.Logger
	// Recorder counts; nil counts nothing.
	Recorder *Recorder
	// MaxInFlight bounds the reviews that are worked on at once; 0 means 256.
	// With 1,000 reviews a second and one answer from the store after its
	// whole 500 ms, twice as many would be needed; but then it is broken, and
	// BUSY at once serves callers better than TIMEOUT later.
	MaxInFlight int
	// MaxWaiting and MaxWaitingBytes bound the reviews that wait for a registry
	// or a scan, which are not in flight; 0 means 1,024 and 64 MiB. Half is for
	// one registry.
	MaxWaiting      int
	MaxWaitingBytes int64
}

// Reviewer answers reviews. It holds no state but its terms, the places in flight
// and the room of those that wait.
type Reviewer struct {
	terms      atomic.Pointer[terms]
	decider    Decider
	namespaces Namespaces
	log        *slog.Logger
	metrics    *Recorder
	slots      chan struct{}
	room       *room
	// processors bounds those that reading what was sent may take.
	processors chan struct{}
	// unread thins the lines of reviews that were refused before they were read.
	unread listener.Thinner
}

// NewReviewer makes a reviewer for a configuration that Validate accepts.
func NewReviewer(c Config, d Decider, o Options) *Reviewer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 256
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = defaultWaiting
	}
	if o.MaxWaitingBytes <= 0 {
		o.MaxWaitingBytes = defaultWaitingBytes
	}
	r := &Reviewer{
		decider: d, namespaces: o.Namespaces, log: o.Log, metrics: o.Recorder,
		slots: make(chan struct{}, o.MaxInFlight), processors: make(chan struct{}, runtime.GOMAXPROCS(0)),
		// What continues after a wait is short; a few at a time leave the
		// processors to those that never waited.
		room: newRoom(load{o.MaxWaiting, o.MaxWaitingBytes}, o.MaxInFlight/8, o.Recorder.waits),
	}
	r.Reconfigure(c)
	return r
}

// terms are what of the configuration a review is answered by. They are not
// modified.
type terms struct {
	config Config
	exempt map[string]bool
}

// Reconfigure has the next reviews answered by another configuration that
// Validate accepts: its modes, its namespaces and its details. Reviews that are
// under way end by the one that they began with.
func (r *Reviewer) Reconfigure(c Config) {
	next := &terms{config: c, exempt: map[string]bool{}}
	for _, name := range c.ExemptNamespaces {
		next.exempt[name] = true
	}
	r.terms.Store(next)
}

// Review answers one AdmissionReview of a cluster at the latest when ctx ends,
// or 8.5 s from now when ctx has no end. The answer never permits because of
// an error. Its own error means that the body holds no review that could be
// answered (ErrReviewInvalid, or a bug), or that there was no time to read it
// (ErrBusy).
func (r *Reviewer) Review(ctx context.Context, body []byte, cluster string) (Response, error) {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(budget(DefaultTimeout))
	}
	t := span{ctx: ctx, until: until}
	defer t.end()
	return r.review(&t, body, cluster)
}

func (r *Reviewer) review(t *span, body []byte, cluster string) (resp Response, err error) {
	start := time.Now()
	r.metrics.inside(1)
	defer r.metrics.inside(-1)
	terms, v, req := r.terms.Load(), &conclusion{}, request{}
	taken, refused, err := r.early(t, body, terms)
	if refused != nil {
		req, v.err = *refused, err
	} else {
		if req, err = r.decode(t, body, terms, v); err != nil {
			if taken {
				r.leave()
			}
			return Response{}, err
		}
		req.size = len(body)
		r.decide(t, &req, cluster, v, taken)
	}
	resp = Response{uid: req.uid, Cluster: cluster, Mode: terms.config.mode(req.namespace)}
	resp.conclude(v, terms.config)
	took := time.Since(start)
	r.metrics.end(&resp, took)
	r.logReview(t.ctx, &req, v, &resp, start, took, refused != nil)
	return resp, nil
}

// decode reads a body, and the object in it where it is to be judged. Its error means
// that there is no review; a panic is a bug, and no answer.
func (r *Reviewer) decode(t *span, body []byte, terms *terms, v *conclusion) (req request, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding an AdmissionReview: panic: %v\n%s", p, debug.Stack())
		}
	}()
	err = r.reading(t, func() (err error) {
		if req, err = decodeReview(body); err == nil {
			v.prepare(terms, &req)
		}
		return err
	})
	return req, err
}

// conclusion is what was found out about a review before the mode applies.
type conclusion struct {
	pass     pass  // why nothing had to be judged
	err      error // what is wrong with the whole review
	name     string
	template bool
	checked  []checkedPlace // in the order of the places
	notes    []string       // warnings that belong to no place

	asks   bool // the places have to be looked up
	places []place
	change change
}

// pass is a reason for not judging.
type pass string

const (
	passExempt    pass = "exempt"    // by namespace
	passSkipped   pass = "skipped"   // the request cannot bring in an image
	passUnchanged pass = "unchanged" // an update that leaves all images
	passMirror    pass = "mirror"    // shows what a node runs in any case
)

// prepare finds out what has to be asked for a request, if anything.
func (v *conclusion) prepare(terms *terms, req *request) {
	defer v.guard()
	switch {
	case req.invalid == nil && terms.exempt[req.namespace]:
		v.pass = passExempt
		return
	case req.invalid != nil:
		v.err = req.invalid
		return
	case req.skips():
		v.pass = passSkipped
		return
	case req.operation != "CREATE" && req.operation != "UPDATE":
		v.err = fmt.Errorf("request.operation is %s: %w", gate.Quoted(req.operation, 40), gate.ErrReviewInvalid)
		return
	}
	o, err := readObject(req.kind, req.object)
	v.name, v.template = o.name, o.template
	if err != nil {
		v.err = err
		return
	}
	v.places, v.change = o.places, v.changeOf(req, o)
	v.err = v.change.refusal()
	v.asks = v.err == nil
}

// guard, deferred, makes a panic a conclusion.
func (v *conclusion) guard() {
	if p := recover(); p != nil {
		*v = conclusion{err: fmt.Errorf("reviewing: panic: %v\n%s", p, debug.Stack())}
	}
}

// decide looks the places up; taken says that a place in flight was taken for it.
func (r *Reviewer) decide(t *span, req *request, cluster string, v *conclusion, taken bool) {
	defer v.guard()
	if !v.asks {
		if taken {
			r.leave()
		}
		return
	}
	if !taken {
		if err := r.slot(t); err != nil {
			v.err = err
			return
		}
	}
	question := gate.Request{
		Cluster: cluster, Namespace: req.namespace, Kind: req.kind.kind, Name: req.name,
		Operation: req.operation, User: req.user.name, LongUser: req.user.long, DryRun: req.dryRun,
	}
	if question.Name == "" {
		question.Name = v.name
	}
	r.describe(t, &question)
	v.checked, v.err = r.decideChange(t, v.places, v.change, question, req.size)
}

// changeOf says what a request does to the places of its object, and notes what
// is said about it whatever the images are.
func (v *conclusion) changeOf(req *request, o object) change {
	c := o.everything()
	if req.operation == "UPDATE" && req.oldObject != nil {
		// An old object that cannot be read is no reason to pass.
		if old, err := readObject(req.kind, req.oldObject); err == nil {
			c = o.since(old)
		}
	}
	if node := mirrorNode(req); node != "" {
		v.pass, c = passMirror, o.nothing()
		v.notes = append(v.notes, mirrorWarning(node))
	} else if len(c.fresh)+len(c.doubts) == 0 {
		v.pass = passUnchanged
	}
	if len(c.known) > 0 {
		v.notes = append(v.notes, "digestgate: "+c.known[0].text()+"; this request does not change it")
	}
	return c
}

// decideChange judges what is fresh, and looks up what is kept, without side effects
// and for a moment only: the two stages of its stay. What can be answered at once needs
// none. The place in flight is given back when nothing needs it any more.
func (r *Reviewer) decideChange(t *span, places []place, c change, q gate.Request, size int) ([]checkedPlace, error) {
	staying := false
	defer func() {
		if !staying {
			r.leave()
		}
	}()
	checked := make([]checkedPlace, len(places))
	fresh, err := newStage(r.decider, places, c.fresh, checked)
	if err != nil {
		return nil, err
	}
	look := q
	look.DryRun = true
	// Too many to look up is no reason to refuse what is there already.
	kept, tooMany := newStage(r.decider, places, c.kept, checked)
	if !t.over() {
		fresh.atOnce(t.ctx, q, t.until)
		kept.atOnce(t.ctx, look, earlier(t.until, time.Now().Add(unchangedBudget)))
	}
	if stages := fresh.open() + kept.open(); stages > 0 {
		staying = true
		held := r.room.stay(size, stages, r.leave)
		fresh.finish(t.waiting(), q, held)
		ctx, cancel := context.WithTimeout(t.waiting(), unchangedBudget)
		kept.finish(ctx, look, held)
		cancel()
	}
	for _, i := range c.kept {
		checked[i].place, checked[i].kept = places[i], true
		if tooMany != nil {
			checked[i].answer = refusedFor(tooMany)
		}
	}
	return checked, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// leave gives a place in flight back.
func (r *Reviewer) leave() { <-r.slots }

// budget is how long a review may take when the caller waits timeout.
func budget(timeout time.Duration) time.Duration {
	// Below 2 s a margin of 1.5 s would leave nothing.
	return max(timeout-margin, timeout/4)
}

// requestID names one internal error in the message and in the log.
func requestID() string { return rand.Text()[:12] }
