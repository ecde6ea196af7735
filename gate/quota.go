package gate

import (
	"errors"
	"fmt"
	"time"
)

// QuotaConfig limits how many digests are analysed in a period.
type QuotaConfig struct {
	Limit    int64  `yaml:"limit"`    // digests; 0 = unlimited
	Period   string `yaml:"period"`   // day, week (ISO, from Monday), month, none
	TimeZone string `yaml:"timeZone"` // IANA name in which the period turns
}

// DefaultQuota is unlimited, counted by the month in UTC.
func DefaultQuota() QuotaConfig { return QuotaConfig{Period: "month", TimeZone: "UTC"} }

// Validate reports every problem with its key.
func (c QuotaConfig) Validate() error {
	_, err := NewQuota(c)
	return err
}

// Quota turns times into periods. It is immutable.
type Quota struct {
	config QuotaConfig
	zone   *time.Location
}

// NewQuota checks the configuration; ErrInvalid, for each problem a line.
func NewQuota(c QuotaConfig) (*Quota, error) {
	var problems []error
	if c.Limit < 0 {
		problems = append(problems, fmt.Errorf("limit: %d is negative; 0 means unlimited: %w", c.Limit, ErrInvalid))
	}
	switch c.Period {
	case "day", "week", "month", "none":
	default:
		problems = append(problems, fmt.Errorf("period: %q is not one of day, week, month, none: %w", c.Period, ErrInvalid))
	}
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		problems = append(problems, fmt.Errorf("timeZone: %q is not an IANA time zone such as Asia/Shanghai: %w", c.TimeZone, ErrInvalid))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &Quota{config: c, zone: zone}, nil
}

// Period is the period that now falls into.
func (q *Quota) Period(now time.Time) Period {
	local := now.In(q.zone)
	p := Period{Limit: q.config.Limit}
	switch q.config.Period {
	case "day":
		p.Key = local.Format("2006-01-02")
	case "week":
		year, week := local.ISOWeek()
		p.Key = fmt.Sprintf("%04d-W%02d", year, week)
	case "month":
		p.Key = local.Format("2006-01")
	default:
		p.Key = "none"
	}
	return p
}

// Name is the configured period: day, week, month or none.
func (q *Quota) Name() string { return q.config.Period }

// ResetsAt is when the period of now ends; the zero time for "none".
func (q *Quota) ResetsAt(now time.Time) time.Time {
	_, end := q.Bounds(now)
	return end
}

// Bounds are the first instant of the period of now and that of the next one;
// zero times for "none".
func (q *Quota) Bounds(now time.Time) (start, end time.Time) {
	local := now.In(q.zone)
	y, m, d := local.Date()
	switch q.config.Period {
	case "day":
		return q.midnight(y, m, d), q.midnight(y, m, d+1)
	case "week":
		d -= (int(local.Weekday()) + 6) % 7 // Monday
		return q.midnight(y, m, d), q.midnight(y, m, d+7)
	case "month":
		return q.midnight(y, m, 1), q.midnight(y, m+1, 1)
	}
	return time.Time{}, time.Time{}
}

// midnight is the first instant of a day. Where the clocks skip 00:00 on that
// day, [time.Date] may answer with the hour before, which is another day's; of
// two it takes the first.
func (q *Quota) midnight(y int, m time.Month, d int) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, q.zone)
	if day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Day(); t.Day() != day { // d may be 0 or 32
		_, changed := t.ZoneBounds()
		return changed.In(q.zone)
	}
	return t
}

// Clock is a time in the zone of the quota, which the text names.
func (q *Quota) Clock(t time.Time) string {
	return t.In(q.zone).Format("2006-01-02 15:04 ") + q.zone.String()
}
