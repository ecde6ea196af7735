package joined

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Describe registers how the tables stand.
func (s *Set) Describe(reg prometheus.Registerer) {
	for i, k := range gate.TableKinds() {
		gauge := func(o prometheus.GaugeOpts, of func(gate.TableStatus) float64) {
			o.ConstLabels = prometheus.Labels{"table": string(k)}
			reg.MustRegister(prometheus.NewGaugeFunc(o, func() float64 { return of(s.Status()[i]) }))
		}
		gauge(prometheus.GaugeOpts{
			Name: "digestgate_joined_rows", Help: "Rows of each table that is joined to findings; 0: there is none.",
		}, func(t gate.TableStatus) float64 { return float64(t.InForce.Rows) })
		gauge(prometheus.GaugeOpts{
			Name: "digestgate_joined_updated_timestamp_seconds", Help: "Time of each table that is joined to findings, as its source states it; 0: there is none.",
		}, updated)
		gauge(prometheus.GaugeOpts{
			Name: "digestgate_joined_refused", Help: "1 when newer content of a table is not in use because something is wrong with it, else 0.",
		}, refused)
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "digestgate_vex_refused_statements", Help: "Statements of the VEX documents in force that do not count.",
	}, func() float64 {
		n := 0
		for _, v := range s.vexStandings() {
			for _, count := range v.Refused {
				n += count
			}
		}
		return float64(n)
	}))
}

func updated(t gate.TableStatus) float64 {
	if at := t.InForce.UpdatedAt; at.Unix() > 0 {
		return float64(at.Unix())
	}
	return 0
}

func refused(t gate.TableStatus) float64 {
	bad := t.Problem != ""
	for _, v := range t.Sources {
		bad = bad || v.Problem != ""
	}
	if bad {
		return 1
	}
	return 0
}
