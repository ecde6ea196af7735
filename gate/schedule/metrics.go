package schedule

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts the ticks of schedules. nil counts nothing.
type Metrics struct{ ticks *prometheus.CounterVec }

// NewMetrics registers the metrics of schedules.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "digestgate_schedule_ticks_total",
		Help: "Ticks of schedules that this process dealt with, by result: begun (a scan task was made), joined (the run before has not ended), off (not enabled).",
	}, []string{"result"})}
	for _, o := range []outcome{outcomeBegun, outcomeJoined, outcomeOff} {
		m.ticks.WithLabelValues(string(o))
	}
	reg.MustRegister(m.ticks)
	return m
}

func (m *Metrics) tick(o outcome) {
	if m != nil {
		m.ticks.WithLabelValues(string(o)).Inc()
	}
}
