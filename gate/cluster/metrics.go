package cluster

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what a watch counts.
type counts struct {
	lookups  *prometheus.CounterVec
	troubles prometheus.Counter
}

func newCounts() *counts {
	return &counts{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_cluster_namespace_lookups_total",
			Help: "Namespaces that policies asked for, by how their labels were found: watched, asked (live), unknown, other (another cluster).",
		}, []string{"found"}),
		troubles: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "digestgate_cluster_watch_failures_total",
			Help: "Requests to the API server about namespaces that failed.",
		}),
	}
}

func (c *counts) lookup(found string) { c.lookups.WithLabelValues(found).Inc() }

// Describe registers the metrics of the watch.
func (n *Namespaces) Describe(r prometheus.Registerer) {
	r.MustRegister(n.counts.lookups, n.counts.troubles,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_cluster_watch_silence_seconds",
			Help: "Seconds since the watch of namespaces was last heard; -1 before its first list.",
		}, func() float64 {
			heard := n.lastHeard()
			if heard.IsZero() {
				return -1
			}
			return n.now().Sub(heard).Seconds()
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_cluster_namespaces",
			Help: "Namespaces that the watch knows.",
		}, func() float64 {
			n.mu.RLock()
			defer n.mu.RUnlock()
			return float64(len(n.known))
		}))
}

// Silent is how long the watch was not heard, and whether it was ever.
func (n *Namespaces) Silent() (silence time.Duration, ever bool) {
	heard := n.lastHeard()
	return n.now().Sub(heard), !heard.IsZero()
}
