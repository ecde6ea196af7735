//go:build unix && !linux

package redistest

import "syscall"

// attributes give a process a group of its own. It survives a test that is
// killed: only Linux has a signal for that.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
