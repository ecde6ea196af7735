package standing

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what became of new advisory data. Its methods are safe for concurrent
// use, also on nil.
type Metrics struct {
	full, miss prometheus.Counter
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer, l *Lifts) *Metrics {
	m := &Metrics{
		full: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "digestgate_full_sweeps_total", Help: "Sweeps that also matched the images that new advisory data does not change.",
		}),
		miss: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "digestgate_full_sweep_missed_total",
			Help: "Images with other findings than the difference of advisory data had said; 0 is expected.",
		}),
	}
	reg.MustRegister(m.full, m.miss, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "digestgate_unchanged_findings",
		Help: "Findings of an older generation that stand in the one in use here, because nothing of them changed.",
	}, func() float64 { return float64(l.unchanged()) }))
	return m
}

func (m *Metrics) fullSweep() {
	if m != nil {
		m.full.Inc()
	}
}

func (m *Metrics) missed() {
	if m != nil {
		m.miss.Inc()
	}
}
