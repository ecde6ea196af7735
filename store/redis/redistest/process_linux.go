package redistest

import "syscall"

// attributes give a process a group of its own, so that Ctrl-C in the terminal
// reaches the test only, and let it die with this one.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
