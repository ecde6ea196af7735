package admission

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer is the server of the admission listener; ServeTLS it with empty
// file names. Reviews are small and callers are API servers, so that a slow
// header or body is somebody else: 5 s and 10 s, as the body of a review must
// arrive well within its caller's timeout. An answer takes at most the longest
// timeout of Kubernetes.
func NewServer(h http.Handler, c *Certificate, log *slog.Logger) *http.Server {
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
		MaxHeaderBytes:    64 << 10,
		// An API server multiplexes all its reviews over one connection.
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 500},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
