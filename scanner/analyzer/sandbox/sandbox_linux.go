//go:build linux && (amd64 || arm64)

package sandbox

import (
	"os"
	"runtime"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Enter sets up the sandbox for the whole process. It returns the name under
// which opt.Dir is reachable from then on and the protections that could not be
// set up. Call it once, from the main goroutine, before anything hostile is
// read. TMPDIR and HOME are set to the directory.
func Enter(opt Options) (dir string, missing []string) {
	dir = opt.Dir
	if err := limit(opt); err != nil {
		missing = append(missing, Limits)
	}
	if err := chroot(dir); err != nil {
		missing = append(missing, Chroot)
	} else {
		dir = "/"
	}
	if err := restrictFiles(dir); err != nil {
		missing = append(missing, Landlock)
	}
	if err := dropUser(dir); err != nil {
		missing = append(missing, User)
	}
	os.Setenv("TMPDIR", dir)
	os.Setenv("HOME", dir)
	if err := loadFilter(); err != nil {
		missing = append(missing, Seccomp)
	}
	return dir, missing
}

func limit(opt Options) error {
	set := func(resource int, value int64) error {
		if value <= 0 {
			return nil
		}
		return unix.Setrlimit(resource, &unix.Rlimit{Cur: uint64(value), Max: uint64(value)})
	}
	// 512 descriptors: the analysers open a handful of files at a time.
	if err := set(unix.RLIMIT_NOFILE, 512); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	if err := set(unix.RLIMIT_DATA, opt.DataBytes); err != nil {
		return err
	}
	if err := set(unix.RLIMIT_FSIZE, opt.FileBytes); err != nil {
		return err
	}
	return set(unix.RLIMIT_CPU, opt.CPUSeconds)
}

func chroot(dir string) error {
	if err := unix.Chroot(dir); err != nil {
		return err
	}
	return unix.Chdir("/")
}

func restrictFiles(dir string) error {
	abi, err := llsys.LandlockGetABIVersion()
	if err != nil {
		return err
	}
	if abi < 1 {
		return unix.ENOSYS
	}
	return landlock.V9.BestEffort().Restrict(landlock.RWDirs(dir))
}

// dropUser becomes the owner of the directory when it may, and gives up all
// capabilities when it may not: in a user namespace there is no other user to
// become, but the capabilities there still open parts of the kernel.
func dropUser(dir string) error {
	if unix.Geteuid() != 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	if st.Uid == 0 {
		return dropCapabilities()
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(int(st.Gid)); err != nil {
		return err
	}
	if err := syscall.Setuid(int(st.Uid)); err != nil {
		return err
	}
	// Changing the user cleared the parent-death signal that the parent had
	// set (prctl(2)).
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}

// loadFilter applies to all threads, those that the runtime starts later too.
func loadFilter() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return setFilter(program(unix.Getpid()))
}
