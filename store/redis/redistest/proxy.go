package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// FaultProxy stands between clients and one server on loopback and breaks what
// passes. It forwards bytes and does not know the protocol: what a client
// writes at once counts as one request. A client that learns addresses from
// the servers (of a cluster, or from Sentinels) goes past it, unless its dialer
// is told otherwise.
//
// A fault holds for what is written after the call that causes it has
// returned, on old and new connections, until Heal.
type FaultProxy struct {
	target, addr string

	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	links    map[*link]struct{}
	mode     mode
	delay    time.Duration
	rules    []*rule
	lost     int
	changed  chan struct{} // closed when mode or delay change
	running  sync.WaitGroup
}

// mode is what happens to bytes.
type mode int

const (
	forward mode = iota
	hold
	swallow
)

// rule is a loss that waits for its request.
type rule struct {
	part   []byte // lower case
	times  int
	answer bool // the answer is lost, not the request
}

// Proxy starts a proxy before a target ("127.0.0.1:port") that ends with the
// test. The target need not run.
func Proxy(tb testing.TB, target string) *FaultProxy {
	tb.Helper()
	p := &FaultProxy{target: target, links: map[*link]struct{}{}, changed: make(chan struct{})}
	for attempt := 1; p.listener == nil; attempt++ {
		port, err := freePort()
		if err == nil {
			p.addr = loopback(port)
			err = p.listen()
		}
		if err != nil && (!errors.Is(err, syscall.EADDRINUSE) || attempt == 5) {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		p.Cut()
		p.running.Wait()
	})
	return p
}

// Addr is "127.0.0.1:port".
func (p *FaultProxy) Addr() string { return p.addr }

// listen is called with the lock held, or before anybody else has the proxy.
func (p *FaultProxy) listen() error {
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("listening before %q: %w", p.target, err)
	}
	p.listener = l
	p.running.Go(func() { p.accept(l) })
	return nil
}

// Cut resets all connections and refuses new ones.
func (p *FaultProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for l := range p.links {
		l.reset()
	}
}

// Blackhole accepts connections and requests and loses them: nothing reaches the
// server, nothing comes back, and no side learns of it. Heal resets the connections
// that were in it.
func (p *FaultProxy) Blackhole() { p.set(func() { p.mode = swallow }) }

// Hold keeps everything back; Heal delivers it, in order, however late: a
// request may be carried out long after its client has given up.
func (p *FaultProxy) Hold() { p.set(func() { p.mode = hold }) }

// Delay lets everything arrive d later, in both directions, as on a long line:
// a request that waits for its answer takes 2d longer. 0 ends it.
func (p *FaultProxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// LoseRequest resets the connection instead of passing on the next n requests
// that contain part, in any case of letters; "" is any request.
func (p *FaultProxy) LoseRequest(part string, n int) { p.lose(part, n, false) }

// LoseAnswer passes on the next n requests that contain part, in any case of
// letters, and resets the connection when the server begins to answer: it has
// done what was asked, and the client cannot know. "" is any request; through
// TLS, nothing else is ever found.
func (p *FaultProxy) LoseAnswer(part string, n int) { p.lose(part, n, true) }

func (p *FaultProxy) lose(part string, n int, answer bool) {
	p.set(func() {
		p.rules = append(p.rules, &rule{part: []byte(strings.ToLower(part)), times: n, answer: answer})
	})
}

// Lost is how many requests and answers LoseRequest and LoseAnswer have taken.
func (p *FaultProxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Heal ends all faults. It fails when, after Cut, another program has taken the port.
func (p *FaultProxy) Heal() error {
	p.set(func() { p.mode, p.delay, p.rules = forward, 0, nil })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	return p.listen()
}

// set changes what happens to bytes. Connections in a black hole have lost some and
// cannot continue when it ends.
func (p *FaultProxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.mode
	change()
	if before == swallow && p.mode != swallow {
		for l := range p.links {
			l.reset()
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// find takes the first rule for a request and counts it. The caller holds the
// lock.
func (p *FaultProxy) find(request []byte) *rule {
	if len(p.rules) == 0 {
		return nil
	}
	request = bytes.ToLower(request)
	for _, r := range p.rules {
		if r.times > 0 && bytes.Contains(request, r.part) {
			r.times--
			return r
		}
	}
	return nil
}
