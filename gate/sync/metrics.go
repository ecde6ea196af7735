package sync

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Metrics records what synchronisations do, by the configured name of the
// registry.
type Metrics struct {
	runs, repositories, tags, found, problems *prometheus.CounterVec
	success                                   *prometheus.GaugeVec
}

// syncChange is what a synchronisation has found at a tag, as a label.
type syncChange string

const (
	// syncFirst: by the first run of a registry, which no event had to tell.
	syncFirst syncChange = "first"
	// The others are events that were lost.
	syncNew   syncChange = "new"   // a tag that was not known
	syncMoved syncChange = "moved" // a known tag that names another digest, or is in doubt
	syncGone  syncChange = "gone"
	// syncUnjudged: a known tag whose image, or a judged child of whose index,
	// has neither an inventory nor a job.
	syncUnjudged syncChange = "unjudged"
)

// The results of an attempt at a run, as labels.
const (
	syncEnded   = "done"
	syncFailed  = "failed"  // it waits and continues
	syncStopped = "stopped" // with this process; it continues elsewhere
	syncTaken   = "taken"   // by another replica
)

// NewMetrics registers the metrics of synchronisations.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(o prometheus.CounterOpts, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(o, append([]string{"registry"}, labels...))
	}
	m := &Metrics{
		runs: counter(prometheus.CounterOpts{
			Name: "digestgate_sync_attempts_total",
			Help: "Attempts at synchronising a registry by result: done, failed (it waits and continues), stopped, taken (by another replica).",
		}, "result"),
		repositories: counter(prometheus.CounterOpts{
			Name: "digestgate_sync_repositories_total", Help: "Repositories whose tags were compared.",
		}),
		tags: counter(prometheus.CounterOpts{
			Name: "digestgate_sync_tags_total", Help: "Tags of the lists of a registry that were compared with the known ones.",
		}),
		found: counter(prometheus.CounterOpts{
			Name: "digestgate_sync_found_total",
			Help: "Resolves queued for missed events, by cause: first (by the first run of a registry), new, moved, gone, unjudged.",
		}, "change"),
		problems: counter(prometheus.CounterOpts{
			Name: "digestgate_sync_problems_total", Help: "Repositories that could not be compared.",
		}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "digestgate_sync_last_success_timestamp_seconds",
			Help: "Start of the last finished run by kind: tags (any run), full (one that confirmed every tag); 0: none.",
		}, []string{"registry", "kind"}),
	}
	reg.MustRegister(m.runs, m.repositories, m.tags, m.found, m.problems, m.success)
	return m
}

func (m *Metrics) syncAttempt(registry, result string) {
	if m != nil {
		m.runs.WithLabelValues(registry, result).Inc()
	}
}

func (m *Metrics) syncCompared(registry string, tags int) {
	if m != nil {
		m.repositories.WithLabelValues(registry).Inc()
		m.tags.WithLabelValues(registry).Add(float64(tags))
	}
}

func (m *Metrics) syncFound(registry string, change syncChange) {
	if m != nil {
		m.found.WithLabelValues(registry, string(change)).Inc()
	}
}

func (m *Metrics) syncProblem(registry string) {
	if m != nil {
		m.problems.WithLabelValues(registry).Inc()
	}
}

// synced says when the last finished runs began.
func (m *Metrics) synced(registry string, tags, full time.Time) {
	if m != nil {
		m.success.WithLabelValues(registry, "tags").Set(gate.UnixSeconds(tags))
		m.success.WithLabelValues(registry, "full").Set(gate.UnixSeconds(full))
	}
}
