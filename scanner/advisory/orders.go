package advisory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// orders is what people ordered: the value of a setting.
type orders struct {
	// Asked is when somebody wanted the repositories asked at once.
	Asked      time.Time                  `json:"asked,omitzero"`
	Accepted   []gate.AcceptedAdvisories  `json:"accepted,omitempty"`
	RolledBack *gate.RolledBackAdvisories `json:"rolledBack,omitempty"`
	Audit      []gate.AdvisoryOrder       `json:"audit,omitempty"`
}

// Bounds of what is kept of orders.
const (
	maxAccepted = 100
	maxAudit    = 100
	maxReason   = 500 // bytes
	maxUntil    = 366 * 24 * time.Hour
)

func (o *orders) note(at time.Time, by, format string, args ...any) {
	o.Audit = slices.Insert(o.Audit, 0, gate.AdvisoryOrder{At: at, By: by, What: fmt.Sprintf(format, args...)})
	o.Audit = o.Audit[:min(len(o.Audit), maxAudit)]
}

// accepts reports whether a person has accepted one of names, and until when that holds.
func (o orders) accepts(now time.Time, names ...string) bool {
	return slices.ContainsFunc(o.Accepted, func(a gate.AcceptedAdvisories) bool {
		return now.Before(a.Until) && slices.Contains(names, a.What)
	})
}

// acceptedAt is when the last override was made.
func (o orders) acceptedAt() (t time.Time) {
	for _, a := range o.Accepted {
		if a.At.After(t) {
			t = a.At
		}
	}
	return t
}

// loadOrders reads what people ordered. A value that cannot be read counts as none; the
// next order replaces it. Errors: those of the store.
func loadOrders(ctx context.Context, s agree.Settings) (o orders, err error) {
	_, readable, err := agree.LoadState(ctx, s, agree.SettingOrders, &o)
	if err == nil && !readable {
		o = orders{}
	}
	return o, err
}

// order changes what people ordered, once.
func order(ctx context.Context, s agree.Store, change func(o *orders, now time.Time) error) (o orders, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return o, fmt.Errorf("reading the store's clock: %w", err)
	}
	err = agree.UpdateSetting(ctx, s, agree.SettingOrders, func(value []byte) ([]byte, error) {
		o = orders{}
		if json.Unmarshal(value, &o) != nil {
			o = orders{}
		}
		if err := change(&o, now.UTC()); err != nil {
			return nil, err
		}
		return json.Marshal(o)
	})
	return o, err
}

// check refuses what cannot be audited, or would hold for ever; ErrInvalid.
func check(a gate.AcceptedAdvisories, now time.Time) error {
	switch {
	case strings.TrimSpace(a.What) == "" || len(a.What) > 200:
		return fmt.Errorf("accepting advisory data: name the digest or the bucket that was refused; \"digestgate advisories status\" lists them: %w", gate.ErrInvalid)
	case strings.HasPrefix(a.What, "sha256:") && !gate.Digest(a.What).Valid():
		return fmt.Errorf("accepting advisory data: %s is not a whole digest: %w", gate.Quoted(a.What, 100), gate.ErrInvalid)
	case strings.TrimSpace(a.Reason) == "" || len(a.Reason) > maxReason:
		return fmt.Errorf("accepting advisory data: a reason is needed, of at most %d bytes: it is kept for audits: %w", maxReason, gate.ErrInvalid)
	case !a.Until.After(now):
		return fmt.Errorf("accepting advisory data until %s: that is not in the future (it is %s now): %w",
			a.Until.Format(time.RFC3339), now.UTC().Format(time.RFC3339), gate.ErrInvalid)
	case a.Until.After(now.Add(maxUntil)):
		return fmt.Errorf("accepting advisory data until %s: give an end within a year: %w", a.Until.Format(time.RFC3339), gate.ErrInvalid)
	}
	return nil
}

