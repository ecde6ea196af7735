package admission

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
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
	terms   atomic.Pointer[terms]
	decider Decider
	log     *slog.Logger
	metrics *Recorder
	slots   chan struct{}
	room    *room
	// processors bounds those that reading what was sent may take.
	processors chan struct{}
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
		decider: d, log: o.Log, metrics: o.Recorder,
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
func (r *Reviewer) Review(ctx context.Context, body []byte, cluster string) (resp Response, err error) {
	start := time.Now()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, budget(DefaultTimeout))
		defer cancel()
	}
	defer r.metrics.begin()()
	req, err := r.decode(ctx, body)
	if err != nil {
		return Response{}, err
	}
	req.size = len(body)
	terms := r.terms.Load()
	resp = Response{uid: req.uid, Cluster: cluster, Mode: terms.config.mode(req.namespace)}
	v := &conclusion{}
	func() {
		defer func() {
			if p := recover(); p != nil {
				*v = conclusion{err: fmt.Errorf("reviewing: panic: %v\n%s", p, debug.Stack())}
			}
		}()
		r.decide(ctx, terms, &req, cluster, v)
	}()
	resp.conclude(v, terms.config)
	r.metrics.end(resp, time.Since(start))
	r.logReview(ctx, &req, v, resp, time.Since(start))
	return resp, nil
}

// decode guards decodeReview: a panic in it is a bug and no answer.
func (r *Reviewer) decode(ctx context.Context, body []byte) (req request, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding an AdmissionReview: panic: %v\n%s", p, debug.Stack())
		}
	}()
	err = r.reading(ctx, func() (err error) {
		req, err = decodeReview(body)
		return err
	})
	return req, err
}

// reading runs what does nothing but read what a caller has sent, as often at
// once as there are processors; the others wait until ctx ends (ErrBusy).
func (r *Reviewer) reading(ctx context.Context, read func() error) error {
	select {
	case r.processors <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("reading an AdmissionReview: %d others are being read: %w", cap(r.processors), gate.ErrBusy)
	}
	defer func() { <-r.processors }()
	return read()
}

// conclusion is what was found out about a review before the mode applies.
type conclusion struct {
	pass     pass  // why nothing had to be judged
	err      error // what is wrong with the whole review
	name     string
	template bool
	checked  []checkedPlace // in the order of the places
	notes    []string       // warnings that belong to no place
}

// pass is a reason for not judging.
type pass string

const (
	passExempt    pass = "exempt"    // by namespace
	passSkipped   pass = "skipped"   // the request cannot bring in an image
	passUnchanged pass = "unchanged" // an update that leaves all images
	passMirror    pass = "mirror"    // shows what a node runs in any case
)

// decide fills v; a panic in it is caught by its caller.
func (r *Reviewer) decide(ctx context.Context, terms *terms, req *request, cluster string, v *conclusion) {
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
	var o object
	var c change
	v.err = r.reading(ctx, func() (err error) {
		o, err = readObject(req.kind, req.object)
		v.name, v.template = o.name, o.template
		if err != nil {
			return err
		}
		c = v.change(req, o)
		return c.refusal()
	})
	if v.err != nil {
		return
	}
	question := gate.Request{
		Cluster: cluster, Namespace: req.namespace, Kind: req.kind.kind, Name: req.name,
		Operation: req.operation, User: req.user.name, LongUser: req.user.long, DryRun: req.dryRun,
	}
	if question.Name == "" {
		question.Name = o.name
	}
	release, err := r.slot(ctx)
	if err != nil {
		v.err = err
		return
	}
	v.checked, v.err = r.decideChange(ctx, o.places, c, question, r.room.stay(req.size, 2, release))
}

