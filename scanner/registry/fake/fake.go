// Package fake is a container registry in the process, for tests and
// the demonstration: go-containerregistry's in-memory registry on a real
// listener, with a recorder that says what was asked of it (the oracle of what
// left the client), optional authentication with a token server of its own,
// and faults by path.
//
// Content is put directly into memory, past authentication, recorder and
// faults. Everything is safe for concurrent use.
package fake

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Auth is how the registry wants to be asked.
type Auth string

// The ways of authentication.
const (
	AuthNone   Auth = ""
	AuthBasic  Auth = "basic"
	AuthBearer Auth = "bearer"
)

// Options configure a Registry. The zero value is a registry without
// authentication over plain HTTP on a free loopback port.
type Options struct {
	TLS  bool
	Auth Auth
	// Username and Password are what Basic and the token server want.
	Username, Password string
	// Realm is the token server named in the challenge; "" is this registry's
	// own ("/token").
	Realm string
	// Anonymous lets the token server give a token to whoever sends no
	// credentials.
	Anonymous bool
	// ExpiresIn is put into token answers as it is, as JSON; "" leaves it out.
	ExpiresIn string
	// PageSize bounds the pages of tags and of the catalog; 0 does not.
	PageSize int
	// NoCatalog refuses the list of repositories to everybody.
	NoCatalog bool
	// Harbor serves the listing part of Harbor's REST API as well.
	Harbor bool
	// HarborProjectsOnly refuses its list of all repositories.
	HarborProjectsOnly bool
	// HarborPublic are the projects whose repositories alone are in the list of
	// all, as Harbor answers a robot account; nil: all are.
	HarborPublic []string
	// HarborDenied are the projects whose repositories may not be listed.
	HarborDenied []string
	// Addr to listen on; "" is 127.0.0.1 and a free port.
	Addr string
}

// Registry is a running registry.
type Registry struct {
	// Host is "127.0.0.1:port", as it stands in references.
	Host string
	// URL is the address with its scheme, without a slash at the end.
	URL string

	options  Options
	inner    http.Handler
	blobs    registry.BlobPutHandler
	server   *http.Server
	served   chan struct{}
	stopping chan struct{} // closed by Close; ends stalls
	caPEM    []byte
	flooded  atomic.Int64

	mu       sync.Mutex
	requests []Request
	faults   []*Fault
	tokens   map[string]bool
	issued   int
}

// Start opens a registry. Close it.
func Start(o Options) (*Registry, error) {
	addr := o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	handler := registry.NewInMemoryBlobHandler()
	puts, ok := handler.(registry.BlobPutHandler)
	if !ok {
		return nil, errors.New("the in-memory blob store takes no blobs")
	}
	quiet := log.New(io.Discard, "", 0)
	r := &Registry{
		Host: listener.Addr().String(), URL: "http://" + listener.Addr().String(), options: o,
		inner:  registry.New(registry.Logger(quiet), registry.WithBlobHandler(handler), registry.WithReferrersSupport(true)),
		blobs:  puts,
		served: make(chan struct{}), stopping: make(chan struct{}), tokens: map[string]bool{},
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	if o.TLS {
		r.URL = "https://" + r.Host
		if r.server.TLSConfig, r.caPEM, err = selfSigned(listener.Addr()); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	go func() {
		defer close(r.served)
		if o.TLS {
			_ = r.server.ServeTLS(listener, "", "")
			return
		}
		_ = r.server.Serve(listener)
	}()
	return r, nil
}

// Close stops the registry and waits for its goroutines.
func (r *Registry) Close() error {
	select {
	case <-r.stopping:
		return nil
	default:
		close(r.stopping)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = r.server.Close()
	}
	<-r.served
	return err
}

// CAPEM is the certificate of a registry with TLS, for a client's list of
// trusted ones.
func (r *Registry) CAPEM() []byte { return r.caPEM }

// ServeHTTP implements http.Handler: record, fail, authenticate, serve.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.record(req)
	f := r.fault(req)
	if f != nil && f.replaces() {
		f.replace(w, req, r.stopping)
		return
	}
	serve := r.inner.ServeHTTP
	if lists, ok := r.list(req); ok {
		serve = lists
	}
	switch {
	case req.URL.Path == "/token":
		serve = r.serveToken
	case strings.HasPrefix(req.URL.Path, "/api/"):
		// Harbor's API authenticates by itself.
	case !r.authorized(req):
		serve = r.challenge
	}
	if f == nil {
		serve(w, req)
		return
	}
	f.spoil(w, req, serve, r.stopping)
}
