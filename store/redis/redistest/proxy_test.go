package redistest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// behind is a server, a proxy before it, and a client that goes through the
// proxy and repeats nothing.
func behind(t *testing.T, o Options) (*Server, *FaultProxy, *redis.Client) {
	t.Helper()
	s := Plain(t, o)
	p := Proxy(t, s.Addr())
	return s, p, through(t, s, p)
}

func through(t *testing.T, s *Server, p *FaultProxy) *redis.Client {
	o := s.clientOptions()
	o.Addr, o.MaxRetries, o.DialerRetries = p.Addr(), -1, 1
	c := redis.NewClient(o)
	closeWith(t, c)
	return c
}

// deadline is long for a server that answers and short for one that never
// does.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// dial opens a connection on which nothing waits for ever.
func dial(t *testing.T, p *FaultProxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	must(t, err)
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// timedOut tells whether a deadline has passed; go-redis answers with the
// connection's error or the context's.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() // context.DeadlineExceeded is one
}

func TestProxyForwards(t *testing.T) {
	t.Parallel()
	for _, withTLS := range []bool{false, true} {
		s, _, c := behind(t, Options{TLS: withTLS})
		value := strings.Repeat("0123456789", 100_000) // many reads
		must(t, c.Set(t.Context(), "a", value, 0).Err())
		holds(t, s, "a", value)
		if got, err := c.Get(t.Context(), "a").Result(); err != nil || got != value {
			t.Errorf("TLS %t: %d bytes, %v, want %d", withTLS, len(got), err, len(value))
		}
		must(t, s.Kill())
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Errorf("TLS %t: a dead server answers", withTLS)
		}
		must(t, s.Start())
		must(t, c.Ping(t.Context()).Err())
	}
}

func TestProxyCuts(t *testing.T) {
	t.Parallel()
	_, p, c := behind(t, Options{})
	must(t, p.Heal()) // heals nothing
	sub := c.Subscribe(t.Context(), "a")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	p.Cut()
	ctx, cancel := patiently()
	defer cancel()
	if _, err := sub.ReceiveMessage(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("an old connection after Cut: %v", err)
	}
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection after Cut: %v", err)
	}
	must(t, p.Heal())
	must(t, c.Ping(t.Context()).Err())
}

func TestProxySwallows(t *testing.T) {
	t.Parallel()
	s, p, c := behind(t, Options{})
	old := dial(t, p)
	must(t, c.Ping(t.Context()).Err())
	p.Blackhole()
	for name, client := range map[string]*redis.Client{"old": c, "new": through(t, s, p)} {
		if err := client.Set(deadline(t), name, 1, 0).Err(); !timedOut(err) {
			t.Errorf("%s connection in a black hole: %v, want that the deadline passes", name, err)
		}
	}
	must(t, p.Heal())
	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection that was in the black hole: %v", err)
	}
	must(t, c.Set(t.Context(), "later", 1, 0).Err())
	for key, want := range map[string]string{"old": "", "new": "", "later": "1"} {
		holds(t, s, key, want)
	}
}

func TestProxyHolds(t *testing.T) {
	t.Parallel()
	s, p, c := behind(t, Options{})
	must(t, c.Ping(t.Context()).Err())
	conn := dial(t, p)
	p.Hold()
	if err := c.Ping(deadline(t)).Err(); !timedOut(err) {
		t.Errorf("held: %v, want that the deadline passes", err)
	}
	_, err := io.WriteString(conn, "SET a 1\r\n")
	must(t, err)
	holds(t, s, "a", "")
	must(t, p.Heal())
	answer := make([]byte, 5)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "+OK\r\n" {
		t.Errorf("after Heal: %q, %v", answer, err)
	}
	holds(t, s, "a", "1")
}

// TestProxyEndsInAFault is about the cleanup, which waits for all that runs.
func TestProxyEndsInAFault(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*FaultProxy){
		"hold": (*FaultProxy).Hold, "blackhole": (*FaultProxy).Blackhole, "delay": func(p *FaultProxy) { p.Delay(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, p, c := behind(t, Options{})
			must(t, c.Ping(t.Context()).Err())
			fault(p)
			if err := c.Ping(deadline(t)).Err(); !timedOut(err) {
				t.Errorf("%v, want that the deadline passes", err)
			}
		})
	}
}

