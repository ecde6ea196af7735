package admission

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate/certificate"
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Connections end after the server, so that their log is not the test's.
	server := NewServer(newHandler(t, allowAll, Options{}), served, slog.New(slog.DiscardHandler))
	bounded := listener.Bound(server, MaxConnections).Listen(l)
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(bounded, "", "") }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	url := "https://" + l.Addr().String() + BasePath + "?timeout=10s"
	body := threeImages(t)
	roots := pool(served.CABundle())
	var reviews sync.WaitGroup
	begin := make(chan struct{})
	for range 2 {
		api := client(t, func(c *tls.Config) { c.RootCAs = roots })
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
