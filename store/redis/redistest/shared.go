package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Shared are servers that the tests of a package share. They start when first
// asked for, so that a run of other tests costs nothing, and end with the
// package's tests:
//
//	var servers redistest.Shared
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }
//
// A test writes below a Prefix, and breaks nothing: no faults, no CONFIG SET,
// and no Reset while others run. The zero value is ready.
type Shared struct {
	// Options hold for all of them, except Dir.
	Options Options

	plain    lazy[*Server]
	cluster  lazy[*ClusterServers]
	sentinel lazy[*SentinelServers]
}

// Runner is what Shared needs of a testing.M.
type Runner interface {
	// Run runs the tests and returns the exit status.
	Run() int
}

// Around returns a Runner that runs the tests of m and then stops the servers.
func (s *Shared) Around(m Runner) Runner { return &around{m, s} }

type around struct {
	tests  Runner
	shared *Shared
}

// Run implements Runner.
func (a *around) Run() int {
	code := a.tests.Run()
	endDiallers()
	if err := a.shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, "ending the shared servers:", err)
		return max(code, 1)
	}
	return code
}

// Plain is the plain server.
func (s *Shared) Plain(tb testing.TB) *Server {
	tb.Helper()
	return get(tb, &s.plain, s.Options, startPlain, func(p *Server) []*Server { return []*Server{p} })
}

// Cluster is the cluster.
func (s *Shared) Cluster(tb testing.TB) *ClusterServers {
	tb.Helper()
	return get(tb, &s.cluster, s.Options, startCluster, func(c *ClusterServers) []*Server { return c.group.servers })
}

// Sentinel is the pair with its Sentinels.
func (s *Shared) Sentinel(tb testing.TB) *SentinelServers {
	tb.Helper()
	return get(tb, &s.sentinel, s.Options, startSentinel, func(p *SentinelServers) []*Server {
		return append(append([]*Server(nil), p.pair.servers...), p.sentinels.servers...)
	})
}

func (s *Shared) end() error { return errors.Join(s.plain.end(), s.cluster.end(), s.sentinel.end()) }

// lazy are servers that start once; a failure stays.
type lazy[T any] struct {
	once    sync.Once
	dir     string
	value   T
	servers []*Server
	err     error
}

// get starts what is shared or ends the test. It does not say again and again
// that a server is down which some test killed: the first to notice fails.
func get[T any](tb testing.TB, l *lazy[T], o Options, start func(string, Options) (T, error), servers func(T) []*Server) T {
	tb.Helper()
	l.once.Do(func() {
		if l.dir, l.err = os.MkdirTemp("", "redistest"); l.err != nil {
			return
		}
		if l.value, l.err = start(l.dir, o); l.err == nil {
			l.servers = servers(l.value)
		}
	})
	if l.err != nil {
		refuse(tb, l.err)
	}
	for _, s := range l.servers {
		if !s.answers() {
			tb.Fatalf("the shared server %q is down, it said:\n%s", s.addr, tail(filepath.Join(s.dir, "redis.log"), 0))
		}
	}
	return l.value
}

func (l *lazy[T]) end() error {
	var problems []error
	for _, s := range l.servers {
		problems = append(problems, s.Kill())
	}
	if l.dir != "" {
		problems = append(problems, os.RemoveAll(l.dir))
	}
	return errors.Join(problems...)
}
