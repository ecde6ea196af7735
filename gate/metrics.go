package gate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics records what the pipeline does. Labels come from closed sets. The
// nil value records nothing. Safe for concurrent use.
type Metrics struct {
	jobs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
	lookups  *prometheus.CounterVec
	fallback *prometheus.CounterVec
	misses   *prometheus.CounterVec
	matches  *prometheus.CounterVec
	event    *prometheus.GaugeVec
	sync     syncMetrics
}

// NewMetrics registers the pipeline's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_jobs_total", Help: "Claims that ended, by kind of job and result.",
		}, []string{"kind", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "digestgate_job_duration_seconds", Help: "Time from claim to end, by kind of job.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 180, 600},
		}, []string{"kind"}),
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
		event: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "digestgate_registry_last_event_timestamp_seconds",
			Help: "When a configured registry was last heard of by an authenticated delivery, as far as this process knows; 0: never.",
		}, []string{"registry"}),
	}
	reg.MustRegister(m.jobs, m.duration, m.lookups, m.fallback, m.misses, m.matches, m.event)
	m.sync = newSyncMetrics(reg)
	return m
}

func (m *Metrics) jobEnded(kind JobKind, result string, d time.Duration) {
	if m == nil {
		return
	}
	m.jobs.WithLabelValues(string(kind), result).Inc()
	m.duration.WithLabelValues(string(kind)).Observe(d.Seconds())
}

func (m *Metrics) looked(code Code) {
	if m != nil {
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

// heardOf says when the configured registry was last heard of; zero is never.
func (m *Metrics) heardOf(registry string, at time.Time) {
	if m == nil {
		return
	}
	m.event.WithLabelValues(registry).Set(seconds(at))
}

// seconds is a time as Prometheus has it; the zero time is 0.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