// change says what a request does to the places of its object, and notes what
// is said about it whatever the images are.
func (v *conclusion) change(req *request, o object) change {
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

// decideChange judges what is fresh, and then looks up what is kept, without
// side effects and for a moment only: the two stages of its stay.
func (r *Reviewer) decideChange(ctx context.Context, places []place, c change, q gate.Request, held *stay) ([]checkedPlace, error) {
	checked := make([]checkedPlace, len(places))
	fresh, err := decide(ctx, r.decider, pick(places, c.fresh), q, held)
	if err != nil {
		held.begin(0)
		return nil, err
	}
	for n, i := range c.fresh {
		checked[i] = fresh[n]
	}
	ctx, cancel := context.WithTimeout(ctx, unchangedBudget)
	defer cancel()
	q.DryRun = true
	// Too many to look up is no reason to refuse what is there already.
	kept, err := decide(ctx, r.decider, pick(places, c.kept), q, held)
	if err != nil {
		for _, i := range c.kept {
			checked[i].answer = refusedFor(err)
		}
	}
	for n, i := range c.kept {
		if err == nil {
			checked[i] = kept[n]
		}
		checked[i].place, checked[i].kept = places[i], true
	}
	return checked, nil
}

func pick(places []place, indexes []int) []place {
	list := make([]place, len(indexes))
	for n, i := range indexes {
		list[n] = places[i]
	}
	return list
}

// slot takes a place among the reviews in flight; ErrBusy when none gets free
// in time.
func (r *Reviewer) slot(ctx context.Context) (release func(), err error) {
	release = func() { <-r.slots }
	select {
	case r.slots <- struct{}{}:
		return release, nil
	default:
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case r.slots <- struct{}{}:
		return release, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, fmt.Errorf("%d reviews are in flight: %w", cap(r.slots), gate.ErrBusy)
}

// budget is how long a review may take when the caller waits timeout.
func budget(timeout time.Duration) time.Duration {
	// Below 2 s a margin of 1.5 s would leave nothing.
	return max(timeout-margin, timeout/4)
}

// requestID names one internal error in the message and in the log.
func requestID() string { return rand.Text()[:12] }

// logReview writes the one line of a review.
func (r *Reviewer) logReview(ctx context.Context, req *request, v *conclusion, resp Response, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case resp.Code == gate.CodeInternal:
		level = slog.LevelError
	case resp.Code != "" && resp.status >= 500:
		level = slog.LevelWarn
	}
	if !r.log.Enabled(ctx, level) {
		return
	}
	name := req.name
	if name == "" {
		name = v.name
	}
	attrs := []slog.Attr{
		slog.String("uid", gate.Printable(req.uid[1:len(req.uid)-1], 64)), slog.String("cluster", resp.Cluster),
		slog.String("namespace", gate.Printable(req.namespace, 64)), slog.String("kind", gate.Printable(req.kind.String(), 100)),
		slog.String("name", gate.Printable(name, 100)), slog.String("operation", gate.Printable(req.operation, 20)),
		slog.String("user", req.user.printable()), slog.Bool("dryRun", req.dryRun),
		slog.String("mode", string(resp.Mode)), slog.String("outcome", string(resp.Outcome)), slog.Bool("allowed", resp.Allowed),
		slog.String("code", string(resp.Code)), slog.Int("images", len(v.checked)), slog.String("digests", resp.digests),
		slog.Duration("duration", took),
	}
	if resp.requestID != "" {
		attrs = append(attrs, slog.String("request", resp.requestID))
	}
	if resp.Message != "" {
		attrs = append(attrs, slog.String("message", resp.Message))
	}
	if err := v.cause(); err != nil {
		attrs = append(attrs, slog.String("error", gate.Printable(scrub(err.Error()), 4000)))
	}
	r.log.LogAttrs(ctx, level, "admission review", attrs...)
}

// cause is every error behind a conclusion, for the operator.
func (v *conclusion) cause() error {
	errs := []error{v.err}
	for _, j := range v.checked {
		errs = append(errs, j.answer.Err)
	}
	return errors.Join(errs...)
}
