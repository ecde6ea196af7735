package lookup

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// maxEstablished bounds the namespaces that are remembered of one cluster:
	// Kubernetes is tested with 10,000 (sig-scalability's thresholds).
	maxEstablished = 10_000
	// establishedFor is how many days a namespace is remembered that has no
	// image admitted any more, when there is no room; renewedAfter is after how
	// many its day is written again.
	establishedFor = 30
	renewedAfter   = 7
	// establishedEvery is how often what is new is shared with other replicas.
	establishedEvery   = 10 * time.Second
	establishedTimeout = 5 * time.Second
)

// Established remembers the namespaces that have had an image admitted. Half of what
// all namespaces together may queue is kept for them, so that a user who invents
// namespaces cannot use it up. It is shared through the store; what one replica has
// seen, others know within twenty seconds. A nil Established knows no namespace. Safe
// for concurrent use.
type Established struct {
	store agree.Settings
	log   *slog.Logger
	now   func() time.Time

	mu       sync.RWMutex
	clusters map[string]*establishedIn
}

type establishedIn struct {
	days   map[string]int64 // by namespace: day of the last admission that was noted
	unsent bool
	swept  int64 // day on which room was last made
}

// NewEstablished builds the memory for the configured clusters.
func NewEstablished(clusters []string, store agree.Settings, log *slog.Logger, now func() time.Time) *Established {
	e := &Established{store: store, log: log, now: now, clusters: map[string]*establishedIn{}}
	for _, c := range clusters {
		e.clusters[c] = &establishedIn{days: map[string]int64{}}
	}
	return e
}

func dayOf(t time.Time) int64 { return t.Unix() / int64(24*time.Hour/time.Second) }

// Has reports whether an image was admitted in a namespace before.
func (e *Established) Has(cluster, namespace string) bool {
	if e == nil {
		return false
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	in := e.clusters[cluster]
	if in == nil {
		return false
	}
	_, ok := in.days[namespace]
	return ok
}

// Note remembers that an image was admitted in a namespace. It waits for
// nothing. Clusters that are not configured are left out.
func (e *Established) Note(cluster, namespace string) {
	if e == nil || namespace == "" {
		return
	}
	today := dayOf(e.now())
	e.mu.RLock()
	in := e.clusters[cluster]
	due := in != nil
	if due {
		day, ok := in.days[namespace]
		due = !ok && (len(in.days) < maxEstablished || in.swept != today) || ok && today-day >= renewedAfter
	}
	e.mu.RUnlock()
	if !due {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	in.unsent = in.keep(namespace, today, today) || in.unsent
}

// maxNamespace is the longest name, in bytes, that a namespace of Kubernetes can have:
// it is a DNS label.
const maxNamespace = 63

// keep takes a namespace in if there is room for it.
func (in *establishedIn) keep(namespace string, day, today int64) bool {
	if len(namespace) > maxNamespace {
		return false // stored by another program, or by an earlier version
	}
	old, ok := in.days[namespace]
	if !ok && len(in.days) >= maxEstablished && in.swept == today {
		return false
	}
	if !ok && len(in.days) >= maxEstablished {
		in.swept = today
		for other, last := range in.days {
			if today-last > establishedFor {
				delete(in.days, other)
			}
		}
		if len(in.days) >= maxEstablished {
			return false
		}
	}
	in.days[namespace] = max(old, day)
	return true
}

// Run shares what is noted until ctx ends.
func (e *Established) Run(ctx context.Context) {
	tick := time.NewTicker(establishedEvery)
	defer tick.Stop()
	for {
		e.Flush(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Flush shares what is noted now, and takes in what others have.
func (e *Established) Flush(ctx context.Context) {
	for cluster := range e.clusters { // the map itself never changes
		bounded, cancel := context.WithTimeout(ctx, establishedTimeout)
		err := e.share(bounded, cluster)
		cancel()
		if err != nil && ctx.Err() == nil {
			e.log.Warn("namespaces that had an image admitted cannot be shared", "cluster", cluster, "error", err)
		}
	}
}

// share takes in what is stored of a cluster and, if something is new, stores both.
func (e *Established) share(ctx context.Context, cluster string) error {
	sent := false
	err := agree.UpdateSetting(ctx, e.store, agree.SettingNamespaces(cluster), func(value []byte) ([]byte, error) {
		if sent {
			e.again(cluster) // another replica was faster
		}
		next := e.merge(cluster, value)
		sent = sent || next != nil
		return next, nil
	})
	if err != nil && sent {
		e.again(cluster)
	}
	if errors.Is(err, gate.ErrConflict) {
		return nil // others write all the time; the next turn tries again
	}
	return err
}

// again notes that what was taken for stored is not.
func (e *Established) again(cluster string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clusters[cluster].unsent = true
}

// merge takes in what is stored, and returns what is to be stored instead, nil when
// nothing is new. A value that cannot be read counts as none.
func (e *Established) merge(cluster string, stored []byte) []byte {
	var days map[string]int64
	_ = json.Unmarshal(stored, &days)
	e.mu.Lock()
	defer e.mu.Unlock()
	in, today := e.clusters[cluster], dayOf(e.now())
	for namespace, day := range days {
		in.keep(namespace, min(day, today), today)
	}
	if !in.unsent {
		return nil
	}
	value, err := json.Marshal(in.days)
	if err != nil {
		return nil // a map of numbers always marshals
	}
	in.unsent = false
	return value
}
