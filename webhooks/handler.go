package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/listener"
)

// Prefix is the path under which the endpoints live.
const Prefix = "/webhooks/"

const (
	// maxBodies is what the bodies of all deliveries may hold together: those of
	// 1,000 usual ones, or 8 of the largest. A flood of unfinished ones costs
	// about four times as much, with what the garbage collector has still to free.
	maxBodies = 8 << 20
	// maxArriving is how many bodies may be arriving beyond a few of each
	// connection.
	maxArriving = 32
)

// maxEvents is how many events of one delivery are acted on. Recorded
// deliveries hold one to three; a delivery that never ends would otherwise
// write for as long as it likes. What is left out is found by the
// synchronisation of the registry.
const maxEvents = 200

// Endpoint is one registry that sends to us.
type Endpoint struct {
	Name     string // of the registry, and the last part of the path
	Receiver Receiver
	Auth     *Authenticator
}

// Options tune a Handler. Zero values mean the defaults that are given here.
type Options struct {
	// MaxBody is the largest body in bytes, 1 MiB: the largest recorded
	// delivery has 6 KiB, but Docker Hub puts a whole README inside.
	MaxBody int64
	// ReadTimeout is how long a body may take to arrive, 10 s.
	ReadTimeout time.Duration
	// Timeout is how long making it durable may take, 2.5 s: Harbor gives up
	// after 3.
	Timeout time.Duration
	Now     func() time.Time // time.Now
	Log     *slog.Logger     // discards
	Metrics *Metrics         // records nothing
	Seen    Witness          // nobody is told
}

// Witness sees each authenticated delivery that was answered, when all work that it
// caused is durable. It must not wait; intake.LastEvents implements it.
type Witness interface {
	// Seen notes the newest delivery of a registry, and what it led to.
	Seen(registry string, state gate.PushState, at time.Time)
}

func (o Options) withDefaults() Options {
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 20
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 2500 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

type endpoint struct {
	Endpoint
	limit   *rate.Limiter
	replays *replays
}

// limits are those of the registry's configuration.
func (e Endpoint) limits() (rate.Limit, int) {
	c := e.Auth.config
	if c.DeliveriesPerSecond == 0 {
		return rate.Inf, 1
	}
	return rate.Limit(c.DeliveriesPerSecond), c.Burst
}

// Handler serves POST /webhooks/{name}. It looks at the path itself, so that
// it can be mounted on any router under Prefix; a path prefix in front is the
// router's to strip.
type Handler struct {
	endpoints atomic.Pointer[map[string]*endpoint] // by name; not modified
	taker     Taker
	opt       Options
	bodies    *listener.Bodies
	thinner   listener.Thinner
}

// NewHandler builds the handler; gate.ErrInvalid when a name occurs twice or
// an endpoint lacks a part.
func NewHandler(endpoints []Endpoint, taker Taker, opt Options) (*Handler, error) {
	h := &Handler{taker: taker, opt: opt.withDefaults(), bodies: listener.NewBodies(maxBodies, maxArriving)}
	table := map[string]*endpoint{}
	for _, e := range endpoints {
		switch {
		case e.Name == "" || e.Receiver.Parse == nil || e.Auth == nil:
			return nil, fmt.Errorf("building webhook endpoint %q: name, receiver or authentication is missing: %w", e.Name, gate.ErrInvalid)
		case table[e.Name] != nil:
			return nil, fmt.Errorf("building webhook endpoint %q: the name occurs twice: %w", e.Name, gate.ErrInvalid)
		}
		table[e.Name] = &endpoint{Endpoint: e, limit: rate.NewLimiter(e.limits()), replays: newReplays()}
	}
	h.endpoints.Store(&table)
	return h, nil
}

// Replace puts the endpoints of another handler in the place of these; the rest
// of it is not used. An endpoint that keeps its name keeps what it has taken and what it
// remembers of deliveries; new limits hold from now on.
func (h *Handler) Replace(with *Handler) {
	next := map[string]*endpoint{}
	for name, e := range *with.endpoints.Load() {
		if old, ok := h.endpoint(name); ok {
			perSecond, burst := e.limits()
			old.limit.SetLimitAt(h.opt.Now(), perSecond)
			old.limit.SetBurstAt(h.opt.Now(), burst)
			e = &endpoint{Endpoint: e.Endpoint, limit: old.limit, replays: old.replays}
		}
		next[name] = e
	}
	h.endpoints.Store(&next)
}

func (h *Handler) endpoint(name string) (*endpoint, bool) {
	e, ok := (*h.endpoints.Load())[name]
	return e, ok
}

// ServeHTTP answers one delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.opt.Now()
	seen := &received{remote: r.RemoteAddr}
	answer, err := h.serve(w, r, seen)
	status := http.StatusAccepted
	switch {
	case err != nil:
		if r.ProtoMajor == 1 && !seen.arrived {
			// Otherwise the rest of the body would be waited for. In HTTP/2 the
			// stream ends, and this would end the other streams too.
			w.Header().Set("Connection", "close")
		}
		status = writeProblem(w, err)
	case seen.handshake != nil:
		status = http.StatusOK
		writeJSON(w, "application/json", status, seen.handshake)
	default:
		writeJSON(w, "application/json", status, answer)
	}
	h.note(r.Context(), seen, answer, status, err, h.opt.Now().Sub(start))
}

