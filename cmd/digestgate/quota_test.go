package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/api"
)

func TestPrintQuota(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 0, 30, 0, 0, time.UTC)
	ends := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	forecast := int64(120)
	for _, c := range []struct {
		name string
		view api.QuotaView
		says []string
	}{
		{"unlimited", api.QuotaView{Period: "2026-11", Used: 5, Forecast: &forecast, ResetsAt: &ends},
			[]string{"2026-11  unlimited  5     0        0        120       2026-12-01T00:00:00Z"}},
		{"enough", api.QuotaView{Limit: 200, Period: "2026-11", Used: 5, Avoided: 7, Forecast: &forecast, ResetsAt: &ends},
			[]string{"2026-11  200    5     0        7        120       2026-12-01T00:00:00Z"}},
		{"soon_used_up", api.QuotaView{Limit: 100, Period: "2026-11", Used: 95, Forecast: &forecast, ExhaustedAt: &at, ResetsAt: &ends},
			[]string{"At this pace the quota is used up at 2026-11-29T00:30:00Z."}},
		{"used_up", api.QuotaView{Limit: 100, Period: "2026-11", Used: 100, Waiting: 12, Forecast: &forecast, ExhaustedAt: &at, ResetsAt: &ends},
			[]string{"100   12", "new digests wait until 2026-12-01T00:00:00Z; known ones go on being decided"}},
		{"used_up_for_ever", api.QuotaView{Limit: 100, Period: "none", Used: 100, Waiting: 12},
			[]string{"never", "until quota.limit is raised"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := printQuota(&out, c.view); err != nil {
				t.Fatal(err)
			}
			for _, text := range c.says {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is missing in\n%s", text, &out)
				}
			}
			if strings.Contains(out.String(), "pace") != (c.name == "soon_used_up") {
				t.Errorf("speaks of the pace:\n%s", &out)
			}
		})
	}
}
