package webhooks

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts deliveries. The nil value records nothing.
type Metrics struct {
	deliveries *prometheus.CounterVec
	seconds    prometheus.Histogram
}

// NewMetrics registers the metrics of this package. The label type is the kind
// of registry ("" for a path that names none), outcome one of queued,
// duplicate, known, ignored, refused and unavailable.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_webhook_deliveries_total",
			Help: "Deliveries of registries by kind of registry and outcome.",
		}, []string{"type", "outcome"}),
		// Senders wait 1 s (Distribution) to 10 s (Quay).
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "digestgate_webhook_delivery_seconds",
			Help:    "Time from the first byte of a delivery to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	reg.MustRegister(m.deliveries, m.seconds)
	return m
}

func (m *Metrics) delivered(vendor, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.deliveries.WithLabelValues(vendor, outcome).Inc()
	m.seconds.Observe(took.Seconds())
}