func TestProxyDelays(t *testing.T) {
	t.Parallel()
	_, p, c := behind(t, Options{})
	value := strings.Repeat("x", 16<<20) // 512 chunks at least
	must(t, c.Set(t.Context(), "a", value, 0).Err())
	const delay = 100 * time.Millisecond
	p.Delay(delay)
	began := time.Now()
	must(t, c.Get(t.Context(), "a").Err())
	if took := time.Since(began); took < 2*delay || took > 200*delay {
		t.Errorf("a long answer took %v, want %v and not that for each part of it", took, 2*delay)
	}
	p.Delay(time.Hour)
	late := make(chan error)
	go func() { late <- c.Ping(context.Background()).Err() }()
	p.Delay(0)
	must(t, <-late)
}

func TestProxyLosesAnswers(t *testing.T) {
	t.Parallel()
	for _, withTLS := range []bool{false, true} {
		s, p, c := behind(t, Options{TLS: withTLS})
		must(t, c.Set(t.Context(), "a", 10, 0).Err())
		part := "Incr"
		if withTLS {
			part = "" // nothing can be read
		}
		p.LoseAnswer(part, 2)
		if !withTLS {
			must(t, c.Get(t.Context(), "a").Err())
		}
		if err := c.Incr(t.Context(), "a").Err(); err == nil || timedOut(err) {
			t.Errorf("TLS %t: %v, want a broken connection", withTLS, err)
		}
		holds(t, s, "a", "11")
		if !withTLS && c.Incr(t.Context(), "a").Err() == nil {
			t.Error("the second answer arrives")
		}
		if withTLS {
			must(t, p.Heal())
		}
		must(t, c.Incr(t.Context(), "a").Err())
		if want := map[bool]int{false: 2, true: 1}[withTLS]; p.Lost() != want {
			t.Errorf("TLS %t: %d lost, want %d", withTLS, p.Lost(), want)
		}
	}
}

func TestProxyLosesRequests(t *testing.T) {
	t.Parallel()
	s, p, c := behind(t, Options{})
	must(t, c.Set(t.Context(), "a", 10, 0).Err())
	p.LoseRequest("incr", 1)
	must(t, c.Get(t.Context(), "a").Err())
	if err := c.Incr(t.Context(), "a").Err(); err == nil {
		t.Error("a lost request is answered")
	}
	holds(t, s, "a", "10")
	must(t, c.Incr(t.Context(), "a").Err())
	p.LoseRequest("", 1)
	must(t, p.Heal())
	must(t, c.Incr(t.Context(), "a").Err())
	if p.Lost() != 1 {
		t.Errorf("%d lost, want 1", p.Lost())
	}
}

func TestProxyWithoutTarget(t *testing.T) {
	t.Parallel()
	p := Proxy(t, "127.0.0.1:1") // nobody listens on tcpmux
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) { // while dialling or later
		t.Errorf("reading: %v", err)
	}
}

// TestProxyUnderFire counts with faults of all kinds at the same time: what is
// acknowledged has happened, and what was lost is within the count of errors.
func TestProxyUnderFire(t *testing.T) {
	t.Parallel()
	s, p, c := behind(t, Options{})
	var acknowledged, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
				if c.Incr(ctx, "a").Err() == nil {
					acknowledged.Add(1)
				} else {
					failed.Add(1)
				}
				cancel()
			}
		})
	}
	faults := []func(){p.Cut, p.Blackhole, p.Hold, func() { p.Delay(5 * time.Millisecond) }, func() { p.LoseAnswer("", 3) }, func() { p.LoseRequest("", 3) }}
	for range 2 {
		for i, fault := range faults {
			fault()
			progress(t, fmt.Sprint("errors from fault ", i), &failed, i != 3)
			must(t, p.Heal())
			progress(t, fmt.Sprint("answers after fault ", i), &acknowledged, true)
		}
	}
	close(stop)
	clients.Wait()
	got, err := s.Do("get", "a").Int64()
	if low := acknowledged.Load(); err != nil || got < low || got > low+failed.Load() {
		t.Errorf("the count is %d, %v; %d acknowledged, %d failed", got, err, low, failed.Load())
	}
}

// progress waits until a number has grown.
func progress(t *testing.T, what string, n *atomic.Int64, expected bool) {
	t.Helper()
	if !expected {
		return
	}
	ctx, cancel := patiently()
	defer cancel()
	before := n.Load()
	must(t, poll(ctx, what, func() error {
		if n.Load() == before {
			return errors.New("none")
		}
		return nil
	}))
}
