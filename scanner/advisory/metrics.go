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
	)
}
