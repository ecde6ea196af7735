//go:build linux

package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// allowedHere are the forms of allowed calls that only this architecture has.
var allowedHere = []uint32{unix.SYS_FSTATAT}
