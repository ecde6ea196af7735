package schedule

import (
	"context"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Replace puts another schedule in the place of one that was made through the API, under
// its name. Runs that are under way end as they began; a schedule that is due at other
// times has missed none of them. Enabled is as c says. gate.ErrInvalid: each problem is a
// line with its key; gate.ErrNotFound: there is none of that name; gate.ErrConflict: it is
// of the configuration file; those of the store.
func (d *Desk) Replace(ctx context.Context, c Config) (Status, error) {
	if err := gate.ScanProblems("", d.Problems(c)); err != nil {
		return Status{}, err
	}
	zone, err := gate.ParseTimeZone(c.TimeZone)
	if err != nil {
		return Status{}, err
	}
	err = d.change(ctx, c.Name, func(m *made, i int, now time.Time) {
		was := m.Schedules[i]
		next := c
		if next.Every != "" && next.From == "" {
			if next.From = was.From; was.Every != next.Every || was.At != next.At || was.TimeZone != next.TimeZone {
				next.From = next.firstDay(zone, now)
			}
		}
		since := was.Since
		if next.timing() != was.timing() || next.Enabled && !was.Enabled {
			since = now
		}
		m.Schedules[i] = madeConfig{Config: next, CreatedAt: was.CreatedAt, Since: since}
	})
	if err != nil {
		return Status{}, err
	}
	d.Log.InfoContext(ctx, "schedule changed", "schedule", c.Name, "rescan", c.Kind, "timing", strings.Trim(c.timing(), "|"), "window", c.Window, "enabled", c.Enabled)
	return d.Get(ctx, c.Name)
}
