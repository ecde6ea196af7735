package admission

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/listener"
)

// Limits of the listener. An API server has at most 200 requests in flight that
// change something (--max-mutating-requests-inflight), and a review is one stream
// for each of them. One that has lost its connections dials a new one for every
// review that waits, before the first can carry them all, and some twice: two servers
// at once open 600 and find room. Connections that are silent after the handshake take some 60 KiB each, and a
// flood costs some 40 KiB for each stream before anything of it is read.
const (
	// MaxConnections is how many connections the listener keeps.
	MaxConnections = 768
	// maxStreams is what clients believe to be allowed before they are told, and
	// the least that RFC 9113 (section 6.5.2) recommends.
	maxStreams = 100
)

// NewServer is the server of the admission listener; ServeTLS it with empty file names.
// Reviews are small and callers are API servers, so that a slow header or body is from
// another client: 5 s and 10 s, as the body of a review must arrive well within its
// caller's timeout. An answer takes at most the longest timeout of Kubernetes.
func NewServer(h http.Handler, c *certificate.Certificate, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:           h,
		TLSConfig:         c.TLSConfig(),
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      maxTimeout + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		// An API server sends less than 2 KiB, the token in the path included.
		MaxHeaderBytes: 16 << 10,
		HTTP2:          listener.HTTP2(maxStreams),
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
