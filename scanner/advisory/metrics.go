package advisory

import "github.com/prometheus/client_golang/prometheus"

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
}
