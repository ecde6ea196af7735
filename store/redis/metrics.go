package redis

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// Metrics counts what an operator of the store looks for; nil counts nothing. It
// belongs to one store, and is safe for concurrent use.
type Metrics struct {
	rejected *prometheus.CounterVec
	failures *prometheus.CounterVec
	pools    pools
}

// NewMetrics registers the metrics of a store.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_store_rejected_values_total",
			Help: "Stored values that were not believed and count as absent. forged: another program wrote it, or the MAC keys differ; replayed: older than what was seen; damaged: cannot be read.",
		}, []string{"thing", "reason"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_store_failures_total", Help: "Calls that Redis did not answer as it should.",
		}, []string{"reason"}),
	}
	for _, thing := range []string{"record", "location", "tag", "setting", "inventory", "findings", "job"} {
		for _, reason := range []string{"forged", "replayed", "damaged"} {
			m.rejected.WithLabelValues(thing, reason)
		}
	}
	r.MustRegister(m.rejected, m.failures, &m.pools)
	return m
}

func (m *Metrics) reject(kind alarm) {
	if m != nil {
		m.rejected.WithLabelValues(kind.thing, kind.reason).Inc()
	}
}

func (m *Metrics) failed(err error) {
	if m == nil {
		return
	}
	class, _ := gate.Classify(err)
	m.failures.WithLabelValues(class.Label).Inc()
}

// show makes the connections of both clients visible.
func (m *Metrics) show(work, admission redis.UniversalClient) {
	if m != nil {
		m.pools.clients.Store(&map[string]redis.UniversalClient{"work": work, "admission": admission})
	}
}

// pools are the connections of the clients, by what they are for.
type pools struct {
	clients atomic.Pointer[map[string]redis.UniversalClient]
}

var (
	connections = prometheus.NewDesc("digestgate_store_connections", "Open connections to Redis.", []string{"pool"}, nil)
	waits       = prometheus.NewDesc("digestgate_store_connection_waits_total", "Calls that waited too long for a connection.", []string{"pool"}, nil)
)

// Describe implements prometheus.Collector.
func (p *pools) Describe(ch chan<- *prometheus.Desc) {
	ch <- connections
	ch <- waits
}

// Collect implements prometheus.Collector.
func (p *pools) Collect(ch chan<- prometheus.Metric) {
	clients := p.clients.Load()
	if clients == nil {
		return
	}
	for name, client := range *clients {
		stats := client.PoolStats()
		ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(stats.TotalConns), name)
		ch <- prometheus.MustNewConstMetric(waits, prometheus.CounterValue, float64(stats.Timeouts), name)
	}
}
