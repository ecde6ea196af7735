package listener

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// settled is how long a connection or a body is let alone before it makes room
// for another: time enough for a handshake and a body on a busy machine, and
// short enough that thousands that came at once are gone within a second.
const settled = 100 * time.Millisecond

// arrival is how much longer a connection is let alone whose first request has
// begun: the body of a review arrives within it on the busiest machine.
const arrival = time.Second

// retry is how often a caller that has found no room looks again.
const retry = 20 * time.Millisecond

// Connections bounds the connections of one server. When there is no room, the one
// makes room that has waited longest and does nothing: first those that never had a
// request that arrived whole, then idle ones. If all are busy, new ones wait for a
// while, and then take the place of any, so that no caller keeps all places by never
// being idle: of one between two requests if there is one.
type Connections struct {
	limit int
	freed chan struct{} // capacity 1: look again
	turns chan struct{} // of the connections that pause

	mu   sync.Mutex
	open map[*connection]struct{}
	busy time.Time // since when all are and somebody waits; zero: it is not so
}

// Bound makes a server keep to limit connections. It must be called before the
// server is served, by the listener that Listen returns.
func Bound(server *http.Server, limit int) *Connections {
	c := &Connections{limit: limit, freed: make(chan struct{}, 1), turns: make(chan struct{}, breathers), open: map[*connection]struct{}{}}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		for {
			if own, ok := conn.(*connection); ok {
				return context.WithValue(ctx, connectionKey{}, own)
			}
			wrapped, ok := conn.(interface{ NetConn() net.Conn }) // of crypto/tls
			if !ok {
				return ctx
			}
			conn = wrapped.NetConn()
		}
	}
	return c
}

// Open is how many connections there are.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// Listen bounds the connections of l.
func (c *Connections) Listen(l net.Listener) net.Listener {
	b := &bounded{Listener: l, of: c, closed: make(chan struct{})}
	b.close = sync.OnceValue(func() error {
		close(b.closed)
		return l.Close()
	})
	return b
}

// bounded is a listener of a server with bounded connections.
type bounded struct {
	net.Listener
	of     *Connections
	closed chan struct{}
	close  func() error
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	raw, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: raw, of: b.of, pace: pace{turns: b.of.turns}}
	for !b.of.admit(conn) {
		again := time.NewTimer(retry)
		select {
		case <-b.of.freed:
		case <-again.C:
		case <-b.closed:
			again.Stop()
			_ = raw.Close()
			return nil, net.ErrClosed
		}
		again.Stop()
	}
	return conn, nil
}

// Close implements net.Listener.
func (b *bounded) Close() error { return b.close() }

// admit takes a connection in, in the place of another if need be.
func (c *Connections) admit(conn *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) < c.limit {
		c.busy = time.Time{}
	} else {
		victim := c.victim(time.Now())
		if victim == nil {
			return false
		}
		delete(c.open, victim)
		victim.drop()
	}
	// What it waited for room is not its own silence.
	conn.accepted = time.Now()
	conn.since = conn.accepted
	c.open[conn] = struct{}{}
	return true
}

// connection is one of a bounded server. Its counters are guarded by of.mu.
type connection struct {
	net.Conn
	of       *Connections
	accepted time.Time
	since    time.Time // accepted, some time after the first request began, or the end of the last work
	begun    bool      // the first request has begun
	working  int       // requests that are worked on
	served   bool      // at least one was
	faults   int       // bodies that were refused or given up, minus requests served since
	closed   atomic.Bool

	// arriving is how many bodies are; the server's Bodies write it.
	arriving atomic.Int32
	pace     pace
}

// Read implements net.Conn.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:c.pace.next(len(p), &c.closed)])
	c.pace.waste.Add(int64(n))
	return n, err
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.closed.Store(true)
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	select {
	case c.of.freed <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}

// begin notes that a request has begun: for a while the connection makes room after
// those that have said nothing yet. Only the first request counts, so that nobody
// stays by beginning requests that never arrive whole.
func (c *connection) begin() {
	if c == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if !c.begun {
		c.begun, c.since = true, time.Now().Add(arrival)
	}
}

// drop closes the connection under its server, which notices and cleans up.
func (c *connection) drop() {
	c.closed.Store(true)
	_ = c.Conn.Close()
}

// maxFaults is more than the streams that a connection may have at a time, so that a
// caller that is served loses its connection only if all streams of one moment fail,
// and more after them.
const maxFaults = 128

// fault notes that a body of the connection was refused or given up. A connection
// that was never served, and has no request in progress, is dropped at once; another
// one when this happens again and again while hardly any of its requests is served.
func (c *connection) fault() {
	if c == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.faults++
	c.pace.failed.Store(true)
	if !c.served && c.working == 0 || c.faults > maxFaults {
		c.drop()
	}
}

// gone reports whether there is nobody any more to be answered.
func (c *connection) gone() bool { return c != nil && c.closed.Load() }

// CloseWrite lets net/http end its half first, so that a caller that is still
// sending can read why it was refused.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

type connectionKey struct{}

func connectionOf(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

// Working says that the request of ctx is worked on until done is called: its
// connection makes room for no other meanwhile, unless all are busy for long.
// A caller that has still to send something is not worked on.
func Working(ctx context.Context) (done func()) {
	c := connectionOf(ctx)
	if c == nil {
		return func() {}
	}
	c.of.mu.Lock()
	c.working++
	c.of.mu.Unlock()
	return sync.OnceFunc(func() {
		c.of.mu.Lock()
		c.working--
		c.served, c.since, c.faults = true, time.Now(), max(0, c.faults-1)
		c.pace.failed.Store(c.faults > 0)
		c.pace.serve()
		c.of.mu.Unlock()
	})
}

// Gone reports whether the connection of a request was closed because it was in the way
// of others, so that no caller waits for the answer.
func Gone(ctx context.Context) bool { return connectionOf(ctx).gone() }

// Serving is next with every request worked on from its beginning, for
// handlers whose callers send nothing that could keep them waiting.
func Serving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer Working(r.Context())()
		if c := connectionOf(r.Context()); c != nil {
			r.Body = useful{r.Body, &c.pace}
		}
		next.ServeHTTP(w, r)
	})
}
