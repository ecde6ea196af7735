package admission

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/certificate/certificatetest"
	"github.com/digestgate/digestgate/gate/listener"
)

// TestServer_reconnecting: API servers that have lost their connections ask for all
// reviews at once, each of which dials a connection of its own. None fails: two
// servers with 200 requests that change something are what a replica may see.
func TestServer_reconnecting(t *testing.T) {
	served, err := certificate.New(certificate.Options{DataDir: t.TempDir(), Names: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	// Connections end after the server, so that their log is not the test's.
	server := NewServer(newHandler(t, allowAll, Options{}), served, slog.New(slog.DiscardHandler))
	url := certificatetest.Serve(t, server, listener.Bound(server, MaxConnections).Listen) + BasePath + "?timeout=10s"
	body := threeImages(t)
	roots := certificatetest.Pool(served.CABundle())
	var reviews sync.WaitGroup
	begin := make(chan struct{})
	for range 2 {
		api := certificatetest.Client(t, func(c *tls.Config) { c.RootCAs = roots })
		for range 200 {
			reviews.Go(func() {
				<-begin
				resp, err := api.Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					t.Errorf("a review after a lost connection: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
					t.Errorf("a review after a lost connection: got %s %s, want HTTP/2 and 200", resp.Proto, resp.Status)
				}
			})
		}
	}
	close(begin)
	reviews.Wait()
}
