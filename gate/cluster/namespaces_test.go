package cluster

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apiServer plays the part of an API server that the watch of namespaces needs: list,
// watch from a resource version on, get. The real one is in examples/cluster.
type apiServer struct {
	*httptest.Server
	mu       sync.Mutex
	spaces   map[string]map[string]string // labels by name
	hidden   map[string]map[string]string // known to get, not to the watch
	watchers map[chan event]bool
	refuse   int // status of every answer, 0 for none
	hang     bool
	gets     int
}

type event struct {
	Type   string                       `json:"type"`
	Object metav1.PartialObjectMetadata `json:"object"`
}

func object(name string, labels map[string]string) metav1.PartialObjectMetadata {
	return metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, ResourceVersion: "2", Annotations: map[string]string{"owner": "shop", lastApplied: "{}"}},
	}
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{spaces: map[string]map[string]string{}, hidden: map[string]map[string]string{}, watchers: map[chan event]bool{}}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refuse, hang := s.refuse, s.hang
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces"), "/")
	if name != "" {
		s.gets++
	}
	s.mu.Unlock()
	status := func(code int, reason metav1.StatusReason) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: reason, Code: int32(code),
		})
	}
	switch {
	case hang:
		<-r.Context().Done()
	case refuse != 0:
		status(refuse, metav1.StatusReasonForbidden)
	case r.URL.Query().Get("sendInitialEvents") == "true": // older servers cannot
		status(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
	case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
		s.watch(w, r)
	case name == "":
		s.mu.Lock()
		list := metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadataList", APIVersion: "meta.k8s.io/v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "2"},
		}
		for name, labels := range s.spaces {
			list.Items = append(list.Items, object(name, labels))
		}
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(list)
	default:
		s.mu.Lock()
		labels, ok := s.spaces[name]
		if !ok {
			labels, ok = s.hidden[name]
		}
		s.mu.Unlock()
		if !ok {
			status(http.StatusNotFound, metav1.StatusReasonNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(object(name, labels))
	}
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	events := make(chan event, 10)
	s.mu.Lock()
	s.watchers[events] = true
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.watchers, events); s.mu.Unlock() }()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			json.NewEncoder(w).Encode(e)
			w.(http.Flusher).Flush()
		}
	}
}

// tell sends an event to all who watch.
func (s *apiServer) tell(kind, name string, labels map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == "DELETED" {
		delete(s.spaces, name)
	} else if kind != "BOOKMARK" {
		s.spaces[name] = labels
	}
	for w := range s.watchers {
		w <- event{kind, object(name, labels)}
	}
}

func (s *apiServer) set(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// clock is one that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t *testing.T, s *apiServer) (*Namespaces, *clock) {
	dir := t.TempDir()
	c := Default()
	c.Watch, c.Server, c.TokenFile, c.CAFile = true, s.URL, filepath.Join(dir, "token"), filepath.Join(dir, "ca")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for path, data := range map[string][]byte{c.TokenFile: []byte("secret"), c.CAFile: ca} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	clock := &clock{now: time.Unix(1_800_000_000, 0)}
	n, err := NewNamespaces(c, "test", slog.New(slog.DiscardHandler), clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { n.Run(ctx) })
	t.Cleanup(func() { cancel(); s.CloseClientConnections(); done.Wait() })
	return n, clock
}

func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !fn(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 20 s: " + what)
		}
	}
}

func (n *Namespaces) team(t *testing.T, name string) string {
	labels, _, unknown := n.Namespace(t.Context(), "default", name)
	if unknown != "" {
		return "unknown: " + unknown
	}
	return labels["team"]
}

// TestNamespaces: labels follow what the API server says, and what kubectl keeps for
// itself is left out.
func TestNamespaces(t *testing.T) {
	s := newAPIServer(t)
	s.spaces["shop"] = map[string]string{"team": "a"}
	n, _ := start(t, s)
	eventually(t, "the list", func() bool { _, ok := n.watched("shop"); return ok })
	labels, annotations, unknown := n.Namespace(t.Context(), "default", "shop")
	if labels["team"] != "a" || unknown != "" || len(annotations) != 1 || annotations["owner"] != "shop" {
		t.Errorf("got %v, %v, %q", labels, annotations, unknown)
	}
	eventually(t, "the watch", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.watchers) == 1 })
	s.tell("MODIFIED", "shop", map[string]string{"team": "b"})
	eventually(t, "the change", func() bool { return n.team(t, "shop") == "b" })
	s.tell("ADDED", "new", map[string]string{"team": "c"})
	eventually(t, "the new one", func() bool { f, ok := n.watched("new"); return ok && f.labels["team"] == "c" })
	s.tell("DELETED", "new", nil)
	eventually(t, "the deletion", func() bool { _, ok := n.watched("new"); return !ok })
	if s.gets != 0 {
		t.Errorf("%d live questions, want none for what is watched", s.gets)
	}
	if got := n.team(t, "new"); got != "unknown: the API server does not know it" {
		t.Errorf("a namespace that is gone: got %q", got)
	}
	if _, _, unknown := n.Namespace(t.Context(), "other", "shop"); unknown == "" {
		t.Error("a namespace of another cluster is known by its name")
	}
	if _, _, unknown := n.Namespace(t.Context(), "default", ""); unknown == "" {
		t.Error("an object in no namespace has labels")
	}
}

