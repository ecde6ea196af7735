package advisory

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// Describe registers what a manager is doing.
func (m *Manager) Describe(reg prometheus.Registerer) {
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_advisories_generation", Help: "Number of the generation that this process matches with; 0: none.",
		}, func() float64 { return float64(m.Status().Generation.Number) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_advisories_active", Help: "1 when this process matches with the active generation, 0 when it has none or other data than the active.",
		}, func() float64 {
			if st := m.Status(); st.Generation.Number > 0 && st.Elsewhere.Number == 0 {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_advisories_updated_timestamp_seconds", Help: "Time of the oldest part of the advisory data in use; 0: none, or not known.",
		}, func() float64 {
			if at := m.Status().Generation.UpdatedAt; at.Unix() > 0 {
				return float64(at.Unix())
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_advisories_java_updated_timestamp_seconds", Help: "Time of the index of Java archives in use; 0: none.",
		}, func() float64 {
			if j := m.Status().Java; j != nil {
				return float64(max(j.UpdatedAt.Unix(), 0))
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_advisories_held_buckets", Help: "Buckets of the advisory data in use that keep earlier rows because newer ones were refused.",
		}, func() float64 { return float64(len(m.Status().Held)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_advisories_refresh_failures", Help: "How often in a row no repository had usable data, as far as this process knows.",
		}, func() float64 {
			m.mu.Lock()
			defer m.mu.Unlock()
			return float64(m.refreshed.Failures)
		}),
	)
	if len(m.config.Sources) > 0 {
		reg.MustRegister(newSourceMetrics(m))
	}
}

// sourceMetrics are of the sources of which generations are composed; their names are
// those of the configuration.
type sourceMetrics struct {
	m                       *Manager
	updated, rows, failures *prometheus.Desc
}

func newSourceMetrics(m *Manager) *sourceMetrics {
	return &sourceMetrics{
		m: m,
		updated: prometheus.NewDesc("digestgate_advisories_source_updated_timestamp_seconds",
			"Time of the data of a source in the generation in use; 0: none, or not known.", []string{"source"}, nil),
		rows: prometheus.NewDesc("digestgate_advisories_source_rows",
			"Advisories of a source in the generation in use.", []string{"source"}, nil),
		failures: prometheus.NewDesc("digestgate_advisories_source_failures",
			"How often in a row a source could not be had, as far as this process knows.", []string{"source"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (s *sourceMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.updated
	ch <- s.rows
	ch <- s.failures
}

// Collect implements prometheus.Collector.
func (s *sourceMetrics) Collect(ch chan<- prometheus.Metric) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	for _, c := range source.Ordered(s.m.config.Sources, s.m.config.Path != "" || len(s.m.config.Repositories) > 0) {
		var updated, rows float64
		if s.m.loaded != nil {
			if in, ok := s.m.loaded.Manifest.named(s.m.loaded.Content, s.m.loaded.UpdatedAt, c.Name); ok {
				updated = float64(max(in.UpdatedAt.Unix(), 0))
				if rows = float64(s.m.loaded.Summary.Advisories()); in.Gave != nil {
					rows = float64(in.Gave.Rows)
				}
			}
		}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, c.Name)
		}
		gauge(s.updated, updated)
		gauge(s.rows, rows)
		gauge(s.failures, float64(s.m.refreshed.Sources[c.Name].Failures))
	}
}
