package listener

import (
	"io"
	"sync/atomic"
	"time"
)

const (
	// portion is what is read before a pause: a handshake, or some 20 streams of a
	// flood, of which those beyond the places are refused during the pause.
	portion = 2 << 10
	// known is how much waste a connection that was served may have before it
	// pauses too: the headers of all its streams, and what lies in the buffers of
	// its bodies for a moment.
	known = 64 << 10
	// breath is the first part of a pause. At most breathers take it at a time, the
	// others wait for theirs, so that a crowd is read as fast as those wake who
	// paused: the later, the more there is to do.
	breath    = 2 * time.Millisecond
	breathers = 4
	// Each step of waste makes the second part of a pause longer, up to longest: a
	// connection that nothing ends wastes 600 KiB, or 5,000 streams, in 10 s.
	step    = 16 << 10
	longest = 200 * time.Millisecond
)

// A pace slows the reading of a connection down by what it wastes: bytes that
// are no part of a body that somebody reads, since a request was last served.
// An honest caller sends little else and notices nothing: a new one whose first
// bodies wait to be read, because others have their turn, loses milliseconds. A
// flood is not all taken in before the first of it can be refused.
type pace struct {
	waste  atomic.Int64
	served atomic.Bool
	mark   int64         // the waste at the last pause; only the connection's reader looks at it
	turns  chan struct{} // of the server's connections: who takes the first part of a pause
}

// next pauses if it is time to and the connection is not gone, and returns how
// much may be read now.
func (p *pace) next(want int, gone *atomic.Bool) int {
	waste := p.waste.Load()
	p.mark = min(p.mark, waste)
	if p.served.Load() && waste < known {
		p.mark = waste
		return want
	}
	if waste-p.mark >= portion {
		p.turns <- struct{}{}
		if !gone.Load() {
			time.Sleep(breath)
		}
		<-p.turns
		if !gone.Load() {
			time.Sleep(min(longest, time.Duration(waste/step)*breath))
		}
		p.mark = waste
	}
	return min(want, portion)
}

// serve forgives half of the waste, and a portion: headers alone, of whatever
// size, never amount to a pause.
func (p *pace) serve() {
	p.served.Store(true)
	waste := p.waste.Load()
	p.waste.Add(-min(waste, waste/2+portion))
}

// useful is a body what is read of which is no waste.
type useful struct {
	io.ReadCloser
	pace *pace
}

// Read implements io.Reader.
func (u useful) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if left := u.pace.waste.Add(-int64(n)); left < 0 {
		u.pace.waste.CompareAndSwap(left, 0) // what was forgiven meanwhile is no credit
	}
	return n, err
}
