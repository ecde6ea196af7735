package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/digestgate/digestgate/gate/listener"
)

const (
	// MaxSilence is how long after its last word what a watch says is known. API servers
	// send a bookmark every minute (k8s.io/apiserver, watch cache), so that a watch that
	// works is never silent for longer.
	MaxSilence = 3 * time.Minute
	// liveTimeout bounds one live question, which a review waits for.
	liveTimeout = 500 * time.Millisecond
	// liveKept is how long the answer of one is used, and liveRest how long none is asked
	// after one that failed: an API server in trouble is asked for nothing a review could
	// do without.
	liveKept = 5 * time.Second
	liveRest = time.Second
	// maxLive bounds the answers that are kept, and liveAtOnce the questions under way.
	maxLive    = 1000
	liveAtOnce = 4
	// maxNamespaces bounds those that are watched, and maxBytes the labels and annotations
	// of one: far beyond what a cluster has (Kubernetes is tested with 10,000 namespaces),
	// and less than its users can make it hold.
	maxNamespaces = 50_000
	maxBytes      = 32 << 10
)

// lastApplied is a copy of the whole object that kubectl keeps, which nobody wrote.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// namespace is what is known of one. It is not modified.
type namespace struct {
	labels, annotations map[string]string
	unknown             string // why not, "" when they are known
}

// Namespaces watches those of one cluster. All methods are safe for concurrent use.
type Namespaces struct {
	cluster string
	client  metadata.Getter
	log     *slog.Logger
	now     func() time.Time

	mu    sync.RWMutex
	known map[string]namespace
	heard time.Time // the last word of the watch, zero before the first list

	asking  singleflight.Group
	places  chan struct{}
	liveMu  sync.Mutex
	live    map[string]liveAnswer
	resting time.Time // nothing is asked before
	trouble listener.Thinner
	counts  *counts
}

type liveAnswer struct {
	namespace
	until time.Time
}

// NewNamespaces makes a watch, which [Namespaces.Run] runs.
func NewNamespaces(c Config, userAgent string, log *slog.Logger, now func() time.Time) (*Namespaces, error) {
	config, err := connection(c, userAgent)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the API server: %w", err)
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the API server: %w", err)
	}
	return &Namespaces{
		cluster: c.Cluster, client: client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}), log: log, now: now,
		known: map[string]namespace{}, places: make(chan struct{}, liveAtOnce), live: map[string]liveAnswer{}, counts: newCounts(),
	}, nil
}

// Run watches until ctx ends.
func (n *Namespaces) Run(ctx context.Context) {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := n.client.List(ctx, o)
			if err != nil {
				n.troubled(err)
				return nil, err
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := n.client.Watch(ctx, o)
			if err != nil {
				n.troubled(err)
			}
			return w, err
		},
	}
	quiet := discard()
	r := cache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, (*namespaceStore)(n), cache.ReflectorOptions{Logger: &quiet, Name: "namespaces"})
	r.RunWithContext(ctx)
}

// troubled says, now and then, that the watch does not get on.
func (n *Namespaces) troubled(err error) {
	n.counts.troubles.Inc()
	if left, ok := n.trouble.Next("watch", n.now()); ok {
		n.log.Warn("the namespaces of the cluster cannot be watched; policies that read their labels ask for each, and refuse what they cannot learn",
			"cluster", n.cluster, "error", err.Error(), "heard", n.lastHeard(), "more", left)
	}
}

func (n *Namespaces) lastHeard() time.Time {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.heard
}

// Namespace is what is known of a namespace of a cluster, or why it is not, a phrase for
// people. The maps are shared. It waits for at most half a second.
func (n *Namespaces) Namespace(ctx context.Context, cluster, name string) (labels, annotations map[string]string, unknown string) {
	if cluster != n.cluster {
		n.counts.lookup("other")
		return nil, nil, "digestgate does not watch this cluster"
	}
	if name == "" {
		return nil, nil, "the object is in none"
	}
	if found, ok := n.watched(name); ok {
		n.counts.lookup("watched")
		return found.labels, found.annotations, found.unknown
	}
	found := n.ask(ctx, name)
	if found.unknown == "" {
		n.counts.lookup("asked")
	} else {
		n.counts.lookup("unknown")
	}
	return found.labels, found.annotations, found.unknown
}

// watched is what the watch knows, as long as it is heard.
func (n *Namespaces) watched(name string) (namespace, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.heard.IsZero() || n.now().Sub(n.heard) > MaxSilence {
		return namespace{}, false
	}
	found, ok := n.known[name]
	return found, ok
}

