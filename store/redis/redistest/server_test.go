package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestKilledServerKeepsItsAOF(t *testing.T) {
	t.Parallel()
	for aof, want := range map[string]string{"always": "1", "": ""} {
		s := Plain(t, Options{AOF: aof})
		must(t, s.Do("set", "a", 1).Err())
		must(t, s.Kill())
		if s.Running() || s.Do("ping").Err() == nil {
			t.Errorf("AOF %q: a killed server answers", aof)
		}
		must(t, s.Kill())
		must(t, s.Start())
		holds(t, s, "a", want)
		if err := s.Start(); err == nil {
			t.Errorf("AOF %q: a server that runs started again", aof)
		}
	}
}

func TestRestoreLosesWhatCameAfter(t *testing.T) {
	t.Parallel()
	s := Plain(t, Options{AOF: "always"})
	must(t, s.Do("set", "early", 1).Err())
	snapshot, err := s.Snapshot()
	must(t, err)
	must(t, s.Do("set", "late", 1).Err())
	if err := s.Restore(snapshot); err == nil {
		t.Error("Restore under a server that runs")
	}
	must(t, s.Kill())
	must(t, s.Start())
	holds(t, s, "late", "1") // it is the snapshot that loses, not the kill
	for range 2 {
		must(t, s.Kill())
		must(t, s.Restore(snapshot))
		must(t, s.Start())
		holds(t, s, "early", "1")
		holds(t, s, "late", "")
		must(t, s.Do("set", "late", 2).Err())
	}
}

func TestSnapshotLeavesAPausedServerPaused(t *testing.T) {
	t.Parallel()
	s := Plain(t, Options{AOF: "always"})
	must(t, s.Pause())
	_, err := s.Snapshot()
	must(t, err)
	if s.answers() {
		t.Error("Snapshot resumed the server")
	}
	must(t, s.Resume())
	must(t, s.Do("ping").Err())
}

func TestPausedServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := Plain(t, Options{})
	c := s.Client(t)
	must(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Set(ctx, "a", 1, 0).Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused: %v, want that the deadline passes", err)
	}
	if !s.Running() || s.answers() {
		t.Error("a paused server runs and does not answer")
	}
	must(t, s.Resume())
	must(t, c.Set(t.Context(), "a", 1, 0).Err())
	must(t, s.Kill())
	if err := errors.Join(s.Pause(), s.Resume()); !errors.Is(err, errDown) {
		t.Errorf("pausing a dead server: %v", err)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	s := Plain(t, Options{AOF: "always"})
	must(t, s.Do("set", "a", 1).Err())
	must(t, s.Reset())
	holds(t, s, "a", "")
	must(t, s.Kill())
	must(t, s.Start())
	holds(t, s, "a", "")
	must(t, s.Kill())
	if s.Reset() == nil {
		t.Error("Reset of a dead server worked")
	}
}

func TestAsksForCredentials(t *testing.T) {
	t.Parallel()
	ask := func(s *Server, username, password string) error {
		o := s.clientOptions()
		o.Username, o.Password = username, password
		c := redis.NewClient(o)
		defer c.Close()
		return c.Get(t.Context(), "app:a").Err()
	}
	s := Plain(t, Options{Password: `p"w`})
	if err := ask(s, "", ""); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("without the password: %v", err)
	}
	if err := ask(s, "", `p"w`); !errors.Is(err, redis.Nil) {
		t.Errorf("with the password: %v", err)
	}

	s = Plain(t, Options{ACL: []string{"user default off", "user app on >secret ~app:* +get"}})
	if err := ask(s, "", ""); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("default user: %v", err)
	}
	if err := ask(s, "app", "secret"); !errors.Is(err, redis.Nil) {
		t.Errorf("user of the ACL: %v", err)
	}
	must(t, s.Do("set", "other", 1).Err())
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := Plain(t, Options{TLS: true})
	must(t, s.Do("set", "a", 1).Err())
	if !strings.HasPrefix(s.URL(), "rediss://") {
		t.Errorf("URL %q", s.URL())
	}
	if pem, err := os.ReadFile(s.CAFile()); err != nil || !strings.Contains(string(pem), "BEGIN CERTIFICATE") {
		t.Errorf("CA file: %q, %v", pem, err)
	}
	o := s.clientOptions()
	o.TLSConfig, o.MaxRetries = nil, -1
	plain := redis.NewClient(o)
	defer plain.Close()
	if plain.Ping(t.Context()).Err() == nil {
		t.Error("it answers without TLS")
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	s := Plain(t, Options{AOF: "everysec", MaxMemory: "3mb", MaxMemoryPolicy: "allkeys-lru", Config: []string{"databases 3", "auto-aof-rewrite-percentage 50"}})
	for name, want := range map[string]string{
		"maxmemory": strconv.Itoa(3 << 20), "maxmemory-policy": "allkeys-lru", "databases": "3", "save": "",
		"appendonly": "yes", "appendfsync": "everysec", "bind": "127.0.0.1", "auto-aof-rewrite-percentage": "50",
	} {
		got, err := mapOf(s.Do("config", "get", name))
		if err != nil || got[name] != want {
			t.Errorf("%s: %q, %v, want %q", name, got[name], err, want)
		}
	}
	if s.URL() != "redis://"+s.Addr()+"/0" || s.CAFile() != "" {
		t.Errorf("URL %q, CA %q", s.URL(), s.CAFile())
	}
	dir := t.TempDir()
	if s = Plain(t, Options{Dir: dir}); filepath.Dir(s.Dir()) != dir {
		t.Errorf("data in %q, want below %q", s.Dir(), dir)
	}
}

func TestSaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	Available(t)
	for o, want := range map[*Options]string{
		{Config: []string{"no-such-directive yes"}}:          "no-such-directive",
		{AOF: "sometimes"}:                                   "appendfsync",
		{ACL: []string{"user a on"}, Password: "p"}:          "password",
		{ACL: []string{"user a on nopass +no-such-command"}}: "no-such-command",
	} {
		s, err := startPlain(t.TempDir(), *o)
		if err == nil {
			_ = s.Kill()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want a word on %q", *o, err, want)
		}
	}
}

// TestTakesAnotherPort lets somebody else have the port that was found free.
func TestTakesAnotherPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	g, err := newGroup(t.TempDir(), Options{})
	if err != nil {
		refuse(t, err)
	}
	asked := 0
	g.port = func() (int, error) {
		if asked++; asked == 1 {
			return l.Addr().(*net.TCPAddr).Port, nil
		}
		return freePort()
	}
	s, err := g.start("server")
	must(t, err)
	defer g.end()
	must(t, s.Do("ping").Err())
	if asked != 2 || s.Addr() == l.Addr().String() {
		t.Errorf("%d ports asked for, %q taken", asked, s.Addr())
	}

	// Another server on the port is not taken for this one.
	asked, taken := 0, s.Addr()
	g.port = func() (int, error) {
		asked++
		_, port, _ := net.SplitHostPort(taken)
		return strconv.Atoi(port)
	}
	if _, err := g.start("other"); !errors.Is(err, errPortTaken) || asked != 5 {
		t.Errorf("on a port that is never free: %v after %d attempts", err, asked)
	}
}

func TestPrefixesDiffer(t *testing.T) {
	if a, b := Prefix(), Prefix(); a == b || len(a) < 20 {
		t.Errorf("%q, %q", a, b)
	}
}
