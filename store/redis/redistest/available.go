package redistest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

const (
	// program is the server; with --sentinel it is a Sentinel.
	program = "redis-server"
	install = "apt-get install redis-server"
	// oldest is the first major version with DEBUG for loopback clients only,
	// CLUSTER ADDSLOTSRANGE and the AOF as a directory.
	oldest = 7
)

// errUnavailable is that this machine has no redis-server that can be used.
var errUnavailable = errors.New("no usable redis-server; install it: " + install)

// versionPattern is found in "Redis server v=7.0.15 sha=00000000:0 …".
var versionPattern = regexp.MustCompile(`\bv=((\d+)\.[0-9.]+)`)

// Available skips the test, naming the command that installs one, when no
// redis-server is on the PATH; when the environment says CI=true, it fails it.
// All constructors of the package do the same.
func Available(tb testing.TB) {
	tb.Helper()
	if _, err := Version(); err != nil {
		refuse(tb, err)
	}
}

// Version is the version of the redis-server on the PATH, such as "7.0.15".
func Version() (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnavailable, err)
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking %q for its version: %w", path, err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("reading the version of %q: not in %q", path, out)
	}
	if major, err := strconv.Atoi(string(m[2])); err != nil || major < oldest {
		return "", fmt.Errorf("%w: %q is %s, want %d or later", errUnavailable, path, m[1], oldest)
	}
	return string(m[1]), nil
}

// skippable tells whether an error may skip a test: CI must run them all.
func skippable(err error) bool {
	ci, _ := strconv.ParseBool(os.Getenv("CI"))
	return errors.Is(err, errUnavailable) && !ci
}
