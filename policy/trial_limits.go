//go:build unix

package policy

import (
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// hardMemory is far above what a heap of trialMemory needs in all, and below
// what harms a machine at once.
const hardMemory = 4 << 30

// limitMemory calls exceeded when the heap grows over limit bytes; it looks
// every 5 ms, in which a process allocates some ten megabytes. Writable
// mappings are limited to hardMemory by the kernel, in case the watcher does not
// get to run, and processor time to twice the trial's, in case the
// parent dies.
func limitMemory(limit int64, exceeded func()) (stop func()) {
	// Where a limit cannot be lowered the watcher alone must do.
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: hardMemory, Max: hardMemory})
	cpu := uint64(2 * trialTimeout / time.Second)
	_ = unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: cpu, Max: cpu})
	done := make(chan struct{})
	ticker := time.NewTicker(5 * time.Millisecond)
	go func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				metrics.Read(sample)
				if sample[0].Value.Uint64() > uint64(limit) {
					exceeded()
				}
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}

// processorTime is what this process has used of its processors.
func processorTime() time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
