package redistest

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv makes the test binary a test that starts a server in the directory
// it names, says so, and waits to be killed.
const childEnv = "DIGESTGATE_REDISTEST_CHILD"

var servers Shared

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		s, err := startPlain(dir, Options{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.process.pid, s.addr)
		select {} // until killed
	}
	// The tests wait for servers and hardly compute: two at a time, as on the
	// smallest machine of CI, would take a minute.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(servers.Around(m))
}

// must ends the test when what it needs did not work.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// replicate sets a key and returns when a replica has it, which it need not
// when Redis acknowledges.
func replicate(t *testing.T, s *Server, key, value string) {
	t.Helper()
	conn := s.Client(t).Conn() // WAIT is about the writes of its connection
	defer conn.Close()
	must(t, conn.Set(t.Context(), key, value, 0).Err())
	must(t, conn.Do(t.Context(), "wait", 1, 0).Err())
}

// holds fails the test unless a key has a value; "" is no key.
func holds(t *testing.T, s *Server, key, want string) {
	t.Helper()
	got, err := s.Do("mget", key).Slice()
	if err != nil {
		t.Fatal(err)
	}
	if got[0] == nil {
		got[0] = ""
	}
	if got[0] != want {
		t.Errorf("%s of %s is %q, want %q", key, s.Addr(), got[0], want)
	}
}
