package beside

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// labels are the reasons as metrics name them; every other one is that of a statement.
var labels = map[string]string{
	notSigned: "not_signed", otherKey: "other_key", tooOld: "too_old", tooMany: "not_read", damaged: "damaged", unreadableM: "unreadable",
}

// Describe registers what was found and refused since the start.
func (f *Finder) Describe(reg prometheus.Registerer) {
	register := func(o prometheus.CounterOpts, result string, of func(s *gate.BesideStanding) int) {
		o.ConstLabels = prometheus.Labels{"result": result}
		reg.MustRegister(prometheus.NewCounterFunc(o, func() float64 {
			s := f.Standing()
			return float64(of(&s))
		}))
	}
	images := prometheus.CounterOpts{
		Name: "digestgate_vex_beside_images_total", Help: "Images beside which VEX documents were looked for, by whether everything could be read.",
	}
	register(images, "read", func(s *gate.BesideStanding) int { return s.Images - s.Unread - s.Unreached })
	register(images, "unread", func(s *gate.BesideStanding) int { return s.Unread })
	register(images, "unreached", func(s *gate.BesideStanding) int { return s.Unreached })
	documents := prometheus.CounterOpts{
		Name: "digestgate_vex_beside_documents_total", Help: "VEX documents that were found beside images, and what of them does not count by the reason.",
	}
	register(documents, "taken", func(s *gate.BesideStanding) int { return s.Documents })
	for why, label := range labels {
		register(documents, label, func(s *gate.BesideStanding) int { return s.Refused[why] })
	}
	register(documents, "statement", func(s *gate.BesideStanding) (n int) {
		for why, count := range s.Refused {
			if labels[why] == "" {
				n += count
			}
		}
		return n
	})
}
