//go:build !linux || !(amd64 || arm64)

package sandbox

// Enter protects nothing here and says so.
func Enter(opt Options) (dir string, missing []string) {
	return opt.Dir, []string{Limits, Chroot, Landlock, User, Seccomp}
}

// Probe reports that nothing was tried.
func Probe([]string, string) []string { return []string{"everything: this system has no sandbox"} }
