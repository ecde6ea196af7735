package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// lastEventEvery is how often the last event of a registry is written at
	// most. It is shown to people; a registry that pushes all day must not cost
	// a durable write for each delivery.
	lastEventEvery = 10 * time.Second
	// lastEventTimeout bounds one write.
	lastEventTimeout = 5 * time.Second
)

// LastEvent is when a registry was last heard of: its newest delivery that was
// authenticated and answered, acted on or not.
type LastEvent struct {
	At    time.Time      `json:"at"`
	State gate.PushState `json:"state"` // what it led to
}

// LastEvents remembers when each configured registry was last heard of. What a
// process sees is noted in its memory and written now and then, so that a
// delivery waits for nothing; a kill loses at most ten seconds of it. Safe for
// concurrent use.
type LastEvents struct {
	registries *gate.Registries
	store      agree.Settings
	metrics    *Metrics
	log        *slog.Logger
	every      time.Duration
	wake       chan struct{}

	mu     sync.Mutex
	newest map[string]LastEvent
	unsent map[string]bool // newer than what is stored
}

// NewLastEvents builds the memory of the configured registries.
func NewLastEvents(registries *gate.Registries, store agree.Settings, metrics *Metrics, log *slog.Logger) *LastEvents {
	l := &LastEvents{
		registries: registries, store: store, metrics: metrics, log: log, every: lastEventEvery, wake: make(chan struct{}, 1),
		newest: map[string]LastEvent{}, unsent: map[string]bool{},
	}
	l.Announce()
	return l
}

// Announce shows the registries of the table in the metrics, also those that
// were not heard of yet; call it when the table has changed.
func (l *LastEvents) Announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.registries.All() {
		l.metrics.heardOf(r.Name, l.newest[r.Name].At)
	}
}

// Seen notes an event. It never waits. A registry that is not configured is
// left out, so that nothing grows with what is sent.
func (l *LastEvents) Seen(registry string, state gate.PushState, at time.Time) {
	if _, ok := l.registries.ByName(registry); !ok {
		return
	}
	if !l.note(registry, LastEvent{At: at, State: state}, true) {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// note keeps e if it is the newest and reports whether it is.
func (l *LastEvents) note(registry string, e LastEvent, unsent bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !e.At.After(l.newest[registry].At) {
		return false
	}
	l.newest[registry] = e
	l.unsent[registry] = unsent
	l.metrics.heardOf(registry, e.At)
	return true
}

// Last is the newest event of a registry that this process or, by the store,
// any other has seen; zero when there is none. Error: ErrStoreUnavailable.
func (l *LastEvents) Last(ctx context.Context, registry string) (LastEvent, error) {
	err := l.load(ctx, registry)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest[registry], err
}

// load takes what is stored into account.
func (l *LastEvents) load(ctx context.Context, registry string) error {
	value, _, err := l.store.Setting(ctx, agree.SettingLastEvent(registry))
	if errors.Is(err, gate.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the last event of %q: %w", registry, err)
	}
	l.take(registry, value)
	return nil
}

// take notes a stored value. One that cannot be read counts as none; the next event
// replaces it.
func (l *LastEvents) take(registry string, value []byte) {
	var stored LastEvent
	if json.Unmarshal(value, &stored) == nil {
		l.note(registry, stored, false)
	}
}

// Run writes what is noted until ctx ends.
func (l *LastEvents) Run(ctx context.Context) {
	for _, r := range l.registries.All() {
		if err := l.load(ctx, r.Name); err != nil && ctx.Err() == nil {
			l.log.Warn("last event cannot be read", "registry", r.Name, "error", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		l.Flush(ctx)
		pause := time.NewTimer(l.every)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// Flush writes what is noted now; a stopping process calls it when no delivery
// can arrive any more.
func (l *LastEvents) Flush(ctx context.Context) {
	for _, r := range l.registries.All() {
		ctx, cancel := context.WithTimeout(ctx, lastEventTimeout)
		err := l.write(ctx, r.Name)
		cancel()
		if err != nil {
			l.log.Warn("last event cannot be written", "registry", r.Name, "error", err)
		}
	}
}

// write stores the newest event of a registry unless a newer one is stored.
func (l *LastEvents) write(ctx context.Context, registry string) error {
	if !l.pending(registry) {
		return nil
	}
	sent := false
	err := agree.UpdateSetting(ctx, l.store, agree.SettingLastEvent(registry), func(value []byte) ([]byte, error) {
		if sent {
			l.again(registry) // another replica was faster
		}
		l.take(registry, value)
		e, unsent := l.send(registry)
		if !unsent {
			return nil, nil // another replica's is newer
		}
		sent = true
		return json.Marshal(e)
	})
	if err != nil && sent {
		l.again(registry)
	}
	switch {
	case errors.Is(err, gate.ErrConflict):
		return nil // others write all the time; the next event tries again
	case err != nil:
		return fmt.Errorf("storing the last event of %q: %w", registry, err)
	}
	return nil
}

// pending reports whether the newest event of a registry is still to be stored.
func (l *LastEvents) pending(registry string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unsent[registry]
}

// send is the newest event, which counts as stored from now on.
func (l *LastEvents) send(registry string) (e LastEvent, unsent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, unsent = l.newest[registry], l.unsent[registry]
	l.unsent[registry] = false
	return e, unsent
}

// again notes that what was taken for stored is not.
func (l *LastEvents) again(registry string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsent[registry] = true
}
