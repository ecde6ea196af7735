// Package sandbox takes away from the calling process everything that parsing
// hostile bytes does not need. The analyzer child enters it before it reads the
// first of them; there is no way back.
//
// The layers of protection, each independent of the others:
//
//   - resource limits (memory, file size, processor time, descriptors, no core);
//   - a root directory of its own, where the process may call chroot: as root,
//     or in a user namespace that the parent made;
//   - Landlock, where the kernel has it: no file outside the working directory,
//     no TCP, no signals to others;
//   - another user, when started by root in a directory that belongs to one;
//   - no new privileges, and a seccomp filter on all threads that knows the
//     system calls of a Go program working on memory, files and an open
//     connection. Everything else (sockets, connecting, starting processes,
//     ptrace, mounting, io_uring, bpf, keys, …) answers EPERM.
//
// What could not be set up is reported, never fatal: the parent decides, by what
// the probe child could reach, whether that is good enough (scan.isolation).
// Linux only; elsewhere everything is missing.
package sandbox

// Options describe the sandbox. Zero limits mean no limit.
type Options struct {
	Dir        string // the only directory that stays usable; it should be empty
	DataBytes  int64  // RLIMIT_DATA
	FileBytes  int64  // RLIMIT_FSIZE
	CPUSeconds int64  // RLIMIT_CPU
}

// The names of the protections, as they appear in an inventory and in /readyz
// when they are missing.
const (
	Limits   = "resource limits"
	Chroot   = "own root directory"
	Landlock = "landlock"
	User     = "unprivileged user"
	Seccomp  = "seccomp filter"
)
