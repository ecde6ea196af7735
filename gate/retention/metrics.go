package retention

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what was forgotten. Its methods are safe for concurrent use, also on nil.
type Metrics struct {
	forgotten prometheus.Counter
	kept      *prometheus.GaugeVec
	runs      *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "digestgate_forgotten_images_total", Help: "Images that were forgotten, but for their digests and charges.",
		}),
		kept: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "digestgate_absent_images", Help: "Images that no registry is known to have and that the last look of this process kept, by why.",
		}, []string{"kept"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_retention_runs_total", Help: "Looks of this process for images that may be forgotten, by how they ended.",
		}, []string{"result"}),
	}
	for _, why := range Reasons() {
		m.kept.WithLabelValues(string(why))
	}
	for _, result := range []string{"ok", "failed"} {
		m.runs.WithLabelValues(result)
	}
	reg.MustRegister(m.forgotten, m.kept, m.runs)
	return m
}

func (m *Metrics) forgot() {
	if m != nil {
		m.forgotten.Inc()
	}
}

func (m *Metrics) done(r Result, ok bool) {
	if m == nil {
		return
	}
	if !ok {
		m.runs.WithLabelValues("failed").Inc()
		return
	}
	m.runs.WithLabelValues("ok").Inc()
	for _, why := range Reasons() {
		m.kept.WithLabelValues(string(why)).Set(float64(r.Kept[why]))
	}
}
