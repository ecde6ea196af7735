package listener

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that time is too.
type pipes struct {
	waiting chan net.Conn
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.waiting:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects; it may have to wait in the backlog.
func (p *pipes) dial(t *testing.T) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		select {
		case p.waiting <- theirs:
		case <-p.closed:
			theirs.Close()
		}
	}()
	t.Cleanup(func() { ours.Close() })
	return ours
}

// ask sends a request and returns how long the answer took, or an error.
func ask(c net.Conn) (time.Duration, error) { return askFor(c, "/", 5*time.Second) }

func askFor(c net.Conn, path string, within time.Duration) (time.Duration, error) {
	start := time.Now()
	_ = c.SetDeadline(start.Add(within))
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return time.Since(start), err
}

// serve runs a bounded server until the test ends.
func serve(t *testing.T, limit int, h http.Handler) (*pipes, *Connections) {
	t.Helper()
	p := newPipes()
	server := &http.Server{Handler: h}
	c := Bound(server, limit)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(c.Listen(p)) }()
	t.Cleanup(func() { server.Close(); <-done })
	return p, c
}

func TestConnections_idleMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := serve(t, 8, Serving(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		known := p.dial(t)
		if _, err := ask(known); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			p.dial(t) // says nothing
		}
		caller := p.dial(t)
		if took, err := ask(caller); err != nil || took > 2*time.Second {
			t.Errorf("a caller behind 100 connections that say nothing: %v after %s", err, took)
		}
		if n := c.Open(); n > 8 {
			t.Errorf("%d connections are open, want 8 at most", n)
		}
		// It has done something, so that those that never did went first.
		if _, err := ask(known); err != nil {
			t.Errorf("a caller from before: %v", err)
		}
	})
}

// TestConnections_begunStay: callers that reconnect open more connections than they
// use. The silent ones make room, not the one that carries the requests, although
// none of its bodies has arrived whole yet.
func TestConnections_begunStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := NewBodies(1<<20, 20)
		p, _ := serve(t, 2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := bodies.Read(w, r, 1<<10)
			if err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			body.Release()
		}))
		carries := p.dial(t)
		if _, err := io.WriteString(carries, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		silent := p.dial(t)
		time.Sleep(2 * settled) // the silent one may make room
		if _, err := ask(p.dial(t)); err != nil {
			t.Fatalf("a caller when there is no room: %v", err)
		}
		if _, err := io.WriteString(carries, "b"); err != nil {
			t.Fatalf("the connection that carries a request was closed: %v", err)
		}
		if resp, err := http.ReadResponse(bufio.NewReader(carries), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a request whose body was arriving while others reconnected: %v, %v", resp, err)
		}
		_ = silent.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the silent connection: got %v, want it closed", err)
		}
	})
}

// TestConnections_neverWhole: a request that never arrives whole does not keep its
// connection for long.
func TestConnections_neverWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := NewBodies(1<<20, 20)
		p, _ := serve(t, 2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, err := bodies.Read(w, r, 1<<10); err == nil {
				body.Release()
			}
		}))
		for range 2 {
			if _, err := io.WriteString(p.dial(t), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na"); err != nil {
				t.Fatal(err)
			}
		}
		if took, err := ask(p.dial(t)); err != nil || took > arrival+2*settled {
			t.Errorf("a caller beside requests that never arrive whole: %v after %s", err, took)
		}
	})
}

func TestConnections_workedOnStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, c := serve(t, 2, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			defer Working(r.Context())()
			<-release
		}))
		answers := make(chan error, 3)
		for range 3 {
			conn := p.dial(t)
			go func() { _, err := ask(conn); answers <- err }()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		if n := c.Open(); n != 2 {
			t.Errorf("%d connections are open, want 2", n)
		}
		select {
		case err := <-answers:
			t.Errorf("a request was answered or lost while all places were worked on: %v", err)
		default:
		}
		close(release)
		for range 3 {
			if err := <-answers; err != nil {
				t.Errorf("a request that was worked on, or waited: %v", err)
			}
		}
	})
}

// TestConnections_close: closing the listener ends one who waits for room.
func TestConnections_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		p := newPipes()
		server := &http.Server{Handler: Serving(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))}
		l := Bound(server, 1).Listen(p)
		done := make(chan struct{})
		go func() { defer close(done); _ = server.Serve(l) }()
		ended := make(chan error, 2)
		for range 2 {
			c := p.dial(t)
			go func() { _, err := ask(c); ended <- err }()
			synctest.Wait()
		}
		l.Close()
		if err := <-ended; err == nil {
			t.Error("one who waited for room was answered by a closed listener")
		}
		<-done
		close(hang)
		if err := <-ended; err != nil {
			t.Errorf("the request that was worked on: %v", err)
		}
		server.Close()
	})
}

// TestConnections_busyDoNotShutOut: who keeps every connection busy, one short
// request after the other or one that never ends, shuts nobody out.
func TestConnections_busyDoNotShutOut(t *testing.T) {
	for name, takes := range map[string]time.Duration{"short_requests": time.Millisecond, "long_requests": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const limit = 8
				stop := make(chan struct{})
				p, c := serve(t, limit, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					defer Working(r.Context())()
					if r.URL.Path == "/" {
						return
					}
					select {
					case <-time.After(takes):
					case <-stop:
					}
				}))
				flood := make(chan struct{}, limit)
				for range limit {
					conn := p.dial(t)
					go func() {
						defer func() { flood <- struct{}{} }()
						for {
							if _, err := askFor(conn, "/busy", 2*time.Hour); err != nil {
								return
							}
							select {
							case <-time.After(time.Millisecond):
							case <-stop:
								return
							}
						}
					}()
				}
				time.Sleep(time.Second)
				for i := range 3 {
					caller := p.dial(t)
					if took, err := ask(caller); err != nil || took > patience+time.Second {
						t.Fatalf("caller %d beside %d busy connections: %v after %s", i, limit, err, took)
					}
					if n := c.Open(); n > limit {
						t.Errorf("%d connections are open, want %d at most", n, limit)
					}
				}
				if n := len(flood); n > 3 {
					t.Errorf("%d busy connections were closed for 3 callers", n)
				}
				close(stop)
			})
		})
	}
}
