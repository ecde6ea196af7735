//go:build !linux

package analyzer

import "syscall"

type namespaces int

const (
	plainSpaces namespaces = iota
	rootSpaces
	userSpaces
)

const spacesMissing = "own namespaces"

func (n namespaces) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
