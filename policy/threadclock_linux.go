package policy

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadClock measures the processor time of the calling thread, to which its goroutine
// is locked, from now on. The number of such a clock is made of the thread's
// (clock_getcpuclockid(3); include/linux/posix-timers.h: make_thread_cpuclock with
// CPUCLOCK_SCHED). When the thread has ended, and where the kernel has no such clock, it
// is the time that has passed.
func threadClock() (spent func() time.Duration) {
	const perThread, sched = 4, 2
	clock := int32(^unix.Gettid()<<3 | perThread | sched)
	began := time.Now()
	var before unix.Timespec
	if unix.ClockGettime(clock, &before) != nil {
		return func() time.Duration { return time.Since(began) }
	}
	return func() time.Duration {
		var now unix.Timespec
		if unix.ClockGettime(clock, &now) != nil {
			return time.Since(began)
		}
		return time.Duration(now.Nano() - before.Nano())
	}
}
