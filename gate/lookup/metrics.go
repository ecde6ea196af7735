package lookup

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Metrics records what lookups do. Labels come from closed sets. The
// nil value records nothing. Safe for concurrent use.
type Metrics struct {
	lookups  *prometheus.CounterVec
	fallback *prometheus.CounterVec
	misses   *prometheus.CounterVec
	matches  *prometheus.CounterVec
	late     *prometheus.CounterVec
	allowed  prometheus.Counter // of lookups, the most frequent one
}

// NewMetrics registers the metrics of lookups.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_lookups_total", Help: "Admission lookups of one image, by code (empty: allowed).",
		}, []string{"code"}),
		fallback: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_fallbacks_total", Help: "Decisions that used an earlier confirmed fact: tag (the registry did not answer) or store (the store did not).",
		}, []string{"kind"}),
		misses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_admission_misses_total", Help: "Scans that admission asked for: new, joined, left (it may not restart what ended), over_budget (the namespace's hourly one).",
		}, []string{"result"}),
		matches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_admission_matches_total", Help: "Inventories that admission matched itself, because their findings are older than the advisory data in use or are lost: ok, failed.",
		}, []string{"result"}),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_admission_unmatched_total", Help: "Images that could not be matched in time after an update of the advisory data: former (the findings of the previous generation decided, with a warning), pending (refused).",
		}, []string{"result"}),
	}
	m.allowed = m.lookups.WithLabelValues("")
	reg.MustRegister(m.lookups, m.fallback, m.misses, m.matches, m.late)
	return m
}

func (m *Metrics) looked(code gate.Code) {
	switch {
	case m == nil:
	case code == "":
		m.allowed.Inc()
	default:
		m.lookups.WithLabelValues(string(code)).Inc()
	}
}

func (m *Metrics) fellBack(kind string) {
	if m != nil {
		m.fallback.WithLabelValues(kind).Inc()
	}
}

// missed counts what became of a scan that admission asked for.
func (m *Metrics) missed(result string) {
	if m != nil {
		m.misses.WithLabelValues(result).Inc()
	}
}

// matched counts an inventory that was matched for an admission.
func (m *Metrics) matched(err error) {
	if m == nil {
		return
	}
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.matches.WithLabelValues(result).Inc()
}

// unmatched counts an image that could not be matched in time, and what decided: the
// findings of a former generation, or nothing (0).
func (m *Metrics) unmatched(former int64) {
	if m == nil {
		return
	}
	result := "former"
	if former == 0 {
		result = "pending"
	}
	m.late.WithLabelValues(result).Inc()
}