// received is what the log line of a request needs besides its outcome.
type received struct {
	registry, vendor, remote string
	foreign                  bool
	arrived                  bool            // the body was read
	handshake                json.RawMessage // what is answered instead of an Answer
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, seen *received) (Answer, error) {
	e, token, err := h.route(r)
	if err != nil {
		return Answer{}, err
	}
	seen.registry, seen.vendor = e.Name, e.Receiver.Type
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return Answer{}, refuse(http.StatusMethodNotAllowed, nil, "deliveries are sent with POST")
	}
	if err := e.Auth.CheckHead(r, token); err != nil {
		return Answer{}, unauthorized(w, e.Auth.config.Auth, err)
	}
	body, err := h.body(w, r)
	if err != nil {
		return Answer{}, err
	}
	defer body.Release()
	seen.arrived = true
	if err := e.Auth.CheckBody(r, body.Bytes()); err != nil {
		return Answer{}, unauthorized(w, e.Auth.config.Auth, err)
	}
	if wait := reserve(e.limit, h.opt.Now()); wait > 0 {
		p := refuse(http.StatusTooManyRequests, gate.ErrBusy, "too many deliveries for this registry; send it again later")
		p.retryAfter = wait
		return Answer{}, p
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return Answer{}, refuse(http.StatusBadRequest, gate.ErrInvalid, "compressed bodies are not taken; send it without Content-Encoding")
	}
	d := Delivery{Header: r.Header, Body: body.Bytes()}
	if e.Receiver.Handshake != nil {
		if answer, ok := e.Receiver.Handshake(d); ok {
			seen.handshake = answer
			return Answer{State: gate.PushNotActedOn, Reason: "the sender's handshake was answered"}, nil
		}
	}
	answer, results, err := h.deliver(r.Context(), e, d)
	for _, res := range results {
		seen.foreign = seen.foreign || res.Foreign
	}
	return answer, err
}

// route finds the endpoint of a path and the secret that may follow its name;
// the error is a 404.
func (h *Handler) route(r *http.Request) (e *endpoint, token string, err error) {
	rest, under := strings.CutPrefix(r.URL.EscapedPath(), Prefix)
	name, token, more := strings.Cut(rest, "/")
	name, nameErr := url.PathUnescape(name)
	token, tokenErr := url.PathUnescape(token)
	e, ok := h.endpoint(name)
	switch {
	case !under || nameErr != nil || tokenErr != nil || !ok:
		return nil, "", refuse(http.StatusNotFound, nil,
			"no registry of that name takes webhooks here; the path is %s{name}, with the name of a registry that has a webhook block", Prefix)
	case more && (token == "" || !e.Auth.InPath()):
		return nil, "", refuse(http.StatusNotFound, nil,
			"the path of a registry ends with its name, without a slash; only with webhook.auth token may a secret follow")
	}
	return e, token, nil
}

