package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/history"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/webhook"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// An installation is the parts of a server that write to a store while no image is
// analysed, in this process, because the program itself has no clock that can be put
// forward. They are put together as cmd/digestgate/app does it.
type installation struct {
	site    *site
	store   store.Store
	clock   *simulated
	images  int
	log     *slog.Logger
	quota   *gate.Quota
	catalog *catalog.Catalog

	matcher  *match.Matcher
	data     *advisory.Manager
	standing *standing.Standing
	sweeper  *standing.Sweeper
	lifter   *standing.Lifter
	tasks    *scantask.Tasks

	records  keepers
	messages atomic.Int64 // that the receiver of notifications got
	matched  int          // images, in sweeps
	stop     []func() error
}

func (in *installation) close() error {
	var errs []error
	for i := len(in.stop) - 1; i >= 0; i-- {
		errs = append(errs, in.stop[i]())
	}
	return errors.Join(errs...)
}

// install fills a store with the first n images of the site's stock and starts the parts.
func install(ctx context.Context, s *site, st store.Store, clock *simulated, n int) (_ *installation, err error) {
	in := &installation{site: s, store: st, records: keepers{Store: st}, clock: clock, images: n, log: slog.New(slog.NewTextHandler(s.out, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.close())
		}
	}()
	in.stop = append(in.stop, s.close, st.Close)
	if in.quota, err = gate.NewQuota(gate.DefaultQuota()); err != nil {
		return nil, err
	}
	config := advisory.Default()
	config.Path, config.Repositories = filepath.Join(s.dir, "advisories"), nil
	in.matcher = match.New(in.log, clock.Now)
	in.stop = append(in.stop, in.matcher.Close)
	in.data = advisory.NewManager(advisory.Options{Config: config, DataDir: filepath.Join(s.dir, "data"), Store: st, Loader: in.matcher, Log: in.log, Now: clock.Now, Process: "figures", Program: "figures"})
	if err := in.data.Open(ctx); err != nil {
		return nil, err
	}
	found, err := s.stock.Learn(ctx, in.matcher)
	if err != nil {
		return nil, err
	}
	if err := s.stock.Fill(ctx, st, 0, n, stock.FillOptions{Findings: found}); err != nil {
		return nil, err
	}
	if err := in.decide(ctx, config); err != nil {
		return nil, err
	}
	in.scan(ctx)
	return in, in.notify(ctx)
}

// decide puts together what matches and evaluates.
func (in *installation) decide(ctx context.Context, config advisory.Config) error {
	rules := policy.Default()
	rules.Paths = []string{filepath.Join(in.site.dir, "policies")}
	active, err := policy.New(ctx, policy.Options{Config: rules, Risks: []gate.Risk{gate.RiskVulnerabilities}, MaxAge: config.MaxAge, Store: in.store, Now: in.clock.Now, Log: in.log, Process: "figures", Program: "figures"})
	if err != nil {
		return err
	}
	registries, err := gate.NewRegistries([]gate.Registry{{Name: stock.Registry, Type: "harbor", Host: harborHost}, {Name: stock.Mirror, Type: "distribution", Host: mirrorHost}})
	if err != nil {
		return err
	}
	if in.catalog, err = catalog.Open(ctx, filepath.Join(in.site.dir, "data"), in.store, in.log); err != nil {
		return err
	}
	in.stop = append(in.stop, in.catalog.Close)
	holdings := in.catalog.Holdings(catalog.HoldingsOptions{
		Contents: in.store, Lookups: in.matcher.Lookups, Again: in.matcher.LookupsAgain,
		Format: strconv.Itoa(match.LookupsFormat) + " " + in.matcher.Version(),
	})
	lifts := new(standing.Lifts)
	in.standing = &standing.Standing{
		Records: &in.records, Matcher: in.matcher, Evaluator: active, Registries: registries, Now: in.clock.Now, Log: in.log,
		Asked: new(standing.Asked), Lifts: lifts, Replaced: lifts.Replaced, Stored: holdings.Told,
		Tags: func(ctx context.Context, d gate.Digest, loc gate.Location) []string {
			tags, _ := in.catalog.Tags(ctx, d, loc) // none, as in the server
			return tags
		},
	}
	in.lifter = &standing.Lifter{
		Lifts: lifts, Matcher: in.matcher, Holdings: holdings, Active: in.data.Active, Touched: in.touched,
		Store: in.store, Now: in.clock.Now, Log: in.log,
	}
	in.sweeper = standing.NewSweeper(in.standing, standing.SweepOptions{
		Digests: in.catalog, Scheduler: in.store, Quota: in.quota, Tags: in.catalog.TagsOf, Marks: in.store.Marks, Asked: in.asked,
	})
	return nil
}

