package sender

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/sirupsen/logrus"
)

// event is the part of a notification that the test counts.
type event struct {
	Action string `json:"action"`
	Target struct {
		MediaType  string `json:"mediaType"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
	} `json:"target"`
}

// manifest tells the pushes of manifests from those of blobs, by the words
// that all media types of manifests have.
func (e event) manifest() bool {
	return strings.Contains(e.Target.MediaType, "manifest") || strings.Contains(e.Target.MediaType, "image.index")
}

// recorder is a second endpoint of the registry, beside digestgate: it tells
// what Distribution has sent.
type recorder struct {
	mu   sync.Mutex
	seen []event
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var m struct{ Events []event }
	if err := json.NewDecoder(req.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.seen = append(r.seen, m.Events...)
	r.mu.Unlock()
}

// events are those until now, by what digestgate should make of them.
func (r *recorder) events() (taken, ignored []event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.seen {
		if e.Action == "push" && e.manifest() {
			taken = append(taken, e)
		} else {
			ignored = append(ignored, e)
		}
	}
	return taken, ignored
}

// actions counts the events by action, with "blob" for the push of a blob.
func (r *recorder) actions() map[string]int {
	taken, ignored := r.events()
	n := map[string]int{"push": len(taken)}
	for _, e := range ignored {
		if e.Action == "push" {
			n["blob"]++
			continue
		}
		n[e.Action]++
	}
	return maps.Clone(n)
}

// has reports whether the push of a digest was sent.
func (r *recorder) has(digest string) bool {
	taken, _ := r.events()
	for _, e := range taken {
		if e.Target.Digest == digest {
			return true
		}
	}
	return false
}

// distribution is CNCF Distribution in this process.
type distribution struct {
	host string // 127.0.0.1:port
	sent *recorder
}

// startDistribution serves an empty registry that is configured as in
// ../registry.yml and notifies hook, with authorization as its header.
// everything says that it tells of pulls, mounts and blobs too; change may alter the
// configuration further.
func startDistribution(t *testing.T, hook, authorization string, everything bool, change ...func(*configuration.Configuration)) *distribution {
	t.Helper()
	logrus.SetOutput(io.Discard) // where Distribution writes a line for each request
	d := &distribution{sent: &recorder{}}
	second := httptest.NewServer(d.sent)
	t.Cleanup(second.Close)

	file, err := os.Open("../registry.yml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := configuration.Parse(file)
	if err != nil || len(config.Notifications.Endpoints) != 1 {
		t.Fatalf("reading ../registry.yml: got %d endpoints, %v, want one", len(config.Notifications.Endpoints), err)
	}
	file.Close()
	endpoint := &config.Notifications.Endpoints[0]
	if !strings.HasPrefix(endpoint.Headers.Get("Authorization"), "Bearer ") {
		t.Errorf("../registry.yml: headers are %v, want an Authorization", endpoint.Headers)
	}
	endpoint.URL, endpoint.Headers = hook, http.Header{"Authorization": {authorization}}
	endpoint.Backoff = 200 * time.Millisecond // so that the test is over soon
	if everything {
		endpoint.Ignore = configuration.Ignore{}
	}
	config.Notifications.Endpoints = append(config.Notifications.Endpoints, configuration.Endpoint{Name: "recorder", URL: second.URL})
	config.Storage = configuration.Storage{
		"inmemory":    nil,
		"delete":      config.Storage["delete"],
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}
	config.HTTP.Secret = "of one process only"
	config.Catalog.MaxEntries = 1000
	for _, f := range change {
		f(config)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.host = l.Addr().String()
	app := handlers.NewApp(t.Context(), config)
	server := &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return d
}
