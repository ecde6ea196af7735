//go:build linux && (amd64 || arm64)

package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowed are the system calls of a Go program that computes, works on files
// below its directory and reads and writes an open connection. The list is what
// the runtime, os, net and the pure-Go SQLite call; a call that is missing here
// fails with EPERM and shows in the tests with the real child.
var allowed = []uint32{
	// memory, threads, time, signals
	unix.SYS_BRK, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE,
	unix.SYS_MINCORE, unix.SYS_MSYNC, unix.SYS_MEMBARRIER, unix.SYS_FUTEX, unix.SYS_SCHED_YIELD,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SET_TID_ADDRESS,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES,
	unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME,
	unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_GETRANDOM,
	// who am I
	unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID,
	unix.SYS_GETEGID, unix.SYS_GETRUSAGE, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_TIMES, unix.SYS_GETCWD,
	// descriptors
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64,
	unix.SYS_LSEEK, unix.SYS_CLOSE, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_FCNTL, unix.SYS_FLOCK,
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_COPY_FILE_RANGE,
	unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_FSTAT, unix.SYS_FSTATFS, unix.SYS_FCHMOD, unix.SYS_GETDENTS64,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_PPOLL, unix.SYS_PSELECT6,
	unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
	unix.SYS_GETSOCKOPT,
	// files
	unix.SYS_OPENAT, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2,
	unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_FCHMODAT, unix.SYS_STATX,
	unix.SYS_STATFS, unix.SYS_TRUNCATE, unix.SYS_UTIMENSAT, unix.SYS_UMASK,
}

// condition allows a call whose first argument has all of bits of mask equal to
// value (low 32 bits; the high ones are not looked at, as the calls below take
// 32-bit numbers).
type condition struct{ call, mask, value uint32 }

// program is the filter as classic BPF over struct seccomp_data: one comparison
// and one return per call, in the open, so that it can be read. The library
// made for this forgets to reload the call's number after a condition, which
// would let an argument pass for one.
func program(pid int) []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atMost = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		and    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		ret    = unix.BPF_RET | unix.BPF_K
		nr     = 0  // offsetof(struct seccomp_data, nr)
		arch   = 4  // offsetof(struct seccomp_data, arch)
		arg0   = 16 // offsetof(struct seccomp_data, args[0]), low half: both architectures are little-endian
		x32    = 0x40000000
		allow  = unix.SECCOMP_RET_ALLOW
		refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		unable = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	)
	p := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: equal, K: auditArch, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: nr},
		{Code: atMost, K: x32, Jf: 1},
		{Code: ret, K: refuse},
	}
	for _, call := range append(append([]uint32{}, allowed...), allowedHere...) {
		p = append(p, unix.SockFilter{Code: equal, K: call, Jf: 1}, unix.SockFilter{Code: ret, K: allow})
	}
	// clone3 hides its flags in memory; "not implemented" makes a C library
	// fall back to clone.
	p = append(p, unix.SockFilter{Code: equal, K: unix.SYS_CLONE3, Jf: 1}, unix.SockFilter{Code: ret, K: unable})
	for _, c := range []condition{
		{unix.SYS_CLONE, unix.CLONE_THREAD, unix.CLONE_THREAD}, // threads, no processes
		{unix.SYS_TGKILL, ^uint32(0), uint32(pid)},             // the runtime interrupts its own threads
		{unix.SYS_PRCTL, ^uint32(0), unix.PR_SET_VMA},          // the runtime names its memory
	} {
		p = append(p,
			unix.SockFilter{Code: equal, K: c.call, Jf: 5},
			unix.SockFilter{Code: load, K: arg0},
			unix.SockFilter{Code: and, K: c.mask},
			unix.SockFilter{Code: equal, K: c.value, Jf: 1},
			unix.SockFilter{Code: ret, K: allow},
			unix.SockFilter{Code: ret, K: refuse},
		)
	}
	return append(p, unix.SockFilter{Code: ret, K: refuse})
}

func setFilter(p []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	if r != 0 { // the thread that could not be synchronised
		return unix.ESRCH
	}
	return nil
}