// TestNamespaces_missed: a namespace that the watch has not told of yet, as when it is
// applied together with its Pods, is asked for once for all of them.
func TestNamespaces_missed(t *testing.T) {
	s := newAPIServer(t)
	n, _ := start(t, s)
	eventually(t, "the list", func() bool { return !n.lastHeard().IsZero() })
	s.set(func() { s.hidden["fresh"] = map[string]string{"team": "f"} })
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got := n.team(t, "fresh"); got != "f" {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
	if s.gets > 2 {
		t.Errorf("%d live questions for one namespace", s.gets)
	}
}

// TestNamespaces_silent: a watch that is not heard knows nothing; each namespace is asked
// for, and when that fails the labels are unknown, whatever they were.
func TestNamespaces_silent(t *testing.T) {
	s := newAPIServer(t)
	s.spaces["shop"] = map[string]string{"team": "a"}
	n, clock := start(t, s)
	eventually(t, "the watch", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.watchers) == 1 })
	clock.add(MaxSilence - time.Second)
	s.tell("BOOKMARK", "", nil)
	eventually(t, "the bookmark", func() bool { return n.lastHeard().Equal(clock.Now()) })
	clock.add(MaxSilence - time.Second)
	if got := n.team(t, "shop"); got != "a" || s.gets != 0 {
		t.Errorf("after a bookmark: got %q with %d questions", got, s.gets)
	}
	clock.add(2 * time.Second)
	s.set(func() { s.spaces["shop"] = map[string]string{"team": "changed"} }) // which the watch does not tell
	if got := n.team(t, "shop"); got != "changed" {
		t.Errorf("of a silent watch: got %q", got)
	}
	s.set(func() { s.refuse = http.StatusForbidden })
	clock.add(liveKept + time.Second)
	if got := n.team(t, "shop"); !strings.HasPrefix(got, "unknown: ") || !strings.Contains(got, "may not read namespaces") {
		t.Errorf("without permission: got %q", got)
	}
	before := s.gets
	if got := n.team(t, "other"); !strings.HasPrefix(got, "unknown: ") || s.gets != before {
		t.Errorf("a moment after: got %q with %d more questions", got, s.gets-before)
	}
	s.set(func() { s.refuse, s.hang = 0, true })
	clock.add(liveRest)
	if got := n.team(t, "shop"); !strings.HasPrefix(got, "unknown: ") {
		t.Errorf("of a server that hangs: got %q", got)
	}
	s.set(func() { s.hang = false })
	eventually(t, "an answer again", func() bool { clock.add(liveRest); return n.team(t, "shop") == "changed" })
}

// TestNamespaces_hostile: what takes too much is unknown, not cut.
func TestNamespaces_hostile(t *testing.T) {
	m := object("shop", map[string]string{"a": strings.Repeat("x", maxBytes)})
	if got := namespaceOf(&m); got.unknown == "" || got.labels != nil {
		t.Errorf("got %d labels, %q", len(got.labels), got.unknown)
	}
	m = object("shop", nil)
	m.Annotations[lastApplied] = strings.Repeat("x", maxBytes)
	if got := namespaceOf(&m); got.unknown != "" {
		t.Errorf("the copy that kubectl keeps counts: %q", got.unknown)
	}
}

func TestConfig(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Watch = true }, "server: this process does not run in a Pod"},
		{func(c *Config) { c.Watch, c.Server = true, "https://10.0.0.1:6443" }, ""},
		{func(c *Config) { c.Server = "http://10.0.0.1" }, "server: "},
		{func(c *Config) { c.Server = "https://user:secret@host" }, "server: "},
		{func(c *Config) { c.Cluster = "" }, "cluster: want the name"},
		{func(c *Config) { c.Watch, c.Server, c.TokenFile = true, "https://h", "token" }, "tokenFile: "},
		{func(c *Config) { c.Watch, c.Server, c.CAFile = true, "https://h", "/nowhere/ca.crt" }, "caFile: "},
	} {
		config := Default()
		c.change(&config)
		err := config.Validate()
		if got := ""; err != nil {
			got = err.Error()
			if c.want == "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("%+v: got %q, want %q", config, got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%+v: got no error, want %q", config, c.want)
		}
	}
}
