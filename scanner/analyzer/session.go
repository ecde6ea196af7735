package analyzer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// session is what one child may see, and what it answered: the parent's side of
// package protocol. Everything that may be asked for may be asked for once.
type session struct {
	unit    protocol.Unit
	layers  []*layerSource  // of a layer unit
	found   []*resultWriter // of a layer unit: where it writes what it found in each
	config  []byte          // of a merge unit
	results []*result       // of a merge unit

	cancel context.CancelCauseFunc // kills the child

	mu     sync.Mutex
	asked  map[string]bool
	layer  int   // how many layers' results it has handed over: the number of the next
	broken error // how the protocol was broken
	local  error // what this side could not do
	result *protocol.Result
}

// serve answers the child until the connection ends.
func (s *session) serve(ctx context.Context, conn net.Conn) {
	var running sync.WaitGroup
	done := make(chan struct{})
	server := &http.Server{
		MaxHeaderBytes: 8 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ErrorLog:       log.New(io.Discard, "", 0), // what a hostile child provokes
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(done)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			s.handle(w, r)
		}),
	}
	l := &oneConn{conn: make(chan net.Conn, 1), done: done}
	l.conn <- conn
	_ = server.Serve(l) // ends when the connection has
	running.Wait()
}

// oneConn is a listener with one connection. Its Accept fails when that is
// closed.
type oneConn struct {
	conn chan net.Conn
	done <-chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func (s *session) handle(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.Path
	if err := s.permit(request, r); err != nil {
		s.violation(err)
		http.Error(w, "not permitted", http.StatusForbidden)
		return
	}
	switch {
	case r.URL.Path == protocol.PathUnit:
		body, _ := json.Marshal(s.unit)
		_, _ = w.Write(body)
	case strings.HasPrefix(r.URL.Path, protocol.PathLayer):
		layer := s.layers[s.next()]
		w.Header().Set("Content-Length", strconv.FormatInt(layer.size, 10))
		if err := layer.copy(r.Context(), w); err != nil {
			// The child must see a broken stream, never a short layer.
			panic(http.ErrAbortHandler)
		}
	case r.URL.Path == protocol.PathConfig:
		_, _ = w.Write(s.config)
	case strings.HasPrefix(r.URL.Path, protocol.PathFound):
		if !s.takeFound(r.Body) {
			http.Error(w, "not taken", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == protocol.PathResult:
		if err := s.take(r.Body, r.ContentLength); err != nil {
			s.violation(err)
			http.Error(w, "not understood", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		i, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, protocol.PathResults))
		if err := s.results[i].copyTo(w); err != nil {
			panic(http.ErrAbortHandler) // never a short result
		}
	}
}

// next is the number of the layer that the child reads, or has read last.
func (s *session) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(s.layer, len(s.layers)-1)
}

// takeFound writes down what was found in a layer. Only then may the next one be
// asked for.
func (s *session) takeFound(body io.Reader) bool {
	local, err := s.found[s.next()].take(body)
	if err != nil {
		s.violation(err)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if local != nil {
		s.local = local
		s.cancel(local)
		return false
	}
	s.layer++
	return true
}

// permit says whether the child may ask this now.
func (s *session) permit(request string, r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = map[string]bool{}
	}
	if s.asked[request] || s.result != nil {
		return fmt.Errorf("it asked %s again or after its answer", gate.Quoted(request, 100))
	}
	s.asked[request] = true
	allowed := false
	switch request {
	case "GET " + protocol.PathUnit, "POST " + protocol.PathResult:
		allowed = true
	case "GET " + protocol.PathConfig:
		allowed = s.unit.Kind == protocol.KindMerge
	case "GET " + protocol.PathLayer + strconv.Itoa(s.layer):
		allowed = s.layer < len(s.layers)
	case "POST " + protocol.PathFound + strconv.Itoa(s.layer):
		allowed = s.asked["GET "+protocol.PathLayer+strconv.Itoa(s.layer)]
	default:
		number, ok := strings.CutPrefix(request, "GET "+protocol.PathResults)
		i, err := strconv.Atoi(number)
		allowed = ok && err == nil && s.unit.Kind == protocol.KindMerge && i >= 0 && i < len(s.results) && strconv.Itoa(i) == number
	}
	if !allowed || r.URL.RawQuery != "" {
		return fmt.Errorf("it asked %s, which is not its business", gate.Quoted(request, 100))
	}
	return nil
}

// violation ends the child.
func (s *session) violation(err error) {
	s.mu.Lock()
	if s.broken == nil {
		s.broken = err
	}
	s.mu.Unlock()
	s.cancel(errProtocol)
}

// take reads the answer, of the length that it announces (-1: none).
func (s *session) take(body io.Reader, length int64) error {
	var buf bytes.Buffer
	if length <= protocol.MaxAnswerBytes {
		buf.Grow(int(max(length, 0)) + bytes.MinRead) // once: growing would take twice as much
		if _, err := buf.ReadFrom(io.LimitReader(body, protocol.MaxAnswerBytes+1)); err != nil {
			return fmt.Errorf("its answer broke off: %w", err)
		}
	}
	raw := buf.Bytes()
	if length > protocol.MaxAnswerBytes || len(raw) > protocol.MaxAnswerBytes {
		return fmt.Errorf("its answer has more than %s", gate.ByteSize(protocol.MaxAnswerBytes))
	}
	var r protocol.Result
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("its answer is not understood: %s", gate.Printable(err.Error(), 200))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result = &r
	// Nothing more is wanted of it. What it would do now is waste.
	s.cancel(errAnswered)
	return nil
}

// outcome judges what happened, the most telling cause first: an error of the
// source of the bytes, then the reason for which the child was killed, then
// what it said or how it ended.
func (s *session) outcome(cause, waitErr error, stderr *head) (*protocol.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.layers {
		if err := l.err(); err != nil {
			return nil, err
		}
	}
	switch {
	case s.local != nil:
		return nil, s.local
	case errors.Is(cause, errProtocol):
		return nil, fmt.Errorf("the analyzer child %w: %w: %w", errProtocol, s.broken, gate.ErrScanFailed)
	case errors.Is(cause, errMemory), errors.Is(cause, errTemp):
		return nil, fmt.Errorf("the analyzer child %w: %w", cause, gate.ErrScanFailed)
	case cause != nil && !errors.Is(cause, errAnswered):
		return nil, cause
	case s.result == nil:
		return nil, stderr.crashed(waitErr)
	case s.result.Version != protocol.Version:
		return nil, fmt.Errorf("the analyzer child speaks protocol %d and digestgate %d: install both programs of one release: %w",
			s.result.Version, protocol.Version, gate.ErrResource)
	case s.result.Failure != nil:
		return nil, failureError(s.result.Failure)
	}
	return s.result, nil
}

// failureError is the class of error for what a child says of itself.
func failureError(f *protocol.Failure) error {
	text := gate.Printable(f.Message, protocol.MaxNoteText)
	switch f.Class {
	case protocol.FailureTooLarge, protocol.FailureUndecidable:
		return fmt.Errorf("%s: %w", text, gate.ErrUnassessable)
	case protocol.FailureDiskFull:
		return fmt.Errorf("the disk with the temporary files is full: %s: %w", text, gate.ErrResource)
	case protocol.FailureCorrupt: // of bytes that have their digest, see layerSource.blame
		return gate.Permanent(fmt.Errorf("%s: %w", text, gate.ErrScanFailed))
	}
	return fmt.Errorf("the analyzer child: %s: %w", text, gate.ErrScanFailed)
}
