package work

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Metrics records what workers do. Labels come from closed sets. The nil value
// records nothing. Safe for concurrent use.
type Metrics struct {
	jobs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers the workers' metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_jobs_total", Help: "Claims that ended, by kind of job and result.",
		}, []string{"kind", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "digestgate_job_duration_seconds", Help: "Time from claim to end, by kind of job.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 180, 600},
		}, []string{"kind"}),
	}
	reg.MustRegister(m.jobs, m.duration)
	return m
}

func (m *Metrics) ended(kind gate.JobKind, result string, d time.Duration) {
	if m == nil {
		return
	}
	m.jobs.WithLabelValues(string(kind), result).Inc()
	m.duration.WithLabelValues(string(kind)).Observe(d.Seconds())
}
