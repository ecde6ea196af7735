package analyzer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// launcher starts children. Its settings are immutable after New; it is safe for
// concurrent use.
type launcher struct {
	path   string // of digestgate-analyzer
	dir    string // for the children's temporary directories
	memory gate.ByteSize
	temp   int64 // bytes one child's temporary files may take
	spaces namespaces

	started atomic.Int64 // children
	ahead   ahead
}

// buildHint tells how to get the child.
const buildHint = "it is built with make build (GOEXPERIMENT=jsonv2 CGO_ENABLED=0 go build ./cmd/digestgate-analyzer) and belongs beside digestgate"

// The causes with which a child is killed.
var (
	errMemory   = errors.New("needed more memory than scan.childMemory")
	errTemp     = errors.New("needed more temporary space than its limit")
	errProtocol = errors.New("broke the protocol")
	errAnswered = errors.New("has answered")
)

// process is a child that has been started and waits for its unit.
type process struct {
	cmd    *exec.Cmd
	conn   net.Conn
	dir    string
	stderr head
	ctx    context.Context // ends when the child is killed, with the cause
	cancel context.CancelCauseFunc
	exited chan struct{}
	err    error // of the end; only after exited
}

// start starts a child, which lives until it ends by itself or its cancel is called.
// end must be called.
func (l *launcher) start() (*process, error) {
	p := &process{exited: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	var theirs *os.File
	var err error
	if p.dir, err = l.makeDir(); err == nil {
		if p.conn, theirs, err = socketPair(); err != nil {
			os.RemoveAll(p.dir)
			err = fmt.Errorf("making a socket pair: %w: %w", err, gate.ErrResource)
		}
	}
	if err != nil {
		p.cancel(err)
		return nil, err
	}
	p.cmd = l.command(p.ctx, p.dir, theirs, &p.stderr)
	err = p.cmd.Start()
	theirs.Close()
	if err != nil {
		p.cancel(err)
		p.conn.Close()
		os.RemoveAll(p.dir)
		return nil, startError(l.path, err)
	}
	l.started.Add(1)
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// end kills the child if it still runs, and removes everything of it.
func (p *process) end() {
	p.cancel(nil)
	<-p.exited
	p.conn.Close()
	os.RemoveAll(p.dir)
}

// gone reports whether the child has ended.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// run serves the session's unit to a child and returns its answer. The
// child and everything of it is gone when run returns. Errors: those of the
// session's source; gate.ErrScanFailed for whatever the child did wrong;
// gate.ErrResource when it could not be started; the cause of ctx.
func (l *launcher) run(ctx context.Context, s *session) (*protocol.Result, error) {
	p, err := l.take()
	if err != nil {
		return nil, err
	}
	defer p.end()
	defer context.AfterFunc(ctx, func() { p.cancel(context.Cause(ctx)) })()
	// What is read for the child ends with it.
	serving, stopServing := context.WithCancelCause(ctx)
	defer stopServing(nil)
	defer context.AfterFunc(p.ctx, func() { stopServing(context.Cause(p.ctx)) })()
	if s.unit.Kind == protocol.KindLayer {
		l.fill() // another child follows, at least that which merges
	}
	s.cancel = p.cancel
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.serve(serving, p.conn)
	}()
	watched := make(chan struct{})
	watching, stopWatching := context.WithCancel(p.ctx)
	go func() {
		defer close(watched)
		l.watch(watching, p.cmd.Process.Pid, p.dir, p.cancel)
	}()

	<-p.exited
	stopWatching()
	p.conn.Close()
	<-served
	<-watched
	return s.outcome(context.Cause(p.ctx), p.err, &p.stderr)
}

func (l *launcher) makeDir() (string, error) {
	dir, err := os.MkdirTemp(l.dir, "child-")
	if err == nil && l.spaces != userSpaces && os.Geteuid() == 0 {
		// The child becomes this user (package sandbox).
		err = os.Chown(dir, nobody, nobody)
	}
	if err != nil {
		return "", fmt.Errorf("making a temporary directory: %w: %w", err, gate.ErrResource)
	}
	return dir, nil
}

// nobody is the user and group that a child of root becomes: the overflow ids
// of the kernel, which own nothing.
const nobody = 65534

func (l *launcher) command(ctx context.Context, dir string, socket *os.File, stderr io.Writer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.path)
	cmd.Dir = dir
	// Nothing of our environment: it may hold credentials.
	cmd.Env = []string{"PATH=/usr/bin:/bin", "TMPDIR=" + dir, "HOME=" + dir, "GOMEMLIMIT=" + memoryLimitText(l.memory)}
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{socket} // becomes protocol.Socket
	cmd.SysProcAttr = l.spaces.attributes()
	cmd.Cancel = func() error {
		// The whole group, although the sandbox lets it have one process only.
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func startError(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("starting %q: it does not exist; %s: %w", path, buildHint, gate.ErrResource)
	}
	return fmt.Errorf("starting %q: %w: %w", path, err, gate.ErrResource)
}

// socketPair makes the connection: our end, and theirs to be inherited.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "child"), os.NewFile(uintptr(fds[1]), "parent")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// head keeps the beginning of what a child writes to its standard error: the
// reason of a Go crash comes first. It is safe for concurrent use.
type head struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const headBytes = 8 << 10

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := headBytes - h.buf.Len(); room > 0 {
		h.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

// reason is the line that says why the child ended, fit for a message.
func (h *head) reason() string {
	text := h.String()
	first := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "runtime:") {
			return gate.Printable(line, 300)
		}
		if first == "" {
			first = line
		}
	}
	return gate.Printable(first, 300)
}

// crashed describes a child that ended without an answer.
func (l *head) crashed(waitErr error) error {
	text := l.String()
	if strings.Contains(text, "out of memory") || strings.Contains(text, "cannot allocate memory") {
		return fmt.Errorf("the analyzer child %w (%s): %w", errMemory, l.reason(), gate.ErrScanFailed)
	}
	how := "ended without an answer"
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) {
		how = exit.String() // "exit status 2", "signal: segmentation fault"
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGXCPU {
			how = "used more processor time than scan.timeout allows"
		}
	}
	if reason := l.reason(); reason != "" {
		how += ": " + reason
	}
	return fmt.Errorf("the analyzer child: %s: %w", how, gate.ErrScanFailed)
}
