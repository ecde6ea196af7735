package view

import (
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/quota"
)

// QuotaView is the quota of the running period.
type QuotaView struct {
	Limit   int64  `json:"limit" doc:"digests in a period; 0 is unlimited"`
	Period  string `json:"period" doc:"key of the running period"`
	Used    int64  `json:"used"`
	Avoided int64  `json:"avoided" doc:"asks that were answered without a charge"`
	Waiting int64  `json:"waiting" doc:"digests whose analysis waits for quota"`
	// Forecast and what follows from it: see gate.Quota.Forecast.
	Forecast    *int64     `json:"forecast" doc:"digests that will have needed a charge at the end of the period, at the present pace; may be above the limit. null when the period never ends"`
	ExhaustedAt *time.Time `json:"exhaustedAt" doc:"when the limit is reached at the present pace, now when it is already; null when it is not in this period"`
	ResetsAt    *time.Time `json:"resetsAt" doc:"when the period ends; null when it never does"`
}

// OfQuota is the view of the state of the quota.
func OfQuota(q quota.State) QuotaView {
	v := QuotaView{
		Limit: q.Limit, Period: q.Key, Used: q.Used, Avoided: q.Avoided, Waiting: q.Waiting,
		ExhaustedAt: optional(q.Forecast.ExhaustedAt), ResetsAt: optional(q.ResetsAt),
	}
	if q.Forecast.Known {
		v.Forecast = &q.Forecast.Needed
	}
	return v
}

// Charge is what a digest cost.
type Charge struct {
	Period string    `json:"period" doc:"the period of the quota in which it counts"`
	At     time.Time `json:"at"`
	Kept   bool      `json:"kept" doc:"false while its first analysis has pulled nothing: then the charge is given back if the analysis ends without a result"`
}

// OfCharge is nil for a digest that was never charged.
func OfCharge(c gate.Charge) *Charge {
	if c.Period == "" {
		return nil
	}
	return &Charge{c.Period, c.At.UTC(), c.Served}
}
