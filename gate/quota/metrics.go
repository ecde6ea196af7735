package quota

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// quotaScrape bounds what a scrape waits for the quota: a tenth of
	// Prometheus' usual timeout, so that a store that is away takes no other
	// metric with it.
	quotaScrape = time.Second
	// quotaFresh is how long a reading serves: two scrapers, or one that tries
	// again, cost the store one reading.
	quotaFresh = 5 * time.Second
)

// Metrics shows the quota to who scrapes. It reads when it is asked, once
// at a time. When there is no reading in time the gauges are missing from that
// scrape, which alerts can see; an old number would look like a new one. Safe
// for concurrent use.
type Metrics struct {
	read func(ctx context.Context) (State, error)
	now  func() time.Time

	limit, used, avoided, forecast, waiting prometheus.Gauge

	mu      sync.Mutex
	state   State
	readAt  time.Time
	reading chan struct{} // closed when the running read ends; nil without one
	showing sync.Mutex    // the gauges belong to one scrape at a time
}

// NewMetrics registers gauges that show what read returns.
func NewMetrics(reg prometheus.Registerer, read func(context.Context) (State, error), now func() time.Time) *Metrics {
	m := &Metrics{
		read: read, now: now,
		limit: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_quota_limit", Help: "Digests that may be charged in a period; 0 is unlimited.",
		}),
		used: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_quota_used", Help: "Digests charged in the running period.",
		}),
		avoided: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_quota_avoided", Help: "Asks of the running period that were answered without a charge.",
		}),
		forecast: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_quota_forecast", Help: "Digests that will have needed a charge at the end of the period, at the present pace.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_quota_waiting", Help: "Digests whose analysis waits for quota.",
		}),
	}
	reg.MustRegister(m)
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range []prometheus.Gauge{m.limit, m.used, m.avoided, m.forecast, m.waiting} {
		g.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	s, ok := m.current()
	if !ok {
		return
	}
	m.showing.Lock()
	defer m.showing.Unlock()
	show := func(g prometheus.Gauge, n int64) {
		g.Set(float64(n))
		g.Collect(ch)
	}
	show(m.limit, s.Limit)
	show(m.used, s.Used)
	show(m.avoided, s.Avoided)
	show(m.waiting, s.Waiting)
	if s.Forecast.Known {
		show(m.forecast, s.Forecast.Needed)
	}
}

// current is a reading that is fresh, ok false when there is none in time. The read
// continues when its caller has stopped waiting, so that one that never ends holds up a
// scrape for no more than its time.
func (m *Metrics) current() (s State, ok bool) {
	m.mu.Lock()
	if s, ok := m.fresh(); ok {
		m.mu.Unlock()
		return s, true
	}
	if m.reading == nil {
		m.reading = make(chan struct{})
		go m.update(m.reading)
	}
	reading := m.reading
	m.mu.Unlock()
	select {
	case <-reading:
	case <-time.After(quotaScrape):
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fresh()
}

// fresh is the last reading if it may still serve; m.mu is held.
func (m *Metrics) fresh() (State, bool) {
	return m.state, !m.readAt.IsZero() && m.now().Sub(m.readAt).Abs() < quotaFresh
}

func (m *Metrics) update(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), quotaScrape)
	defer cancel()
	s, err := m.read(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reading = nil
	if err == nil {
		m.state, m.readAt = s, m.now()
	}
	close(done)
}