// ask is one live question, shared by all that ask the same.
func (n *Namespaces) ask(ctx context.Context, name string) namespace {
	if kept, ok := n.kept(name); ok {
		return kept
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	answer := n.asking.DoChan(name, func() (any, error) { return n.askNow(name), nil })
	select {
	case r := <-answer:
		return r.Val.(namespace)
	case <-ctx.Done():
		return namespace{unknown: "the API server does not answer"}
	}
}

// kept is an answer that is not old, or that there is none to be had at the moment.
func (n *Namespaces) kept(name string) (namespace, bool) {
	n.liveMu.Lock()
	defer n.liveMu.Unlock()
	if a, ok := n.live[name]; ok && n.now().Before(a.until) {
		return a.namespace, true
	}
	if n.now().Before(n.resting) {
		return namespace{unknown: "the API server did not answer a moment ago"}, true
	}
	return namespace{}, false
}

func (n *Namespaces) askNow(name string) namespace {
	ctx, cancel := context.WithTimeout(context.Background(), liveTimeout)
	defer cancel()
	select {
	case n.places <- struct{}{}:
		defer func() { <-n.places }()
	case <-ctx.Done():
		return namespace{unknown: "too many are asked for at once"}
	}
	object, err := n.client.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		found := namespaceOf(object)
		n.keep(name, found)
		return found
	}
	if notFound(err) {
		return namespace{unknown: "the API server does not know it"}
	}
	n.troubled(err)
	n.liveMu.Lock()
	n.resting = n.now().Add(liveRest)
	n.liveMu.Unlock()
	return namespace{unknown: "the API server did not answer: " + reason(err)}
}

// keep remembers an answer for a moment.
func (n *Namespaces) keep(name string, found namespace) {
	n.liveMu.Lock()
	defer n.liveMu.Unlock()
	if len(n.live) >= maxLive {
		clear(n.live)
	}
	n.live[name] = liveAnswer{found, n.now().Add(liveKept)}
}

// namespaceOf takes from an object what is kept of it.
func namespaceOf(m *metav1.PartialObjectMetadata) namespace {
	found := namespace{labels: m.Labels, annotations: m.Annotations}
	if _, ok := m.Annotations[lastApplied]; ok {
		found.annotations = make(map[string]string, len(m.Annotations))
		for k, v := range m.Annotations {
			if k != lastApplied {
				found.annotations[k] = v
			}
		}
	}
	size := 0
	for _, all := range []map[string]string{found.labels, found.annotations} {
		for k, v := range all {
			size += len(k) + len(v)
		}
	}
	if size > maxBytes {
		return namespace{unknown: fmt.Sprintf("its labels and annotations have %d bytes, more than %d", size, maxBytes)}
	}
	return found
}

// namespaceStore is what the reflector writes to.
type namespaceStore Namespaces

// heardNow notes a word of the watch; mu is held.
func (s *namespaceStore) heardNow() { s.heard = s.now() }

// Add implements cache.ReflectorStore.
func (s *namespaceStore) Add(object any) error { return s.put(object) }

// Update implements cache.ReflectorStore.
func (s *namespaceStore) Update(object any) error { return s.put(object) }

func (s *namespaceStore) put(object any) error {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("the watch of namespaces sent a %T", object)
	}
	found := namespaceOf(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heardNow()
	if _, ok := s.known[m.Name]; !ok && len(s.known) >= maxNamespaces {
		return nil // it is asked for when it is needed
	}
	s.known[m.Name] = found
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *namespaceStore) Delete(object any) error {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("the watch of namespaces deleted a %T", object)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heardNow()
	delete(s.known, m.Name)
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *namespaceStore) Replace(list []any, _ string) error {
	next := make(map[string]namespace, min(len(list), maxNamespaces))
	for _, object := range list {
		m, ok := object.(*metav1.PartialObjectMetadata)
		if !ok {
			return fmt.Errorf("the list of namespaces has a %T", object)
		}
		if len(next) < maxNamespaces {
			next[m.Name] = namespaceOf(m)
		}
	}
	s.mu.Lock()
	first := s.heard.IsZero()
	s.known = next
	s.heardNow()
	s.mu.Unlock()
	if first {
		s.log.Info("the namespaces of the cluster are watched", "cluster", s.cluster, "namespaces", len(next))
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *namespaceStore) Resync() error { return nil }

// Bookmark implements cache.ReflectorBookmarkStore: the watch is alive.
func (s *namespaceStore) Bookmark(string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heardNow()
	return nil
}
