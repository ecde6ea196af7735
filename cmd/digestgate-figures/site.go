package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// The hosts of the stock's registries; nothing is asked of them, and no name server knows
// them.
const harborHost, mirrorHost = "harbor.figures.test", "mirror.figures.test"

// quotaLimit lets images be resolved and nothing be analysed: the stock's own charges
// are of another period, and the first of this one takes it all.
const quotaLimit = 1

// A site is one installation: a store with a stock, the advisories, the configuration.
type site struct {
	dir, program, analyzer string
	stock                  *stock.Stock
	storeURL, macKey       string
	store                  store.Config
	pushHost               string // of the registry that tags are resolved in, "" for none
	redis                  *process
	logLevel               string  // of the servers, "" for info
	repository             string  // of advisory data, "" for the directory that activate names
	server                 *server // that several figures share; nil while none does
	out                    io.Writer
}

// newSite makes a site with a stock of n images in a directory that it makes, or takes one
// that was kept.
func newSite(ctx context.Context, o options, kind, dir string, n int, out io.Writer) (_ *site, err error) {
	s := &site{dir: dir, program: o.program, analyzer: o.analyzer, out: out, stock: stock.New(stock.Options{Images: n, Seed: o.seed, Now: time.Now().UTC().Truncate(time.Second)})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := policy.WriteStarter(filepath.Join(dir, "policies")); err != nil {
		return nil, err
	}
	kept := ""
	if o.filled != "" {
		kept = filepath.Join(o.filled, fmt.Sprintf("%s-%d-%d", kind, n, o.seed))
	}
	found, err := s.takeKept(kept)
	if err != nil {
		return nil, err
	}
	if !found {
		if err := s.build(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.activate(stock.First); err != nil {
		return nil, err
	}
	if err := s.openStore(ctx, kind); err != nil {
		return nil, err
	}
	if found {
		return s, nil
	}
	if err := s.fill(ctx); err != nil {
		return nil, err
	}
	return s, s.keep(ctx, kept)
}

// build makes the databases of all generations.
func (s *site) build(ctx context.Context) error {
	for _, sub := range []string{"data", "generations"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o700); err != nil {
			return err
		}
	}
	for k, g := range stock.Generations() {
		sources := filepath.Join(s.dir, "sources")
		if err := s.stock.WriteSources(sources, g); err != nil {
			return err
		}
		// Each is a little newer than the one before, as published data is.
		updated := time.Now().Add(-time.Hour + time.Duration(k)*time.Minute)
		if _, err := advisory.Build(ctx, advisory.BuildOptions{From: os.DirFS(sources), Out: s.generation(g), UpdatedAt: updated}); err != nil {
			return err
		}
		if err := os.RemoveAll(sources); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) generation(g stock.Generation) string {
	return filepath.Join(s.dir, "generations", string(g))
}

// activate makes a generation the data that the server watches, as an operator does.
func (s *site) activate(g stock.Generation) error {
	link := filepath.Join(s.dir, "advisories")
	if err := os.Symlink(s.generation(g), link+".new"); err != nil {
		return err
	}
	return os.Rename(link+".new", link)
}

// openStore names the store, and starts the server that it needs.
func (s *site) openStore(ctx context.Context, kind string) error {
	if kind == "sqlite" {
		s.storeURL = "sqlite://" + filepath.Join(s.dir, "data", "digestgate.db")
		s.store = store.Config{URL: s.storeURL}
		return nil
	}
	s.macKey = filepath.Join(s.dir, "mac-key")
	if err := os.WriteFile(s.macKey, []byte(strings.Repeat("figures-", 8)+"\n"), 0o600); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	// It reads a dump that is there and writes none: what a disk costs Redis is in "Queue and
	// store (Redis)" of docs/performance.md.
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir)
	if s.redis, err = start("redis-server", cmd, func(string) {}); err != nil {
		return err
	}
	s.storeURL = "redis://" + address
	s.store = store.Config{URL: s.storeURL, Prefix: store.Default().Prefix, MACKeyFile: s.macKey}
	return s.redisAnswers(ctx, address)
}

// close ends what the site has started.
func (s *site) close() error {
	s.stopShared()
	if s.redis != nil {
		s.redis.stop()
	}
	return os.RemoveAll(s.dir)
}

// stopShared ends the server that figures share.
func (s *site) stopShared() {
	if s.server != nil {
		s.server.stop()
		s.server = nil
	}
}

// fill lets the server make the store its own, and then stores the stock in it.
func (s *site) fill(ctx context.Context) error {
	srv, err := s.serve(ctx, "admission, api, scheduler")
	if err != nil {
		return err
	}
	number, err := srv.metric(ctx, "digestgate_advisories_generation", "")
	srv.stop()
	if err != nil {
		return err
	}
	return s.fillFrom(ctx, s.generation(stock.First), int64(number))
}

// fillFrom stores the stock, with the findings of a database that is in force under a number.
func (s *site) fillFrom(ctx context.Context, dir string, number int64) error {
	n := s.stock.Images()
	db, err := advisory.Inspect(ctx, dir, time.Now())
	if err != nil {
		return err
	}
	m := match.New(slog.New(slog.DiscardHandler), time.Now)
	defer m.Close()
	if err := m.Load(ctx, db.Dir, gate.Generation{Number: number, Content: db.Content, UpdatedAt: db.UpdatedAt, ActivatedAt: time.Now()}); err != nil {
		return err
	}
	found, err := s.stock.Learn(ctx, m)
	if err != nil {
		return err
	}
	st, err := s.open(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	err = s.stock.Fill(ctx, st, 0, n, stock.FillOptions{Findings: found, Progress: func(done int) {
		if done%10_000 == 0 {
			fmt.Fprintf(s.out, "  %d of %d images stored after %s\n", done, n, short(time.Since(began)))
		}
	}})
	return errors.Join(err, st.Close())
}

func (s *site) open(ctx context.Context) (store.Store, error) {
	log := slog.New(slog.DiscardHandler)
	if s.redis != nil {
		return redis.Open(ctx, s.store, redis.Options{Logger: log})
	}
	return sqlite.Open(ctx, filepath.Join(s.dir, "data", "digestgate.db"), sqlite.Options{Logger: log})
}
