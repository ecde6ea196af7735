package redis

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// metrics counts what an operator of the store looks for. The zero value, and
// nil, count nothing.
type metrics struct {
	registerer prometheus.Registerer
	rejected   *prometheus.CounterVec
	failures   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		return nil
	}
	m := &metrics{
		registerer: r,
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_store_rejected_values_total",
			Help: "Stored values that were not believed and count as absent. forged: somebody else wrote it, or the MAC keys differ; replayed: older than what was seen; damaged: not readable.",
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
	r.MustRegister(m.rejected, m.failures)
	return m
}

func (m *metrics) reject(thing string, err error) {
	if m == nil {
		return
	}
	reason := "damaged"
	switch {
	case errors.Is(err, errForged):
		reason = "forged"
	case errors.Is(err, errReplay):
		reason = "replayed"
	}
	m.rejected.WithLabelValues(thing, reason).Inc()
}

func (m *metrics) failed(err error) {
	if m == nil {
		return
	}
	class, _ := gate.Classify(err)
	m.failures.WithLabelValues(class.Label).Inc()
}

// pools shows the connections of both clients.
func (m *metrics) pools(work, admission redis.UniversalClient) {
	if m == nil {
		return
	}
	for name, client := range map[string]redis.UniversalClient{"work": work, "admission": admission} {
		labels := prometheus.Labels{"pool": name}
		m.registerer.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "digestgate_store_connections", Help: "Open connections to Redis.", ConstLabels: labels,
			}, func() float64 { return float64(client.PoolStats().TotalConns) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "digestgate_store_connection_waits_total", Help: "Calls that waited too long for a connection.", ConstLabels: labels,
			}, func() float64 { return float64(client.PoolStats().Timeouts) }),
		)
	}
}
