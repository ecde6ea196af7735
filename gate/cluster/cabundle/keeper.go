package cabundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

const (
	// lookEvery is how often the object is read: one small request. What an operator or a
	// Helm upgrade takes away is back after it.
	lookEvery = 10 * time.Second
	// settle is how long an authority must have been in the object before its certificate
	// may serve: API servers follow their webhook configurations by a watch. Chosen far above
	// the delay of a watch, which is below a second on an API server that is not overloaded.
	settle = 3 * time.Second
	// attempts of one look when other processes change the object at the same time.
	attempts = 5
)

// Options are what a [Keeper] is made of.
type Options struct {
	Config Config
	// Name is that of the ValidatingWebhookConfiguration.
	Name string
	Log  *slog.Logger
	Now  func() time.Time
	// Registerer gets the metric; nil for none.
	Registerer prometheus.Registerer
}

// Keeper keeps the caBundle of one object current.
type Keeper struct {
	options Options
	client  *client
	current prometheus.Gauge
	wake    chan struct{}

	mu sync.Mutex
	// used are the authorities that this process serves with, or is about to: PEM.
	used [][]byte
	// since is when each was first seen in the object, by its text; the zero time: it was
	// there at the first look.
	since    map[string]time.Time
	looked   bool
	problem  error // of the last look
	reported string
}

// New makes a keeper; it asks nothing yet. Errors wrap ErrInvalid.
func New(o Options) (*Keeper, error) {
	c, err := newClient(o.Config)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keeper{options: o, client: c, wake: make(chan struct{}, 1), since: map[string]time.Time{}, current: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "digestgate_webhook_configuration_current",
		Help: "1 when the authority of this process is in every caBundle of the webhook configuration, 0 when it is not or cannot be seen.",
	})}
	if o.Registerer != nil {
		if err := o.Registerer.Register(k.current); err != nil {
			return nil, fmt.Errorf("registering the metric of the webhook configuration: %w", err)
		}
	}
	return k, nil
}

// Serving says which authority signed the certificate that is served from now on. Others,
// which were announced by [Keeper.Trusted], are not put in any more.
func (k *Keeper) Serving(authority []byte) {
	k.mu.Lock()
	k.used = [][]byte{authority}
	k.mu.Unlock()
	k.hurry()
}

// Trusted reports whether API servers believe an authority by now, and has it put into the
// object if it is not there.
func (k *Keeper) Trusted(authority []byte) bool {
	k.mu.Lock()
	known := false
	for _, u := range k.used {
		known = known || bytes.Equal(u, authority)
	}
	if !known {
		k.used = append(k.used, authority)
	}
	since, there := k.since[string(authority)]
	k.mu.Unlock()
	if !known {
		k.hurry()
	}
	return there && k.options.Now().Sub(since) >= settle
}

func (k *Keeper) hurry() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Await returns when API servers believe the authority, there is no such object, or ctx ends.
// A process calls it before it serves, so that a replica with a new authority gets no review
// before it is believed.
func (k *Keeper) Await(ctx context.Context, authority []byte) error {
	k.Serving(authority)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := k.Look(ctx)
		if errors.Is(err, gate.ErrNotFound) || err == nil && k.Trusted(authority) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// Run looks at the object until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	defer k.client.close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := k.Look(ctx); ctx.Err() == nil {
			k.report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.wake:
		}
	}
}

// Look reads the object once and mends it. ErrNotFound when there is none; other errors are
// those of the API server.
func (k *Keeper) Look(ctx context.Context) (err error) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.problem = err
		if err != nil {
			k.current.Set(0)
		}
	}()
	for range attempts {
		var conf configuration
		if conf, err = k.client.get(ctx, k.options.Name); err != nil {
			return err
		}
		k.mu.Lock()
		used := k.used
		k.mu.Unlock()
		ops := changes(conf, used, k.options.Now())
		if len(ops) == 0 {
			k.saw(conf)
			return nil
		}
		if err = k.client.patch(ctx, k.options.Name, conf.Metadata.ResourceVersion, ops); err != nil && !errors.Is(err, errMoved) {
			return fmt.Errorf("changing caBundle: %w", err)
		}
		if err == nil {
			k.options.Log.Info("webhook configuration changed", "name", k.options.Name, "changes", len(ops))
		}
		k.mu.Lock()
		k.looked = true // what is found now was not there before
		k.mu.Unlock()
	}
	return fmt.Errorf("changing caBundle: %d attempts: %w", attempts, errors.Join(err, gate.ErrBusy))
}

// saw remembers which authorities are in the object.
func (k *Keeper) saw(conf configuration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	since := map[string]time.Time{}
	all := len(k.used) > 0
	for _, u := range k.used {
		if !trusts(conf, u) {
			all = false
			continue
		}
		if at, ok := k.since[string(u)]; ok {
			since[string(u)] = at
		} else if k.looked {
			since[string(u)] = k.options.Now()
		} else {
			since[string(u)] = time.Time{}
		}
	}
	k.since, k.looked = since, true
	k.current.Set(0)
	if all {
		k.current.Set(1)
	}
}

// Problem is why the last look did not succeed; nil when it did.
func (k *Keeper) Problem() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problem
}

// report logs a problem once, and its end.
func (k *Keeper) report(err error) {
	text := ""
	if err != nil {
		text = gate.Printable(err.Error(), 500)
	}
	k.mu.Lock()
	before := k.reported
	k.reported = text
	k.mu.Unlock()
	switch {
	case text == before:
	case err != nil:
		k.options.Log.Warn("webhook configuration cannot be kept current", "name", k.options.Name, "error", text)
	default:
		k.options.Log.Info("webhook configuration is kept current again", "name", k.options.Name)
	}
}
