package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/view"
)

// analysing claims the analysis of an image under a quota of limit, "" when it
// has to wait.
func (s *site) analysing(d gate.Digest, limit int64) gate.Job {
	s.Helper()
	_, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: loc("app"), Digest: d, Trigger: gate.TriggerPush})
	s.no(err)
	job, err := s.store.Claim(s.ctx, gate.ClaimRequest{Worker: "w", Period: gate.Period{Key: "2026-11", Limit: limit}, Lease: time.Minute})
	if err == nil || limit == 0 {
		s.no(err)
	}
	return job
}

func TestQuota(t *testing.T) {
	s := newSite(t, nil)
	s.no(s.store.Avoid(s.ctx, "2026-11", 3))
	var got view.QuotaView
	s.get("/quota", &got)
	none := int64(0)
	resets := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	want := view.QuotaView{Limit: 10, Period: "2026-11", Avoided: 3, Forecast: &none, ResetsAt: &resets}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
	for i := range 8 {
		s.analysing(digest(string(rune('a'+i))), 0)
	}
	s.get("/quota", &got)
	// 8 in the 22.4 days until the 23rd at 10 are 10.7 in 30, and 10 are reached
	// after 28.
	if got.Used != 8 || got.Forecast == nil || *got.Forecast != 11 || got.ExhaustedAt == nil || got.ExhaustedAt.Day() != 29 || got.Waiting != 0 {
		t.Errorf("before the limit: got %+v, forecast %d, exhausted %s", got, *got.Forecast, got.ExhaustedAt)
	}
	if job := s.analysing(digest("waits"), 8); job.ID != "" {
		t.Fatalf("%s was claimed over the limit", job.Key)
	}
	s.catchUp()
	s.get("/quota", &got)
	if got.Used != 8 || got.Waiting != 1 || *got.Forecast != 12 {
		t.Errorf("with one that waits: got %+v, forecast %d", got, *got.Forecast)
	}
}

func TestQuotaWithoutPeriod(t *testing.T) {
	endless, err := gate.NewQuota(gate.QuotaConfig{Period: "none", TimeZone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(o *api.Options) { o.Quota = endless })
	var got view.QuotaView
	s.get("/quota", &got)
	if want := (view.QuotaView{Period: "none"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestChargeOfAnImage(t *testing.T) {
	s := newSite(t, nil)
	d := s.image("a", loc("app"))
	charge := func() *view.Charge {
		var v view.ImageDetail
		s.get("/images/"+string(d), &v)
		return v.Charge
	}
	if c := charge(); c != nil {
		t.Errorf("never charged: got %+v, want null", c)
	}
	job := s.analysing(d, 0)
	stored, err := s.store.Charged(s.ctx, d)
	s.no(err)
	if c := charge(); c == nil || c.Period != "2026-11" || !c.At.Equal(stored.At) || c.Kept {
		t.Errorf("reserved: got %+v, want that of %s, not kept", c, stored.At)
	}
	s.no(s.store.Serve(s.ctx, job.Lease()))
	if c := charge(); c == nil || !c.Kept {
		t.Errorf("served: got %+v, want it kept", c)
	}
}
