//go:build linux && (amd64 || arm64)

package sandbox

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/digestgate/digestgate/gate"
)

// Probe tries what a sandboxed process must not be able to do and returns a sentence
// for each that succeeded; nothing when the sandbox holds. It opens the named files for
// reading, connects to address ("" for none), and tries sockets, processes, programs,
// debugging, signals and kernel interfaces. Use it in a process that does nothing else:
// what succeeds has effects.
func Probe(files []string, address string) []string {
	var reached []string
	for _, a := range attempts(address) {
		if a.try() {
			reached = append(reached, a.what)
		}
	}
	for _, f := range append(files, "/proc/self/environ", "/etc/passwd", "/proc/"+strconv.Itoa(os.Getppid())+"/environ") {
		if fd, err := unix.Open(f, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			unix.Close(fd)
			reached = append(reached, "read "+gate.Printable(f, 200))
		}
	}
	return reached
}

type attempt struct {
	what string
	try  func() bool
}

func attempts(address string) []attempt {
	return []attempt{
		{"open an internet socket", func() bool { return socket(unix.AF_INET) }},
		{"open an IPv6 socket", func() bool { return socket(unix.AF_INET6) }},
		{"open a local socket", func() bool { return socket(unix.AF_UNIX) }},
		{"open a netlink socket", func() bool { return socket(unix.AF_NETLINK) }},
		{"connect to the network", func() bool { return connect(address) }},
		{"use another connection", func() bool { return sockets() > 1 }},
		{"start a process", fork},
		{"run a program", execute},
		{"debug a process", debug},
		{"signal another process", func() bool { return call(unix.SYS_KILL, uintptr(os.Getppid()), 0, 0) }},
		{"make a namespace", func() bool { return call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0) }},
		{"use io_uring", func() bool {
			var params [120]byte
			return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
		}},
		{"watch performance counters", func() bool {
			attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
			fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, 0)
			if err == nil {
				unix.Close(fd)
			}
			return err == nil
		}},
		{"write outside its directory", func() bool {
			// One level above the directory that it was given.
			f := filepath.Join(os.TempDir(), "..", ".digestgate-probe")
			if filepath.Dir(f) == "/" {
				return false // its directory is the root
			}
			fd, err := unix.Open(f, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
			if err == nil {
				unix.Close(fd)
				os.Remove(f)
			}
			return err == nil
		}},
	}
}

func call(nr, a, b, c uintptr) bool {
	_, _, errno := unix.Syscall(nr, a, b, c)
	return errno == 0
}

func socket(family int) bool {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if family == unix.AF_NETLINK {
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	}
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

func connect(address string) bool {
	if address == "" {
		return false
	}
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// sockets counts the sockets among the open descriptors. One is the connection
// to the parent; a second would be another child's.
func sockets() int {
	n := 0
	for fd := range 512 {
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil {
			n++
		}
	}
	return n
}

// fork ends the new process at once and in the same breath: nothing of Go may
// run in it.
func fork() bool {
	pid, errno := rawFork()
	if errno != 0 {
		return false
	}
	var status unix.WaitStatus
	_, _ = unix.Wait4(int(pid), &status, 0, nil)
	return true
}

// debug asks for a process that does not exist. (Asking to be traced would stop
// this process at its next signal, for good.)
func debug() bool {
	_, _, errno := unix.Syscall(unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1<<22+1, 0)
	return errno != unix.EPERM
}

// execute asks for a program that does not exist: any answer but "not
// permitted" means that an existing one would run.
func execute() bool {
	err := syscall.Exec("/nonexistent/digestgate-probe", []string{"probe"}, nil)
	return err != syscall.EPERM && err != syscall.EACCES
}