// body reads at most MaxBody bytes in at most ReadTimeout. With auth hmac-sha256
// and none nothing is known of the sender before; then it is the shared budget
// that bounds what senders together may hold.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) (*listener.Body, error) {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, gate.ErrTooLarge, "the body is larger than %s", gate.ByteSize(h.opt.MaxBody))
	if r.ContentLength > h.opt.MaxBody {
		return nil, tooLarge
	}
	// Deadlines are those of the connection and so of the real clock; net/http
	// lifts this one when the body has ended. Not every ResponseWriter has
	// them; the server's ReadTimeout stands in any case.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.opt.ReadTimeout))
	body, err := h.bodies.Read(w, r, h.opt.MaxBody)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.Is(err, gate.ErrBusy):
		p := refuse(http.StatusServiceUnavailable, err, "too many deliveries are arriving at once; send it again")
		p.retryAfter = time.Second
		return nil, p
	case err != nil:
		return nil, refuse(http.StatusBadRequest, fmt.Errorf("reading the body: %w: %w", err, gate.ErrInvalid), "the body did not arrive whole within %s", h.opt.ReadTimeout)
	}
	return body, nil
}

// Deliver does what a POST does once the sender is authenticated; replaying a
// recorded delivery without a server uses it. The error's HTTP status is
// [Status].
func (h *Handler) Deliver(ctx context.Context, name string, d Delivery) (Answer, error) {
	e, ok := h.endpoint(name)
	if !ok {
		return Answer{}, refuse(http.StatusNotFound, nil, "registry %s takes no webhooks", gate.Quoted(name, 100))
	}
	answer, _, err := h.deliver(ctx, e, d)
	return answer, err
}

func (h *Handler) deliver(ctx context.Context, e *endpoint, d Delivery) (Answer, []gate.PushResult, error) {
	pushes, err := h.parse(e, d)
	if err != nil {
		return Answer{}, nil, refuse(http.StatusBadRequest, err, "%s", gate.Printable(err.Error(), 400))
	}
	pushes, left := bound(pushes)
	// A sender that gives up after its few seconds must not undo what is half
	// done: it may never try again, and doing it twice is harmless.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.opt.Timeout)
	defer cancel()
	fresh, seen := e.replays.split(pushes, h.opt.Now())
	results, err := h.taker.Take(ctx, e.Name, fresh)
	switch {
	case errors.Is(err, gate.ErrDigestInvalid), errors.Is(err, gate.ErrInvalid):
		return Answer{}, nil, refuse(http.StatusBadRequest, err, "%s", gate.Printable(err.Error(), 400))
	case err != nil:
		p := refuse(http.StatusServiceUnavailable, err, "the delivery could not be stored; send it again")
		p.retryAfter = storeRetry
		return Answer{}, nil, p
	}
	// Only now, because a sender that was not told so must be able to come again.
	e.replays.taken(fresh, results, h.opt.Now())
	results = merge(e.Name, pushes, seen, results)
	answer := newAnswer(results)
	if len(fresh) == 0 && len(pushes) > 0 {
		answer.Reason = replayReason
	}
	if left > 0 {
		answer.Reason = fmt.Sprintf("%d further events of this delivery are left to the synchronisation of the registry", left)
	}
	if h.opt.Seen != nil {
		h.opt.Seen.Seen(e.Name, answer.State, h.opt.Now())
	}
	return answer, results, nil
}

// storeRetry is what a sender is told to wait when the store is away: about
// how long a restart or a failover takes. Harbor keeps its own pace.
const storeRetry = 10 * time.Second

// parse keeps a receiver's panic from becoming a 5xx: it is a bug of ours, but
// trying the same bytes again would not help the sender.
func (h *Handler) parse(e *endpoint, d Delivery) (pushes []gate.Push, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.opt.Log.Error("webhook receiver panicked", "registry", e.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("reading the body: its shape is not understood: %w", gate.ErrInvalid)
		}
	}()
	return e.Receiver.Parse(d)
}

// bound leaves out repetitions within a delivery and cuts it to maxEvents;
// left is how many were cut.
func bound(pushes []gate.Push) (kept []gate.Push, left int) {
	type same struct {
		kind             gate.PushKind
		host, repository string
		digest           gate.Digest
		tag, reason      string
	}
	seen := map[same]bool{}
	for _, p := range pushes {
		key := same{p.Kind, p.Host, p.Repository, p.Digest, p.Tag, p.Reason}
		if seen[key] {
			continue
		}
		if len(kept) == maxEvents {
			left++
			continue
		}
		seen[key] = true
		kept = append(kept, p)
	}
	return kept, left
}

// reserve takes one from the bucket, or says how long until there is one.
func reserve(l *rate.Limiter, now time.Time) time.Duration {
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}
