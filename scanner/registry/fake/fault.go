package fake

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// Fault is something that goes wrong with requests. The first fault that
// matches is applied; several effects of one fault combine where that makes
// sense (a status with a body that stalls).
type Fault struct {
	// Method and Path say which requests: Path is a doublestar pattern
	// ("/v2/**/blobs/*"); "" matches all.
	Method, Path string
	// Skip lets the first requests pass, Times bounds how many are hit; 0 is
	// all.
	Skip, Times int

	// Status and Body replace the answer without asking the registry; Header
	// is added to any answer, also to an otherwise untouched one.
	Status int
	Header http.Header
	Body   []byte
	// Unsized sends the body without a Content-Length.
	Unsized bool
	// NoRange hides the Range header from the registry.
	NoRange bool

	// After is how many bytes of the body are sent before Reset, Stall, Drip
	// or Cut happens.
	After int
	// Reset breaks the connection.
	Reset bool
	// Stall sends nothing more until the client goes away.
	Stall bool
	// Hang sends not even a header until the client goes away.
	Hang bool
	// Drip waits this long before each further byte.
	Drip time.Duration
	// Cut ends the body properly, as if it were complete.
	Cut bool
	// Flood sends this many bytes of zeros after the body.
	Flood int64

	hits    int
	flooded *atomic.Int64 // the registry's count
}

// Fail adds a fault; Reset of the registry removes it.
func (r *Registry) Fail(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.flooded = &r.flooded
	r.faults = append(r.faults, &f)
}

// Flooded is how many bytes of all floods clients (and the socket's buffers)
// have taken.
func (r *Registry) Flooded() int64 { return r.flooded.Load() }

// fault finds the fault for a request and counts it.
func (r *Registry) fault(req *http.Request) *Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		if f.Method != "" && f.Method != req.Method {
			continue
		}
		if f.Path != "" {
			if ok, _ := doublestar.Match(f.Path, req.URL.Path); !ok {
				continue
			}
		}
		f.hits++
		if f.hits > f.Skip && (f.Times == 0 || f.hits <= f.Skip+f.Times) {
			return f
		}
	}
	return nil
}

func (f *Fault) replaces() bool { return f.Status != 0 || f.Body != nil || f.Hang }

func (f *Fault) replace(w http.ResponseWriter, req *http.Request, stopping <-chan struct{}) {
	if f.Hang {
		wait(req, stopping)
		panic(http.ErrAbortHandler)
	}
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	f.write(w, req, answer{status: status, header: http.Header{}, body: *bytes.NewBuffer(f.Body)}, stopping)
}

// spoil lets the registry answer and then damages the answer.
func (f *Fault) spoil(w http.ResponseWriter, req *http.Request, serve http.HandlerFunc, stopping <-chan struct{}) {
	if f.NoRange {
		req = req.Clone(req.Context())
		req.Header.Del("Range")
	}
	a := answer{header: http.Header{}, status: http.StatusOK}
	serve(&a, req)
	f.write(w, req, a, stopping)
}

func (f *Fault) write(w http.ResponseWriter, req *http.Request, a answer, stopping <-chan struct{}) {
	body := a.body.Bytes()
	h := w.Header()
	for _, from := range []http.Header{a.header, f.Header} {
		for k, v := range from {
			h[k] = v
		}
	}
	damaged := f.Reset || f.Stall || f.Drip > 0 || f.Cut
	h.Del("Content-Length")
	if !f.Unsized && !f.Cut && f.Flood == 0 && f.Header.Get("Content-Length") == "" {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if v := f.Header.Get("Content-Length"); v != "" {
		h.Set("Content-Length", v)
	}
	w.WriteHeader(a.status)
	out := http.NewResponseController(w)
	_ = out.Flush()
	if req.Method == http.MethodHead {
		return
	}
	if !damaged {
		_, _ = w.Write(body)
		f.flood(w)
		return
	}
	n := min(f.After, len(body))
	_, _ = w.Write(body[:n])
	_ = out.Flush()
	switch {
	case f.Reset:
		reset(out)
		panic(http.ErrAbortHandler)
	case f.Stall:
		wait(req, stopping)
		panic(http.ErrAbortHandler)
	case f.Drip > 0:
		f.drip(w, req, body[n:], stopping)
	}
}

func (f *Fault) flood(w http.ResponseWriter) {
	zeros := make([]byte, 64<<10)
	for left := f.Flood; left > 0; left -= int64(len(zeros)) {
		n, err := w.Write(zeros[:min(left, int64(len(zeros)))])
		f.flooded.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func (f *Fault) drip(w http.ResponseWriter, req *http.Request, rest []byte, stopping <-chan struct{}) {
	tick := time.NewTicker(f.Drip)
	defer tick.Stop()
	for i := range rest {
		select {
		case <-tick.C:
		case <-req.Context().Done():
			return
		case <-stopping:
			return
		}
		if _, err := w.Write(rest[i : i+1]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// reset closes the connection so that the client sees ECONNRESET and not an
// orderly end.
func reset(out *http.ResponseController) {
	conn, _, err := out.Hijack()
	if err != nil {
		return
	}
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

func wait(req *http.Request, stopping <-chan struct{}) {
	select {
	case <-req.Context().Done():
	case <-stopping:
	}
}

// answer is an http.ResponseWriter that keeps what it is given.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
