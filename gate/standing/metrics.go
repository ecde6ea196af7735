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
			Name: "digestgate_full_sweeps_total", Help: "Full sweeps that ended: each matches all images that the comparison of advisory data had left out.",
		}),
		miss: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "digestgate_full_sweep_missed_total",
			Help: "Images for which a full sweep found other findings than the comparison of advisory data had said; 0 is expected.",
		}),
	}
	reg.MustRegister(m.full, m.miss, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "digestgate_unchanged_findings",
		Help: "Images whose findings are of an older generation and are valid in the one in use here too, because the new data does not change them.",
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
