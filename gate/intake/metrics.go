package intake

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Metrics records what is heard of registries. The nil value records nothing.
// Safe for concurrent use.
type Metrics struct{ event *prometheus.GaugeVec }

// NewMetrics registers the metrics of the intake.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{event: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "digestgate_registry_last_event_timestamp_seconds",
		Help: "When a configured registry was last heard of by an authenticated delivery, as far as this process knows; 0: never.",
	}, []string{"registry"})}
	reg.MustRegister(m.event)
	return m
}

// heardOf says when the configured registry was last heard of; zero is never.
func (m *Metrics) heardOf(registry string, at time.Time) {
	if m == nil {
		return
	}
	m.event.WithLabelValues(registry).Set(gate.UnixSeconds(at))
}
