package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// balancer is what a Service of Kubernetes is to a client: connections, not
// requests, go to one of the replicas that were ready when it last looked, and
// it looks a little late.
type balancer struct {
	mu        sync.Mutex
	replicas  map[*server]string // to the address of admission
	endpoints []string
}

// watch looks until ctx ends.
func (b *balancer) watch(ctx context.Context) {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		var ready []string
		b.mu.Lock()
		for s, address := range b.replicas {
			res, err := client.Get(s.urls["private"] + "/readyz")
			if err == nil {
				if res.StatusCode == http.StatusOK {
					ready = append(ready, address)
				}
				res.Body.Close()
			}
		}
		if len(ready) > 0 { // like kube-proxy, which keeps what it had
			b.endpoints = ready
		}
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *balancer) moved(s *server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas[s] = strings.TrimPrefix(s.urls["admission"], "https://")
}

func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	b.mu.Lock()
	address := b.endpoints[rand.IntN(len(b.endpoints))]
	b.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, address)
}

// TestRollingRestartRefusesNothing: four clients in a loop, two of them with
// HTTP/1.1 and two with HTTP/2, see no failure while every replica restarts.
func TestRollingRestartRefusesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, redistest.Plain(t, redistest.Options{AOF: "everysec"}).URL(), "")
	replicas := []*server{f.process("", 3, "serve"), f.process("", 3, "serve", "--roles", "webhooks,api,admission")}
	b := &balancer{replicas: map[*server]string{}}
	for _, s := range replicas {
		s.env = append(s.env, "DIGESTGATE_ADMISSION_SHUTDOWNDELAY=2s")
		s.start()
		b.moved(s)
	}
	a := replicas[0]
	d := a.pushDebian("team/app", "v1", demo.Updated, nil)
	a.deliver(hookSecret, "team/app", "v1", d)
	a.until(d, time.Minute, scanned)
	for _, s := range replicas {
		ask := s.reviewer(a)
		eventually(t, "an allow", time.Minute, func() bool { return ask(f.image(d)).allowed })
	}
	watching, stopWatching := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { b.watch(watching) })
	eventually(t, "two endpoints", time.Minute, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.endpoints) == 2 })

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, filepath.Join(a.dir, "data", "tls", "ca.crt"))))
	asking, stopAsking := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var answered, connections atomic.Int64
	for n := range 4 {
		transport := &http.Transport{DialContext: b.dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: n%2 == 0}
		clients.Go(func() {
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: time.Minute}
			for asking.Err() == nil {
				text, err := askThrough(t.Context(), client, f.image(d), func() { connections.Add(1) })
				if err != nil || !strings.Contains(text, `"allowed":true`) {
					t.Errorf("client %d, HTTP/2 %v, after %d answers: %v %s", n, n%2 == 0, answered.Load(), err, text)
				}
				answered.Add(1)
				<-time.After(3 * time.Millisecond)
			}
		})
	}
	for _, s := range replicas {
		before := answered.Load()
		if code := s.end(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code after SIGTERM: %d", code)
		}
		if !strings.Contains(s.log.String(), "stillServing=2s") {
			t.Errorf("the log does not say that it serves on:\n%s", s.log)
		}
		t.Logf("%d reviews were answered while a replica stopped", answered.Load()-before)
		s.start()
		b.moved(s)
		eventually(t, "both are endpoints again", time.Minute, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.endpoints) == 2 })
	}
	stopAsking()
	clients.Wait()
	stopWatching()
	watch.Wait()
	t.Logf("%d reviews over %d connections", answered.Load(), connections.Load())
}

// askThrough sends a review of a Pod with an image to whatever client reaches.
func askThrough(ctx context.Context, client *http.Client, image string, connected func()) (string, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if !c.Reused {
			connected()
		}
	}})
	body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},
"namespace":"default","operation":"CREATE","object":{"spec":{"containers":[{"name":"a","image":%q}]}}}}`, image)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://localhost/admission/validate?timeout=10s", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// TestStoppingServesOn: a process that is told to stop says that it is not
// ready, answers on, and closes each connection with its answer.
func TestStoppingServesOn(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.env = append(s.env, "DIGESTGATE_ADMISSION_SHUTDOWNDELAY=1m")
	s.start()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, filepath.Join(s.dir, "data", "tls", "ca.crt"))))
	var clients []*http.Client
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(s.urls["admission"], "https://"))
			}}
		t.Cleanup(transport.CloseIdleConnections)
		clients = append(clients, &http.Client{Transport: transport, Timeout: time.Minute})
	}
	ask := func(c *http.Client) (connected int) {
		t.Helper()
		if text, err := askThrough(t.Context(), c, "nowhere.example.com/a:1", func() { connected++ }); err != nil || !strings.Contains(text, "REGISTRY_NOT_TRUSTED") {
			t.Fatalf("a review: %v %s", err, text)
		}
		return connected
	}
	for i, c := range clients {
		if first, second := ask(c), ask(c); first != 1 || second != 0 {
			t.Errorf("client %d, before: %d and %d new connections, want 1 and 0", i, first, second)
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready", time.Minute, func() bool {
		status, text, _ := s.ready()
		return status == http.StatusServiceUnavailable && strings.Contains(text, "fail  stopping: ")
	})
	for i, c := range clients {
		ask(c) // over the connection that there was
		eventually(t, fmt.Sprintf("client %d: every answer closes its connection", i), time.Minute, func() bool {
			return ask(c) == 1
		})
	}
	if status, text := s.deliver(hookSecret, "team/app", "v1", s.pushDebian("team/app", "v1", demo.Updated, nil)); status != http.StatusAccepted {
		t.Errorf("a delivery while stopping: %d %s", status, text)
	}
	// The second signal does not wait.
	if code := s.end(syscall.SIGTERM); code != -1 {
		t.Errorf("exit code after the second SIGTERM: %d, want the signal", code)
	}
}