// Accept overrides a refusal and has the repositories asked again. what is a digest, of a
// content or of a manifest, or the name of a bucket. Errors: gate.ErrInvalid, gate.ErrConflict (too many overrides), those of the
// store.
func (d *Desk) Accept(ctx context.Context, what string, until time.Time, reason, by string) error {
	a := gate.AcceptedAdvisories{What: what, Until: until.UTC(), Reason: reason, By: by}
	_, err := order(ctx, d.store, func(o *orders, now time.Time) error {
		if err := check(a, now); err != nil {
			return err
		}
		a.At = now
		o.Accepted = slices.DeleteFunc(o.Accepted, func(old gate.AcceptedAdvisories) bool {
			return old.What == a.What || now.Sub(old.Until) > maxUntil
		})
		if len(o.Accepted) >= maxAccepted {
			return fmt.Errorf("accepting advisory data: there are %d overrides already, wait until some have ended: %w", maxAccepted, gate.ErrConflict)
		}
		o.Accepted = append(o.Accepted, a)
		o.Asked = now
		o.note(now, a.By, "accepted %s until %s: %s", a.What, a.Until.Format(time.RFC3339), a.Reason)
		return nil
	})
	if err == nil {
		d.log.Warn("a refusal of advisory data is overridden", "override", gate.Printable(a.What, 200), "until", a.Until, "by", a.By, "reason", gate.Printable(a.Reason, maxReason))
	}
	return err
}

// Update has the repositories asked at once. Errors: those of the store.
func (d *Desk) Update(ctx context.Context, by string) error {
	_, err := order(ctx, d.store, func(o *orders, now time.Time) error {
		o.Asked = now
		o.note(now, by, "update")
		return nil
	})
	if err == nil {
		d.log.Info("an update of advisory data was ordered", "by", by)
	}
	return err
}

// Rollback puts the generation before the one in force in force again, for all
// processes. It stays until newer data than that gone back from is offered. Errors:
// gate.ErrNotFound (there is no generation before, or no process keeps it),
// gate.ErrConflict (another one came into force meanwhile), those of the store.
func (d *Desk) Rollback(ctx context.Context, by, reason string) (gate.AdvisoryGeneration, error) {
	if len(reason) > maxReason {
		return gate.AdvisoryGeneration{}, fmt.Errorf("rolling back: the reason has more than %d bytes: %w", maxReason, gate.ErrInvalid)
	}
	active, ok, err := d.activations.Active(ctx)
	if err != nil {
		return gate.AdvisoryGeneration{}, err
	}
	number, content := active.Before()
	if !ok || content == "" {
		return gate.AdvisoryGeneration{}, fmt.Errorf("rolling back: there was no generation before generation %d: %w", active.Number, gate.ErrNotFound)
	}
	former, err := d.keeps(ctx, content)
	if err != nil {
		return gate.AdvisoryGeneration{}, err
	}
	// First what holds newer data back: a crash between the two changes nothing.
	_, err = order(ctx, d.store, func(o *orders, now time.Time) error {
		o.RolledBack = &gate.RolledBackAdvisories{Number: active.Number, Content: active.Content, UpdatedAt: active.UpdatedAt, By: by, Reason: reason, At: now}
		o.note(now, by, "rollback from generation %d (%s) to %d (%s): %s", active.Number, active.Content.Short(), number, content.Short(), reason)
		return nil
	})
	if err != nil {
		return gate.AdvisoryGeneration{}, err
	}
	moved := false
	now, _, err := d.activations.Activate(ctx, agree.Content{Digest: content, UpdatedAt: former.UpdatedAt, Packed: former.Packed}, active.Number, func(is agree.Activation, _ bool) bool {
		moved = is.Content != active.Content
		return !moved
	})
	if err == nil && moved {
		err = errors.Join(gate.ErrConflict, fmt.Errorf("rolling back: generation %d came into force meanwhile; look at it and order it again", now.Number))
	}
	if err != nil {
		return gate.AdvisoryGeneration{}, err
	}
	d.log.Warn("advisory data was rolled back", "generation", now.Number, "content", content.Short(), "former", active.Number, "by", by, "reason", gate.Printable(reason, maxReason))
	return generationView(now), nil
}
