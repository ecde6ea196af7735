package redistest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

const (
	// serverEnv names the server to use instead of that on the PATH. Without the
	// prefix DIGESTGATE_: the programs that tests start take only their own.
	serverEnv = "REDISTEST_SERVER"
	// program is the server; with --sentinel it is a Sentinel.
	program = "redis-server"
	install = "apt-get install redis-server"
	// oldestMajor and oldestMinor are the first version that the product works
	// with, see docs/redis.md.
	oldestMajor, oldestMinor = 6, 2
)

// errUnavailable is that this machine has no redis-server that can be used.
var errUnavailable = errors.New("no usable redis-server; install it: " + install)

// versionPattern is found in "Redis server v=7.0.15 sha=00000000:0 …", and in
// what Valkey says.
var versionPattern = regexp.MustCompile(`^(\w+) server v=((\d+)\.(\d+)[0-9.]*)`)

// Available skips the test, naming the command that installs one, when no
// redis-server is on the PATH; when the environment says CI=true, it fails it.
// All constructors of the package do the same.
func Available(tb testing.TB) {
	tb.Helper()
	if _, err := Version(); err != nil {
		refuse(tb, err)
	}
}

// Version is what the server is, such as "Redis 7.0.15".
func Version() (string, error) {
	v, err := version()
	return v.text, err
}

// release is a version of a server.
type release struct {
	text         string
	major, minor int
}

// before tells whether a version is older than another.
func (r release) before(major, minor int) bool {
	return r.major < major || r.major == major && r.minor < minor
}

func version() (release, error) {
	path, err := executable()
	if err != nil {
		return release{}, err
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return release{}, fmt.Errorf("asking %q for its version: %w", path, err)
	}
	m := versionPattern.FindStringSubmatch(string(out))
	if m == nil {
		return release{}, fmt.Errorf("reading the version of %q: not in %q", path, out)
	}
	r := release{text: m[1] + " " + m[2]}
	r.major, _ = strconv.Atoi(m[3]) // the pattern has digits only
	r.minor, _ = strconv.Atoi(m[4])
	if r.before(oldestMajor, oldestMinor) {
		return release{}, fmt.Errorf("%w: %q is %s, want %d.%d or later", errUnavailable, path, r.text, oldestMajor, oldestMinor)
	}
	return r, nil
}

// executable is the server to start. One that is named and not there is an error
// of whoever named it, and skips nothing.
func executable() (string, error) {
	if named := os.Getenv(serverEnv); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%s: %w", serverEnv, err)
		}
		return path, nil
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return path, nil
}

// Required runs tests that are nothing without a redis-server. Where Available
// would skip each of them, none runs, and the go command shows "[no tests to
// run]" beside the package instead of a silent ok; where it would fail them, the
// package fails.
func Required(m Runner) Runner { return required{m, os.Stdout} }

type required struct {
	tests Runner
	out   io.Writer
}

// Run implements Runner.
func (r required) Run() int {
	_, err := Version()
	if err == nil {
		defer endDiallers()
		return r.tests.Run()
	}
	fmt.Fprintln(r.out, err)
	if !skippable(err) {
		return 1
	}
	// cmd/go looks for this line of package testing.
	fmt.Fprintln(r.out, "testing: warning: no tests to run")
	return 0
}

// skippable tells whether an error may skip a test: CI must run them all.
func skippable(err error) bool {
	ci, _ := strconv.ParseBool(os.Getenv("CI"))
	return errors.Is(err, errUnavailable) && !ci
}
