package install

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"testing"
	"time"
)

// lag is how far behind the object an API server may be that is busy.
const lag = time.Second

// handshakes are new connections to replicas, as an API server makes them that follows the
// webhook configuration late: connections that are kept alive would hide a certificate that
// nothing believes.
type handshakes struct {
	stop    chan struct{}
	wg      sync.WaitGroup
	made    int
	refused []string
}

func (w *world) handshakes(gates ...*gate) *handshakes {
	h := &handshakes{stop: make(chan struct{})}
	h.wg.Go(func() {
		type known struct {
			at    time.Time
			roots *x509.CertPool
		}
		var history []known
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-h.stop:
				return
			case <-tick.C:
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM([]byte(w.bundles()[0]))
			now := time.Now()
			history = append(history, known{now, roots})
			for len(history) > 1 && now.Sub(history[1].at) >= lag {
				history = history[1:]
			}
			for _, g := range gates {
				conn, err := tls.Dial("tcp", fmt.Sprintf("%s:%d", w.address, g.port), &tls.Config{RootCAs: history[0].roots, ServerName: "digestgate.digestgate.svc"})
				if h.made++; err != nil {
					h.refused = append(h.refused, g.name+": "+err.Error())
					continue
				}
				conn.Close()
			}
		}
	})
	return h
}

// end stops them; every one must have been accepted.
func (h *handshakes) end(t *testing.T) {
	t.Helper()
	close(h.stop)
	h.wg.Wait()
	t.Logf("%d new connections, %d refused", h.made, len(h.refused))
	if len(h.refused) > 0 {
		t.Errorf("%d of %d new connections were refused, the first with %s", len(h.refused), h.made, h.refused[0])
	}
	if h.made < 20 {
		t.Errorf("only %d new connections were made", h.made)
	}
}
