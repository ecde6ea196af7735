package registry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

// Limits on what a registry may send. They are part of what makes an image
// unassessable, so they are constants and not configuration.
const (
	// MaxManifestBytes bounds a manifest or index; the distribution
	// specification wants registries to take at least this much, and they
	// take no more.
	MaxManifestBytes = 4 << 20
	// MaxConfigBytes bounds an image configuration.
	MaxConfigBytes = 4 << 20
	// MaxLayers bounds the layers of one image. Docker's overlay driver stops
	// at 128; a thousand leaves room for other snapshotters.
	MaxLayers = 1000
	// MaxDescriptors bounds an index with everything nested in it.
	MaxDescriptors = 200
	// MaxNesting is how deep indexes may contain indexes.
	MaxNesting = 2
)

// Options configure a Client.
type Options struct {
	Registries []Config
	// Platforms are the configured platforms (scan.platforms); an index's
	// children are judged when one of them matches. Empty: linux/amd64 and
	// linux/arm64.
	Platforms []gate.Platform
	// Local answers for registries, by name, what their API would: from an archive on
	// this machine, say. Nothing is sent over the network for these.
	Local map[string]http.RoundTripper
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now; pauses and token lives
	// Purpose words what is refused; "" is outbound.Registry.
	Purpose outbound.Purpose
	// Resolver is the system's when it is nil.
	Resolver *net.Resolver
	// Dialed is told of each connection; see [outbound.Options].
	Dialed func(target string)

	timeouts timeouts // zero: defaultTimeouts
}

// Client reads from the configured registries; it is a gate.Source. It is safe
// for concurrent use.
type Client struct {
	mu       sync.RWMutex
	sessions map[string]*session // by registry name; replaced as a whole
	matcher  matcher
}

// New makes a client. It reads the certificate files that the configurations
// name; gate.ErrInvalid when an entry is not valid.
func New(opts Options) (*Client, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.timeouts == (timeouts{}) {
		opts.timeouts = defaultTimeouts()
	}
	if opts.Purpose == "" {
		opts.Purpose = outbound.Registry
	}
	if len(opts.Platforms) == 0 {
		opts.Platforms = []gate.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
	}
	c := &Client{sessions: map[string]*session{}, matcher: newMatcher(opts.Platforms)}
	p := newPauses(opts.Now, opts.Log)
	for _, cfg := range opts.Registries {
		if err := cfg.Validate(); err != nil {
			return nil, fmt.Errorf("registry %s: %w", gate.Quoted(cfg.Name, 80), err)
		}
		s, err := newSession(cfg, opts, p)
		if err != nil {
			return nil, fmt.Errorf("registry %q: %w: %w", cfg.Name, err, gate.ErrInvalid)
		}
		if _, twice := c.sessions[cfg.Name]; twice {
			return nil, fmt.Errorf("registry %q is configured twice: %w", cfg.Name, gate.ErrInvalid)
		}
		c.sessions[cfg.Name] = s
	}
	return c, nil
}

// Replace puts the registries of another client, which was made with the same
// platforms, in the place of these. What is under way ends as it began. A
// registry whose configuration is the same keeps its logins and what was learnt
// of it, unless it names a certificate file, which may have another content.
func (c *Client) Replace(with *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(map[string]*session, len(with.sessions))
	for name, s := range with.sessions {
		if old, ok := c.sessions[name]; ok && s.cfg.CAFile == "" && reflect.DeepEqual(old.cfg, s.cfg) {
			s = old
		}
		next[name] = s
	}
	for name, old := range c.sessions {
		if next[name] != old {
			old.close()
		}
	}
	c.sessions = next
}

// named finds the session of a registry.
func (c *Client) named(registry string) (*session, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s, ok := c.sessions[registry]
	return s, ok
}

// Rests is what is left of a registry's rest, by its configured name: while it rests
// nothing is sent to it, and every call about it fails at once.
func (c *Client) Rests(registry string) gate.Rest {
	s, ok := c.named(registry)
	if !ok {
		return gate.Rest{}
	}
	return s.rest(s.pauses.now())
}

// session finds the registry of a location and checks its repository.
func (c *Client) session(loc gate.Location) (*session, error) {
	s, ok := c.named(loc.Registry)
	if !ok {
		return nil, fmt.Errorf("registry %s: %w", gate.Quoted(loc.Registry, 80), gate.ErrRegistryNotTrusted)
	}
	return s, checkRepository(loc.Repository)
}

// Blob streams a blob of size bytes (as its descriptor says). The reader resumes broken
// transfers by itself, ends one of which no byte comes for 30 s, and returns
// gate.ErrIntegrity instead of io.EOF when the bytes are not those of the digest; a
// caller that stops before io.EOF has read unchecked bytes. ctx covers the whole
// stream. The caller closes it. Errors of Blob and of Read: those of gate.Source.
func (c *Client) Blob(ctx context.Context, loc gate.Location, digest gate.Digest, size int64) (io.ReadCloser, error) {
	s, err := c.session(loc)
	if err == nil {
		err = checkBlob(digest, size)
	}
	if err != nil {
		return nil, fmt.Errorf("reading blob %s of %s: %w", gate.Quoted(string(digest), 100), gate.Quoted(loc.String(), 200), err)
	}
	b, err := s.openBlob(ctx, layerBody, loc.Repository, digest, size)
	if err != nil {
		return nil, fmt.Errorf("reading blob %q of %q: %w", digest, loc, err)
	}
	return b, nil
}

// Close releases idle connections. Streams that are open stay open.
func (c *Client) Close() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.sessions {
		s.close()
	}
	return nil
}

// shown is a reference in quotation marks, fit for a message.
func shown(loc gate.Location, ref string) string {
	sep := ":"
	if gate.Digest(ref).Valid() {
		sep = "@"
	}
	return gate.Quoted(loc.String()+sep+ref, 400)
}
