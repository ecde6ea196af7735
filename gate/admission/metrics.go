package admission

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Recorder counts reviews. A nil Recorder counts nothing. Labels are closed
// sets: outcomes, codes and modes of this program, never anything of a review.
type Recorder struct {
	reviews  *prometheus.CounterVec
	duration prometheus.Histogram
	inFlight prometheus.Gauge
	waiting  prometheus.Gauge
	rejected *prometheus.CounterVec
	// counters are those of reviews that were needed by now: finding one by its labels
	// takes longer than all the rest that is counted of a review.
	counters atomic.Pointer[map[labels]prometheus.Counter]
}

// labels are those of a review.
type labels struct {
	outcome Outcome
	code    gate.Code
	mode    Mode
}

// NewRecorder registers the metrics.
func NewRecorder(reg prometheus.Registerer) (*Recorder, error) {
	r := &Recorder{
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_admission_reviews_total",
			Help: "Answered reviews by what they came to before the mode applied, the code of the first refused image, and the mode.",
		}, []string{"outcome", "code", "mode"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "digestgate_admission_review_duration_seconds",
			Help: "Time from the whole body to the answer.",
			// From a warm answer to Kubernetes' longest timeout.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_admission_reviews_in_flight",
			Help: "Reviews that are being worked on.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "digestgate_admission_reviews_waiting",
			Help: "Reviews that wait for a registry or a scan; they hold no place of those that need the store only.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_admission_rejected_requests_total",
			Help: "Requests that got no review in answer, by HTTP status.",
		}, []string{"status"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{r.reviews, r.duration, r.inFlight, r.waiting, r.rejected} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering the metrics of admission: %w", err)
	}
	return r, nil
}

// inside counts a review in, or out with -1.
func (r *Recorder) inside(reviews float64) {
	if r != nil {
		r.inFlight.Add(reviews)
	}
}

// waits says how many reviews wait.
func (r *Recorder) waits(reviews int) {
	if r != nil {
		r.waiting.Set(float64(reviews))
	}
}

func (r *Recorder) end(resp *Response, took time.Duration) {
	if r == nil {
		return
	}
	r.counter(labels{resp.Outcome, resp.Code, resp.Mode}).Inc()
	r.duration.Observe(took.Seconds())
}

func (r *Recorder) counter(l labels) prometheus.Counter {
	known := r.counters.Load()
	if known != nil {
		if c, ok := (*known)[l]; ok {
			return c
		}
	}
	code := string(l.code)
	if code == "" {
		code = "none"
	}
	c := r.reviews.WithLabelValues(string(l.outcome), code, string(l.mode))
	next := map[labels]prometheus.Counter{l: c}
	if known != nil {
		maps.Copy(next, *known)
	}
	r.counters.CompareAndSwap(known, &next) // another one has to be found again
	return c
}

func (r *Recorder) reject(status int) {
	if r != nil {
		r.rejected.WithLabelValues(fmt.Sprint(status)).Inc()
	}
}
