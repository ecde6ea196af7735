package listener

import (
	"io"
	"sync/atomic"
	"time"
)

const (
	// portion is how much is read before a pause: a handshake, or some 20 streams of a
	// flood; those for which there is no place are refused during the pause.
	portion = 2 << 10
	// known is how much waste a connection that was served may have before it
	// pauses, if bodies of it were refused or given up lately.
	known = 64 << 10
	// buffered is more than the unread bytes in the buffers of HTTP2 while handlers
	// wait for a processor, with the headers of all streams. Below it, nothing shows
	// that a connection none of whose bodies failed does anything wrong.
	buffered = 640 << 10
	// breath is the first part of a pause. At most breathers connections take it at a
	// time and the others wait for their turn. So a crowd is read only as fast as the
	// pausing ones wake, and they wake later the more the process has to do.
	breath    = 2 * time.Millisecond
	breathers = 4
	// Each step of waste beyond what is tolerated makes the second part of a pause
	// longer, up to longest: 600 KiB, or 5,000 streams, take 10 s.
	step    = 16 << 10
	longest = 200 * time.Millisecond
)

// A pace slows down the reading of a connection the more it wastes. Waste is the bytes
// that are not part of a body which a handler reads; each request that is served
// forgives some of it. An honest caller sends little waste and notices nothing; a new
// one whose first bodies wait to be read, because others have their turn, loses
// milliseconds. A flood is not taken in whole before its first part can be refused.
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

// serve forgives half of the waste and one portion more, so that headers alone,
// whatever their size, never lead to a pause.
func (p *pace) serve() {
	p.served.Store(true)
	waste := p.waste.Load()
	p.waste.Add(-min(waste, waste/2+portion))
}

// useful is a body whose bytes stop being waste once they are read.
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
