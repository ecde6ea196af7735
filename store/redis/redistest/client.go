package redistest

import (
	"io"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// answerTimeout is for one command. A server that is starved of CPU by other
// tests answers in it; one that is paused does not, and a test waits that long
// where it has no deadline of its own.
const answerTimeout = 5 * time.Second

// clientOptions are those of the user that may do everything.
func (s *Server) clientOptions() *redis.Options {
	return &redis.Options{
		Addr: s.addr, Username: s.admin.username, Password: s.admin.password, TLSConfig: s.certs.client(),
		ReadTimeout: answerTimeout, WriteTimeout: answerTimeout, ContextTimeoutEnabled: true, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: noMaintenance(),
	}
}

// noMaintenance turns off a handshake that only Redis Enterprise understands.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// closeWith closes a client when the test ends.
func closeWith(tb testing.TB, c io.Closer) {
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("closing a client: %v", err)
		}
	})
}
