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
	// pauses, if bodies of it were refused or given up lately.
	known = 64 << 10
	// buffered is more than lies unread in the buffers of HTTP2 while handlers wait
	// for a processor, with the headers of all streams. Below it nothing is known to
	// be wrong with a connection none of whose bodies failed.
	buffered = 640 << 10
	// breath is the first part of a pause. At most breathers take it at a time, the
	// others wait for theirs, so that a crowd is read as fast as those wake who
	// paused: the later, the more there is to do.
	breath    = 2 * time.Millisecond
	breathers = 4
	// Each step of waste beyond what is tolerated makes the second part of a pause
	// longer, up to longest: 600 KiB, or 5,000 streams, take 10 s.
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
	failed atomic.Bool   // a body was refused or given up, and not as many requests were served since
	mark   int64         // the waste at the last pause; only the connection's reader looks at it
	turns  chan struct{} // of the server's connections: who takes the first part of a pause
}

// next pauses if it is time to and the connection is not gone, and returns how
// much may be read now.
func (p *pace) next(want int, gone *atomic.Bool) int {
	waste := p.waste.Load()
	p.mark = min(p.mark, waste)
	tolerated := int64(buffered)
	if p.failed.Load() {
		tolerated = known
	}
	if p.served.Load() && waste < tolerated {
		p.mark = waste
		return want
	}
	if waste-p.mark >= portion {
		p.turns <- struct{}{}
		if !gone.Load() {
			time.Sleep(breath)
		}
		<-p.turns
		if over := (waste - tolerated) / step; over > 0 && !gone.Load() {
			time.Sleep(min(longest, time.Duration(over)*breath))
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
