package gate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// IntakeMetrics records what is heard of registries. The nil value records nothing.
// Safe for concurrent use.
type IntakeMetrics struct{ event *prometheus.GaugeVec }

// NewIntakeMetrics registers the metrics of the intake.
func NewIntakeMetrics(reg prometheus.Registerer) *IntakeMetrics {
	m := &IntakeMetrics{event: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "digestgate_registry_last_event_timestamp_seconds",
		Help: "When a configured registry was last heard of by an authenticated delivery, as far as this process knows; 0: never.",
	}, []string{"registry"})}
	reg.MustRegister(m.event)
	return m
}

// heardOf says when the configured registry was last heard of; zero is never.
func (m *IntakeMetrics) heardOf(registry string, at time.Time) {
	if m == nil {
		return
	}
	m.event.WithLabelValues(registry).Set(UnixSeconds(at))
}
