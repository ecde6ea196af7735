package admission

import (
	"log/slog"
	"testing"

	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/certificate/certificatetest"
)

// serve starts the real server on loopback.
func serve(t testing.TB, c *certificate.Certificate, d Decider) (url string) {
	t.Helper()
	return certificatetest.Serve(t, NewServer(newHandler(t, d, Options{}), c, slog.New(slog.DiscardHandler)), nil)
}
