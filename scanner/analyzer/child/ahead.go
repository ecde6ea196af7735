//go:build goexperiment.jsonv2

package child

import "io"

// ahead reads from another reader in a goroutine, a few blocks ahead, so that unpacking
// and analysing run side by side. It is for one reader; close ends the goroutine.
type ahead struct {
	blocks chan block
	free   chan []byte
	stop   chan struct{}
	now    block
	used   []byte // the whole of now, to be given back
}

type block struct {
	data []byte
	err  error
}

// aheadBlocks of aheadBytes is how much is unpacked and not yet read.
const (
	aheadBlocks = 8
	aheadBytes  = 256 << 10
)

func newAhead(r io.Reader) *ahead {
	a := &ahead{blocks: make(chan block, aheadBlocks), free: make(chan []byte, aheadBlocks+2), stop: make(chan struct{})}
	go func() {
		for made := 0; ; {
			var buf []byte
			select {
			case buf = <-a.free:
			case <-a.stop:
				return
			default:
			}
			if buf == nil && made < aheadBlocks+2 { // a small layer needs one or two
				buf = make([]byte, aheadBytes)
				made++
			}
			if buf == nil {
				select {
				case buf = <-a.free:
				case <-a.stop:
					return
				}
			}
			n, err := io.ReadFull(r, buf[:aheadBytes])
			if err == io.ErrUnexpectedEOF {
				err = io.EOF // the last block is not full
			}
			a.blocks <- block{buf[:n], err}
			if err != nil {
				return
			}
		}
	}()
	return a
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.now.data) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.used != nil {
			a.free <- a.used
		}
		a.now = <-a.blocks
		a.used = a.now.data
	}
	n := copy(p, a.now.data)
	a.now.data = a.now.data[n:]
	return n, nil
}

// close ends the goroutine; the reader below may still be read once.
func (a *ahead) close() { close(a.stop) }
