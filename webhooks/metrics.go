package webhooks

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Recorder counts deliveries. A nil Recorder records nothing.
type Recorder struct {
	deliveries *prometheus.CounterVec
	seconds    prometheus.Histogram
}

// NewRecorder registers the metrics of this package. The label type is the
// kind of registry ("" for a path that names none), outcome one of queued,
// duplicate, known, ignored, refused and unavailable.
func NewRecorder(reg prometheus.Registerer) (*Recorder, error) {
	r := &Recorder{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_webhook_deliveries_total",
			Help: "Deliveries of registries by kind of registry and outcome.",
		}, []string{"type", "outcome"}),
		// Senders wait 1 s (Distribution) to 10 s (Quay).
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "digestgate_webhook_delivery_seconds",
			Help:    "Time from the first byte of a delivery to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	for _, c := range []prometheus.Collector{r.deliveries, r.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Recorder) delivered(vendor, outcome string, took time.Duration) {
	if r == nil {
		return
	}
	r.deliveries.WithLabelValues(vendor, outcome).Inc()
	r.seconds.Observe(took.Seconds())
}
