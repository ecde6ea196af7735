package quota

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/digestgate/digestgate/gate"
)

const allGauges = `
# HELP digestgate_quota_avoided Asks of the running period that were answered without a charge.
# TYPE digestgate_quota_avoided gauge
digestgate_quota_avoided 40
# HELP digestgate_quota_forecast Digests that will have needed a charge at the end of the period, at the present pace.
# TYPE digestgate_quota_forecast gauge
digestgate_quota_forecast 30
# HELP digestgate_quota_limit Digests that may be charged in a period; 0 is unlimited.
# TYPE digestgate_quota_limit gauge
digestgate_quota_limit 10
# HELP digestgate_quota_used Digests charged in the running period.
# TYPE digestgate_quota_used gauge
digestgate_quota_used 7
# HELP digestgate_quota_waiting Digests whose analysis waits for quota.
# TYPE digestgate_quota_waiting gauge
digestgate_quota_waiting 2
`

func TestQuotaMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := State{
			Period: gate.Period{Key: "2026-11", Limit: 10}, QuotaUse: gate.QuotaUse{Used: 7, Avoided: 40}, Waiting: 2,
			Forecast: Forecast{Known: true, Needed: 30},
		}
		var reads atomic.Int32
		var fail error
		reg := prometheus.NewPedanticRegistry()
		NewMetrics(reg, func(context.Context) (State, error) { reads.Add(1); return state, fail }, time.Now)
		gauges := func(what, want string, wantReads int32) {
			t.Helper()
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if n := reads.Load(); n != wantReads {
				t.Errorf("%s: read %d times in all, want %d", what, n, wantReads)
			}
		}
		gauges("first", allGauges, 1)
		state.Used = 8
		gauges("within the time that a reading serves", allGauges, 1)
		time.Sleep(quotaFresh)
		gauges("after it", strings.ReplaceAll(allGauges, "used 7", "used 8"), 2)
		time.Sleep(quotaFresh)
		fail = gate.ErrStoreUnavailable
		gauges("the store fails", "", 3)
		fail, state.Used, state.Forecast = nil, 7, Forecast{}
		before, after, _ := strings.Cut(allGauges, "# HELP digestgate_quota_forecast")
		_, after, _ = strings.Cut(after, "forecast 30\n")
		gauges("it is back, without a forecast", before+after, 4)
	})
}

// TestQuotaMetricsNeverHang: a store that does not even look at its context
// costs a scrape its second and the gauges, and one read in all.
func TestQuotaMetricsNeverHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		release := make(chan struct{})
		reg := prometheus.NewPedanticRegistry()
		NewMetrics(reg, func(context.Context) (State, error) { reads.Add(1); <-release; return State{}, nil }, time.Now)
		began := time.Now()
		var scrapes sync.WaitGroup
		for range 3 {
			scrapes.Go(func() {
				if families, err := reg.Gather(); err != nil || len(families) != 0 {
					t.Errorf("got %v, %v, want nothing", families, err)
				}
			})
		}
		scrapes.Wait()
		if took := time.Since(began); took != quotaScrape {
			t.Errorf("three scrapes took %s, want %s", took, quotaScrape)
		}
		if _, err := reg.Gather(); err != nil || reads.Load() != 1 {
			t.Errorf("got %v after %d reads, want one that is still waited for", err, reads.Load())
		}
		close(release)
		synctest.Wait()
		if families, err := reg.Gather(); err != nil || len(families) != 4 {
			t.Errorf("when it answered: got %d gauges, %v, want 4", len(families), err)
		}
	})
}
