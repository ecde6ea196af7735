package gate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
)

// lastEvents are those of a further process that shares the store.
func (s *site) lastEvents() *intake.LastEvents {
	return intake.NewLastEvents(s.Registries, s.store, nil, slog.New(slog.DiscardHandler))
}

func (s *site) last(l *intake.LastEvents) intake.LastEvent {
	s.t.Helper()
	e, err := l.Last(s.ctx, hub)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func TestLastEventOfAllReplicas(t *testing.T) {
	s := newSite(t, gate.DefaultQuota())
	first, second := s.lastEvents(), s.lastEvents()
	if e := s.last(first); !e.At.IsZero() {
		t.Errorf("before anything came: %+v", e)
	}
	at := s.clock.Now()
	first.Seen(hub, gate.PushQueued, at)
	if e := s.last(first); !e.At.Equal(at) || e.State != gate.PushQueued {
		t.Errorf("in the process itself, before it is written: %+v", e)
	}
	first.Flush(s.ctx)
	if e := s.last(second); !e.At.Equal(at) || e.State != gate.PushQueued {
		t.Errorf("in another process: %+v", e)
	}

	// An older event of another replica replaces nothing, whoever writes last.
	third := s.lastEvents()
	third.Seen(hub, gate.PushNotActedOn, at.Add(-time.Minute))
	third.Flush(s.ctx)
	if e := s.last(s.lastEvents()); !e.At.Equal(at) {
		t.Errorf("after an older event was written: %+v", e)
	}
	second.Seen(hub, gate.PushNotActedOn, at.Add(time.Minute))
	second.Flush(s.ctx)
	if e := s.last(first); !e.At.Equal(at.Add(time.Minute)) || e.State != gate.PushNotActedOn {
		t.Errorf("after a newer one: %+v", e)
	}
	if e, err := first.Last(s.ctx, "second"); err != nil || !e.At.IsZero() {
		t.Errorf("another registry: %+v, %v", e, err)
	}

	// Many at once lose nothing of what is newest.
	var wg sync.WaitGroup
	for n := range 8 {
		l := s.lastEvents()
		l.Seen(hub, gate.PushKnown, at.Add(time.Hour+time.Duration(n)*time.Second))
		wg.Go(func() { l.Flush(s.ctx); l.Flush(s.ctx); l.Flush(s.ctx) })
	}
	wg.Wait()
	if e := s.last(s.lastEvents()); !e.At.Equal(at.Add(time.Hour + 7*time.Second)) {
		t.Errorf("after eight replicas: %+v", e)
	}

	// What is not readable counts as none and is replaced.
	_, version, err := s.store.Setting(s.ctx, "last-event/"+hub)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.PutSetting(s.ctx, "last-event/"+hub, []byte("{"), version); err != nil {
		t.Fatal(err)
	}
	late := s.lastEvents()
	if e := s.last(late); !e.At.IsZero() {
		t.Errorf("of a damaged value: %+v", e)
	}
	late.Seen(hub, gate.PushQueued, at)
	late.Flush(s.ctx)
	if e := s.last(s.lastEvents()); !e.At.Equal(at) {
		t.Errorf("after the damage: %+v", e)
	}
}

func TestLastEventMetric(t *testing.T) {
	s := newSite(t, gate.DefaultQuota())
	reg := prometheus.NewRegistry()
	l := intake.NewLastEvents(s.Registries, s.store, intake.NewMetrics(reg), slog.New(slog.DiscardHandler))
	l.Seen(hub, gate.PushQueued, time.Unix(1_790_000_000, 500_000_000))
	l.Seen("not-configured", gate.PushQueued, time.Unix(1_790_000_000, 0))
	got, err := testutil.GatherAndCount(reg, "digestgate_registry_last_event_timestamp_seconds")
	if err != nil || got != 2 {
		t.Errorf("%d series, %v; want one for each configured registry", got, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != "digestgate_registry_last_event_timestamp_seconds" {
				continue
			}
			want := map[string]float64{hub: 1_790_000_000.5, "second": 0}[m.GetLabel()[0].GetValue()]
			if got := m.GetGauge().GetValue(); got != want {
				t.Errorf("%v: got %f, want %f", m.GetLabel(), got, want)
			}
		}
	}
}

// countedSettings counts writes and can be away.
type countedSettings struct {
	mu     sync.Mutex
	value  []byte
	writes int
	away   bool
}

func (c *countedSettings) Setting(context.Context, string) ([]byte, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.away:
		return nil, 0, fmt.Errorf("disk: %w", gate.ErrStoreUnavailable)
	case c.value == nil:
		return nil, 0, gate.ErrNotFound
	}
	return c.value, int64(c.writes), nil
}

func (c *countedSettings) PutSetting(_ context.Context, _ string, value []byte, _ int64) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	c.value = value
	return int64(c.writes), nil
}

func (c *countedSettings) set(away bool) (writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
	return c.writes
}

// TestLastEventIsWrittenNowAndThen: a thousand deliveries in a minute are a few
// writes, and an outage of the store loses nothing that the next event would
// not bring back.
func TestLastEventIsWrittenNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registries, err := gate.NewRegistries([]gate.Registry{{Name: hub, Host: "hub.example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		store := &countedSettings{}
		l := intake.NewLastEvents(registries, store, nil, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); l.Run(ctx) }()
		for range 1000 {
			l.Seen(hub, gate.PushQueued, time.Now())
			time.Sleep(60 * time.Millisecond) // of the bubble's clock
		}
		if writes := store.set(true); writes < 6 || writes > 7 {
			t.Errorf("%d writes in a minute, want one every 10 s", writes)
		}
		time.Sleep(10 * time.Second)
		l.Seen(hub, gate.PushQueued, time.Now())
		newest := time.Now()
		time.Sleep(10 * time.Second)
		if _, err := l.Last(ctx, hub); !errors.Is(err, gate.ErrStoreUnavailable) {
			t.Errorf("while the store is away: %v", err)
		}
		store.set(false)
		cancel()
		<-ended
		l.Flush(context.WithoutCancel(ctx))
		if e, err := intake.NewLastEvents(registries, store, nil, slog.New(slog.DiscardHandler)).Last(t.Context(), hub); err != nil || !e.At.Equal(newest) {
			t.Errorf("after a stop: %+v, %v; want %s", e, err, newest)
		}
	})
}
