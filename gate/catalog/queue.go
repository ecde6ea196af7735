package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// QueueCount is how many jobs of a kind are in a state.
type QueueCount struct {
	Kind  gate.JobKind
	State gate.JobState
	Jobs  int64
}

// Queue counts the live jobs.
func (c *Catalog) Queue(ctx context.Context) ([]QueueCount, error) {
	return all(ctx, c, "counting jobs", func(rows *sql.Rows) (q QueueCount, err error) {
		return q, rows.Scan(&q.Kind, &q.State, &q.Jobs)
	}, queueQuery, string(gate.JobQueued), string(gate.JobRunning), string(gate.JobParked))
}

const queueQuery = "SELECT kind, state, count(*) FROM jobs WHERE state IN (?, ?, ?) GROUP BY kind, state"

// queueScrape bounds what a scrape waits for the count: a tenth of Prometheus' usual timeout.
const queueScrape = time.Second

// queueMetrics shows the queue to a scrape. Safe for concurrent use.
type queueMetrics struct {
	read func(context.Context) ([]QueueCount, error)
	jobs *prometheus.Desc
}

// NewQueueMetrics registers a gauge of what read returns at each scrape. When it cannot be
// counted in time, the gauge is missing from that scrape.
func NewQueueMetrics(reg prometheus.Registerer, read func(context.Context) ([]QueueCount, error)) {
	reg.MustRegister(queueMetrics{read, prometheus.NewDesc("digestgate_queue_jobs", "Jobs that wait or run.", []string{"kind", "state"}, nil)})
}

// Describe implements prometheus.Collector.
func (m queueMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.jobs }

// Collect implements prometheus.Collector. An empty queue has zeros: what scales workers
// must see a number.
func (m queueMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), queueScrape)
	defer cancel()
	counts, err := m.read(ctx)
	if err != nil {
		return
	}
	jobs := map[[2]string]int64{}
	for _, c := range counts {
		jobs[[2]string{string(c.Kind), string(c.State)}] += c.Jobs
	}
	for _, kind := range []gate.JobKind{gate.JobResolve, gate.JobAnalyze} {
		for _, state := range []gate.JobState{gate.JobQueued, gate.JobRunning, gate.JobParked} {
			n := jobs[[2]string{string(kind), string(state)}]
			ch <- prometheus.MustNewConstMetric(m.jobs, prometheus.GaugeValue, float64(n), string(kind), string(state))
		}
	}
}