func (in *installation) asked(ctx context.Context) ([]gate.Digest, error) {
	return in.standing.Asked.Look(ctx, in.store)
}

func (in *installation) touched(ctx context.Context, former, now gate.Digest) (gate.Touched, error) {
	before, ok := in.data.Dir(former)
	after, here := in.data.Dir(now)
	if !ok || !here {
		return gate.Touched{}, fmt.Errorf("the data of %s or %s is gone: %w", former.Short(), now.Short(), gate.ErrNotFound)
	}
	d, err := advisory.Diff(ctx, before, after)
	return match.Touched(ctx, d), err
}

// background runs something until the installation is closed.
func (in *installation) background(ctx context.Context, run func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { run(ctx) })
	in.stop = append(in.stop, func() error { cancel(); wg.Wait(); return nil })
}

// scan runs scan tasks.
func (in *installation) scan(ctx context.Context) {
	in.tasks = scantask.New(in.store, slog.New(slog.DiscardHandler))
	r := scantask.NewRunner(in.tasks, scantask.Options{
		Lists: in.catalog, Queue: in.store, Matcher: in.sweeper, Registries: in.standing.Registries, Asked: in.asked,
		Set: func(context.Context) (string, error) { return "stock", nil }, Refresh: func(context.Context) {}, Log: slog.New(slog.DiscardHandler),
	})
	in.background(ctx, r.Run)
}

// notify sends notifications to a receiver on loopback.
func (in *installation) notify(ctx context.Context) error {
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		in.messages.Add(1)
	}))
	in.stop = append(in.stop, func() error { receiver.Close(); return nil })
	address := filepath.Join(in.site.dir, "receiver")
	if err := os.WriteFile(address, []byte(receiver.URL), 0o600); err != nil {
		return err
	}
	targets := &notify.Targets{
		Maker: notify.Maker{Vendors: []notify.Vendor{webhook.Vendor()}, Now: in.clock.Now},
		File:  []notify.Config{notify.Config{Name: receiverName, Type: "webhook", URLFile: address}.WithDefaults()}, Store: in.store,
	}
	e := &notify.Engine{Store: in.store, Source: told{in}, Targets: targets, Log: in.log, Now: in.clock.Now, Every: 20 * time.Millisecond}
	in.background(ctx, func(ctx context.Context) { _ = e.Send(ctx) }) // it returns when ctx ends
	return nil
}

const receiverName = "receiver"

// told is what notifications are made of.
type told struct{ *installation }

// Newest implements notify.Source.
func (t told) Newest(ctx context.Context) (int64, error) { return t.store.Newest(ctx) }

// After implements notify.Source.
func (t told) After(ctx context.Context, position int64, limit int) (list []gate.StandingChange, next int64, err error) {
	entries, next, err := history.After(ctx, t.store, position, limit)
	for _, e := range entries {
		list = append(list, e.StandingChange)
	}
	return list, next, err
}

// Surroundings implements notify.Source.
func (t told) Surroundings(ctx context.Context, digests []gate.Digest) (notify.Surroundings, error) {
	s := notify.Surroundings{Places: map[gate.Digest][]gate.Location{}, Running: map[gate.Digest]bool{}}
	res, err := t.store.Read(ctx, gate.ReadRequest{Digests: digests})
	for d, entry := range res.Digests {
		for _, l := range entry.Record.Locations {
			s.Places[d] = append(s.Places[d], l.Location)
		}
	}
	return s, err
}
