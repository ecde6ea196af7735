package catalog

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/digestgate/digestgate/gate"
)

func TestQueueMetrics(t *testing.T) {
	counts, problem := []QueueCount{{gate.JobAnalyze, gate.JobQueued, 7}, {gate.JobResolve, gate.JobRunning, 2}}, error(nil)
	reg := prometheus.NewPedanticRegistry()
	NewQueueMetrics(reg, func(context.Context) ([]QueueCount, error) { return counts, problem })
	want := `
# HELP digestgate_queue_jobs Jobs that wait or run.
# TYPE digestgate_queue_jobs gauge
digestgate_queue_jobs{kind="analyze",state="queued"} 7
digestgate_queue_jobs{kind="analyze",state="quota_exhausted"} 0
digestgate_queue_jobs{kind="analyze",state="running"} 0
digestgate_queue_jobs{kind="resolve",state="queued"} 0
digestgate_queue_jobs{kind="resolve",state="quota_exhausted"} 0
digestgate_queue_jobs{kind="resolve",state="running"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	problem = errors.New("away")
	if n, err := testutil.GatherAndCount(reg); n != 0 || err != nil {
		t.Errorf("without a count: got %d values, %v, want none: an old number would look like a new one", n, err)
	}
}
