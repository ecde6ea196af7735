package scantask

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Metrics counts what scan tasks do in this process. nil counts nothing.
type Metrics struct {
	here   prometheus.Gauge
	seen   *prometheus.CounterVec
	ending *prometheus.CounterVec
}

// NewMetrics registers the metrics of scan tasks.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		here: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_scan_tasks_running", Help: "Scan tasks that this process runs.",
		}),
		seen: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_scan_task_images_total",
			Help: "Images that scan tasks of this process dealt with, by kind (match, content) and result: done, failed, skipped.",
		}, []string{"kind", "result"}),
		ending: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_scan_tasks_ended_total", Help: "Scan tasks that ended in this process, by state: done, cancelled, failed.",
		}, []string{"state"}),
	}
	reg.MustRegister(m.here, m.seen, m.ending)
	return m
}

func (m *Metrics) running(n int) {
	if m != nil {
		m.here.Set(float64(n))
	}
}

func (m *Metrics) images(kind gate.ScanKind, done, failed, skipped int) {
	if m == nil {
		return
	}
	for result, n := range map[string]int{"done": done, "failed": failed, "skipped": skipped} {
		m.seen.WithLabelValues(string(kind), result).Add(float64(n))
	}
}

func (m *Metrics) ended(state gate.ScanState) {
	if m != nil {
		m.ending.WithLabelValues(string(state)).Inc()
	}
}
