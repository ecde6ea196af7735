package redistest

import (
	"context"
	"net"
	"time"
)

// link is a client's connection and the one to the server that belongs to it.
type link struct {
	proxy          *FaultProxy
	client, server *net.TCPConn // server is nil in a black hole
	ctx            context.Context
	end            context.CancelFunc
	// loseAnswer is that the server's next bytes end it; with the proxy's lock.
	loseAnswer bool
}

// chunk is what was read at once.
type chunk struct {
	bytes []byte
	at    time.Time
}

func (p *FaultProxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		k := &link{proxy: p, client: conn.(*net.TCPConn)}
		k.ctx, k.end = context.WithCancel(context.Background())
		p.mu.Lock()
		if p.listener != l {
			k.reset()
		} else {
			p.links[k] = struct{}{}
			p.running.Go(k.serve)
		}
		p.mu.Unlock()
	}
}

// serve forwards until one side ends or the link is reset.
func (k *link) serve() {
	defer k.remove()
	server := make(chan chunk)
	client := k.read(k.client)
	if !k.proxy.swallows() {
		conn, err := new(net.Dialer).DialContext(k.ctx, "tcp", k.proxy.target)
		if err != nil {
			k.reset()
			return
		}
		k.server = conn.(*net.TCPConn)
		defer k.server.Close()
		server = k.read(k.server)
	}
	done := make(chan struct{})
	k.proxy.running.Go(func() {
		defer close(done)
		defer k.end()
		k.write(client, k.server, k.request)
	})
	k.write(server, k.client, k.answer)
	k.end()
	<-done
}

// read reads ahead, so that a delay does not slow down what comes after.
func (k *link) read(from net.Conn) chan chunk {
	out := make(chan chunk, 64) // more than ever waits; 2 MiB
	k.proxy.running.Go(func() {
		defer close(out)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				select {
				case out <- chunk{b[:n], time.Now()}:
				case <-k.ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	return out
}

// write forwards what check lets pass, and returns when the source or the link
// ends.
func (k *link) write(from <-chan chunk, to *net.TCPConn, check func([]byte) bool) {
	for {
		var c chunk
		var ok bool
		select {
		case c, ok = <-from:
		case <-k.ctx.Done():
		}
		if !ok {
			return
		}
		deliver, ok := k.wait(c.at)
		if !ok || (deliver && !check(c.bytes)) {
			return
		}
		if deliver {
			if _, err := to.Write(c.bytes); err != nil {
				return
			}
		}
	}
}

// wait returns when it is time to deliver what arrived at a time, or to
// swallow it; not ok is that the link has ended.
func (k *link) wait(at time.Time) (deliver, ok bool) {
	p := k.proxy
	for {
		p.mu.Lock()
		mode, due, changed := p.mode, at.Add(p.delay), p.changed
		p.mu.Unlock()
		if mode == swallow {
			return false, true
		}
		var timer <-chan time.Time
		if mode == forward {
			left := time.Until(due)
			if left <= 0 {
				return k.ctx.Err() == nil && k.server != nil, true
			}
			timer = time.After(left)
		}
		select {
		case <-timer:
		case <-changed:
		case <-k.ctx.Done():
			return false, false
		}
	}
}

// request tells whether a request may pass.
func (k *link) request(b []byte) bool {
	k.proxy.mu.Lock()
	defer k.proxy.mu.Unlock()
	switch r := k.proxy.find(b); {
	case r == nil:
	case r.answer:
		k.loseAnswer = true
	default:
		k.proxy.lost++
		k.reset()
		return false
	}
	return true
}

// answer tells whether an answer may pass.
func (k *link) answer([]byte) bool {
	k.proxy.mu.Lock()
	defer k.proxy.mu.Unlock()
	if k.loseAnswer {
		k.proxy.lost++
		k.reset()
		return false
	}
	return true
}

// reset ends the link with a RST to the client.
func (k *link) reset() {
	_ = k.client.SetLinger(0) // of a connection that is closed
	k.client.Close()
	k.end()
}

func (k *link) remove() {
	k.end()
	k.client.Close()
	k.proxy.mu.Lock()
	defer k.proxy.mu.Unlock()
	delete(k.proxy.links, k)
}

func (p *FaultProxy) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode == swallow
}
