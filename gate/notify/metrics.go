package notify

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count deliveries by the type of the target; nil counts nothing. The names
// of targets are not among the labels.
type Metrics struct {
	sent    *prometheus.CounterVec
	took    *prometheus.HistogramVec
	waiting prometheus.Gauge
	oldest  prometheus.Gauge
	broken  prometheus.Gauge
}

// NewMetrics makes and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_notifications_total", Help: "Tries to deliver a notification, by the type of the target and the outcome: delivered, failed (it is tried again) or given_up.",
		}, []string{"type", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "digestgate_notification_seconds", Help: "How long a try to deliver a notification took.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"type"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_notifications_waiting", Help: "Notifications that wait to be delivered, in the process that sends; 0 in others.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_notifications_oldest_seconds", Help: "Age of the oldest notification that waits to be delivered, in the process that sends; 0 when none does.",
		}),
		broken: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_notifications_unusable_targets", Help: "Notification targets that cannot be used as they are set, in the process that sends; 0 in others.",
		}),
	}
	reg.MustRegister(m.sent, m.took, m.waiting, m.oldest, m.broken)
	return m
}

func (m *Metrics) tried(kind, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.sent.WithLabelValues(kind, outcome).Inc()
	m.took.WithLabelValues(kind).Observe(took.Seconds())
}

func (m *Metrics) stands(waiting int, oldest time.Duration, broken int) {
	if m == nil {
		return
	}
	m.waiting.Set(float64(waiting))
	m.oldest.Set(oldest.Seconds())
	m.broken.Set(float64(broken))
}
