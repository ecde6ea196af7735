package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// MaxLogged is how many deliveries of a target are kept, maxKept how many of these
	// with their message, which can be sent again: 100 and 20 are 600 kB at most.
	MaxLogged = 100
	maxKept   = 20
)

// Outcomes of deliveries.
const (
	Delivered = "delivered"
	Waiting   = "waiting" // it failed and is tried again
	GivenUp   = "given up"
	Failed    = "failed" // a test
)

// logged is a delivery with its message, while that is kept.
type logged struct {
	gate.NotificationDelivery
	Message *Message `json:"message,omitempty"`
}

func loadLog(ctx context.Context, s agree.Settings, name string) ([]logged, error) {
	var list []logged
	_, readable, err := agree.LoadState(ctx, s, agree.SettingNotifyLog(name), &list)
	if err != nil || !readable {
		return nil, err
	}
	return list, nil
}

// record writes a try into the log: one entry for each message, the newest first.
func record(ctx context.Context, s agree.Settings, d gate.NotificationDelivery, m *Message) error {
	setting := agree.SettingNotifyLog(d.Target)
	err := agree.UpdateSetting(ctx, s, setting, func(value []byte) ([]byte, error) {
		var list []logged
		if len(value) > 0 && json.Unmarshal(value, &list) != nil {
			list = nil // a log that cannot be read begins again; it decides nothing
		}
		entry := logged{d, m}
		if i := slices.IndexFunc(list, func(l logged) bool { return l.ID == d.ID }); i >= 0 {
			entry.At = list[i].At
			list = slices.Delete(list, i, i+1)
		}
		list = append([]logged{entry}, list...)
		list = list[:min(len(list), MaxLogged)]
		for i := maxKept; i < len(list); i++ {
			list[i].Message = nil
		}
		for {
			value, err := json.Marshal(list)
			if err != nil || len(value) <= maxState || len(list) < 2 {
				return value, err
			}
			list = list[:len(list)/2]
		}
	})
	if err != nil {
		return fmt.Errorf("writing the log of deliveries: %w", err)
	}
	return nil
}

// entryOf is what is shown of a try.
func entryOf(t *target, m *Message, attempts int, now time.Time, answer Answer, took time.Duration, outcome string, f *Failure) gate.NotificationDelivery {
	d := gate.NotificationDelivery{
		ID: m.ID, Target: t.Name, Type: t.Type, Title: m.Title, At: now, TriedAt: now, Attempts: attempts, Outcome: outcome, Status: answer.Status,
		LatencyMS: took.Milliseconds(), Test: m.Test,
	}
	if f != nil {
		d.Reason = gate.Printable(f.Reason, 300)
	}
	return d
}
