package redistest

import (
	"fmt"
	"os"
	"testing"
)

func TestSharedIsOne(t *testing.T) {
	t.Parallel()
	if s := servers.Sentinel(t); s != servers.Sentinel(t) || s.Name() == "" || len(s.Addrs()) != sentinels {
		t.Error("two Sentinel pairs")
	}
	if s := servers.Cluster(t); s != servers.Cluster(t) {
		t.Error("two clusters")
	}
	first := servers.Plain(t)
	for i := range 50 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s, key := servers.Plain(t), Prefix()
			if s != first {
				t.Error("two plain servers")
			}
			holds(t, s, key, "")
			must(t, s.Do("set", key, i).Err())
			holds(t, s, key, fmt.Sprint(i))
		})
	}
}

// tests stand for a testing.M.
type tests func() int

func (f tests) Run() int { return f() }

func TestSharedEndsWithTheTests(t *testing.T) {
	t.Parallel()
	Available(t)
	var shared Shared
	var s *Server
	code := shared.Around(tests(func() int {
		s = shared.Plain(t)
		return 7
	})).Run()
	if code != 7 || s.Running() {
		t.Errorf("code %d, server runs: %t", code, s.Running())
	}
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("its directory: %v", err)
	}
}

func TestSharedSaysThatAServerIsDown(t *testing.T) {
	t.Parallel()
	var shared Shared
	s := shared.Plain(t)
	must(t, s.Kill())
	v := &verdict{TB: t}
	v.of(func() { shared.Plain(v) })
	if v.failed == "" {
		t.Error("a dead server is handed out")
	}
	must(t, shared.end())
}
