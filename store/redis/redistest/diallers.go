package redistest

import (
	"bytes"
	"runtime"
	"time"
)

// endDiallers waits until go-redis has stopped looking for servers that were
// away. A pool whose server fails tries to reach it once a second in a goroutine
// that notices the end of the pool only afterwards (internal/pool, tryDial), so
// that it outlives the client by up to a second and a time-out of dialling. It
// gives up after half a minute: a client that is still open is for the check for
// leaks to report.
func endDiallers() {
	stacks := make([]byte, 4<<20)
	for range 300 {
		if !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("pool.(*ConnPool).tryDial")) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
