package analyzer

import (
	"os"
	"syscall"
)

// namespaces is how much of the system a child does not even see.
type namespaces int

const (
	// plainSpaces: none; the sandbox alone protects.
	plainSpaces namespaces = iota
	// rootSpaces: network, processes, IPC and host name of its own; needs
	// CAP_SYS_ADMIN.
	rootSpaces
	// userSpaces: the same in a user namespace, which unprivileged processes may
	// make on many systems.
	userSpaces
)

// spacesMissing is the name of the protection in an inventory.
const spacesMissing = "own namespaces"

// attributes are how a child is started: killed with the worker, in a process
// group of its own, in its namespaces.
func (n namespaces) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if n == plainSpaces {
		return a
	}
	a.Cloneflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	if n == userSpaces {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return a
}
