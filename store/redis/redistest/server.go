package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is one redis-server, or a Sentinel.
type Server struct {
	dir   string
	addr  string
	admin credentials
	certs *certificates

	mu      sync.Mutex // held while the process is started or ended
	process *process
	paused  bool
}

// credentials are those of a user that may do everything; the zero value is a
// server that asks for none.
type credentials struct{ username, password string }

// Plain starts a server that ends with the test.
func Plain(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := startPlain(dirFor(tb, o), o)
	if err != nil {
		refuse(tb, err)
	}
	tb.Cleanup(func() {
		if err := s.Kill(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func startPlain(dir string, o Options) (*Server, error) {
	g, err := newGroup(dir, o)
	if err != nil {
		return nil, err
	}
	return g.start("server")
}

// Addr is "127.0.0.1:port"; it stays when the server is started again.
func (s *Server) Addr() string { return s.addr }

// URL is the address with its scheme and database 0, without user or password.
func (s *Server) URL() string { return s.certs.scheme() + "://" + s.addr + "/0" }

// CAFile is the certificate to trust, "" without TLS.
func (s *Server) CAFile() string { return s.certs.file() }

// Dir is where the server keeps its configuration, its log and, in data, its
// data.
func (s *Server) Dir() string { return s.dir }

// Client is a client of the user that may do everything; it is closed with the
// test.
func (s *Server) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	c := redis.NewClient(s.clientOptions())
	closeWith(tb, c)
	return c
}

// Do sends one command over a connection of its own, so that no state of the
// server leaves anything behind here. It is never repeated.
func (s *Server) Do(args ...any) *redis.Cmd { return s.do(context.Background(), args...) }

func (s *Server) do(ctx context.Context, args ...any) *redis.Cmd {
	o := s.clientOptions()
	o.MaxRetries, o.DialerRetries = -1, 1
	c := redis.NewClient(o)
	defer c.Close()
	return c.Do(ctx, args...)
}

// Reset removes all keys. It neither undoes CONFIG SET nor forgets scripts.
func (s *Server) Reset() error {
	if err := s.Do("flushall", "async").Err(); err != nil {
		return fmt.Errorf("removing all keys of %q: %w", s.addr, err)
	}
	return nil
}

// Kill ends the process with SIGKILL and returns when it is gone; on a server
// that is down it does nothing.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = false
	return s.process.kill()
}

// Pause stops the process with SIGSTOP: the system still accepts connections and
// requests for it, and no answer comes.
func (s *Server) Pause() error { return s.stopped(true, syscall.SIGSTOP) }

// Resume lets a paused process continue.
func (s *Server) Resume() error { return s.stopped(false, syscall.SIGCONT) }

func (s *Server) stopped(paused bool, sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.process.running() {
		return fmt.Errorf("sending %q to %q: %w", sig, s.addr, errDown)
	}
	s.paused = paused
	return s.process.signal(sig)
}

// errDown is that a server does not run.
var errDown = errors.New("the server is down")

// Running tells whether the process exists, paused or not.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.running()
}

// answers tells whether the process exists and is not paused.
func (s *Server) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.running() && !s.paused
}

func (s *Server) isPaused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// Start starts a server that was killed again, on the same port and data, and
// returns when it has loaded them.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process.running() {
		return fmt.Errorf("starting %q: it runs", s.addr)
	}
	path, err := executable()
	if err != nil {
		return err
	}
	args := []string{filepath.Join(s.dir, "redis.conf")}
	if _, err := os.Stat(args[0]); err != nil {
		args = []string{filepath.Join(s.dir, "sentinel.conf"), "--sentinel"}
	}
	log := filepath.Join(s.dir, "redis.log")
	before, err := size(log)
	if err != nil {
		return err
	}
	if s.process, err = launch(log, path, args...); err != nil {
		return fmt.Errorf("starting %q: %w", s.addr, err)
	}
	ctx, cancel := patiently()
	defer cancel()
	if err := s.ready(ctx, s.process); err != nil {
		said := tail(log, before)
		if bytes.Contains(said, []byte("Address already in use")) {
			err = errPortTaken
		}
		return errors.Join(fmt.Errorf("starting %q: %w; it said:\n%s", s.addr, err, said), s.process.kill())
	}
	return nil
}

// ready waits until this very process answers on the port, with its data
// loaded.
func (s *Server) ready(ctx context.Context, p *process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.exited:
			cancel(errDown)
		case <-ctx.Done():
		}
	}()
	return poll(ctx, "the answer of "+s.addr, func() error {
		// go-redis logs every connection that is refused.
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			return err
		}
		conn.Close()
		// Whoever has the port instead may never answer.
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		info, err := s.info(ctx)
		switch {
		case err != nil:
			return err
		case info["process_id"] != strconv.Itoa(p.pid):
			return errPortTaken
		case info["loading"] == "1":
			return errors.New("it is loading its data")
		}
		return nil
	})
}

// info is what INFO says; a Sentinel says less.
func (s *Server) info(ctx context.Context) (map[string]string, error) {
	text, err := s.do(ctx, "info").Text()
	if err != nil {
		return nil, fmt.Errorf("asking %q for its state: %w", s.addr, err)
	}
	return fields(text), nil
}

// fields reads lines of "name:value", as INFO and CLUSTER INFO answer them.
func fields(text string) map[string]string {
	m := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			m[name] = value
		}
	}
	return m
}

// tail is what was added to a file, at most its last 2 KiB, about 20 lines.
func tail(path string, from int64) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	b = b[min(from, int64(len(b))):]
	return b[max(0, len(b)-2<<10):]
}

// size is that of a file, 0 without one.
func size(path string) (int64, error) {
	switch info, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	default:
		return info.Size(), nil
	}
}
