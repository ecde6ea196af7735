// Package agreetest is the conformance suite of gate/agree: every user runs it
// with its kind, on settings in memory, of SQLite and of Redis. A bug found with
// one kind becomes a case for all.
package agreetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// Harness is a kind under test.
type Harness struct {
	Kind agree.Kind
	// Content makes contents that differ; each is newer than those before it.
	Content func(n int) agree.Content
	// Stored is what an earlier version stored when Content(1) was in force
	// under number 7, and Remembered what it remembered then, after Content(1)
	// was found; "" for a kind without earlier versions.
	Stored, Remembered string
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Run("memory", func(t *testing.T) {
		h.run(t, func(t *testing.T, c *clock) agree.Store { return agree.NewOwnStore(c.now) })
	})
	t.Run("sqlite", func(t *testing.T) {
		h.run(t, func(t *testing.T, c *clock) agree.Store {
			s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Clock: c.now, Logger: slog.New(slog.DiscardHandler)})
			return opened(t, s, err)
		})
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Plain(t, redistest.Options{})
		h.run(t, func(t *testing.T, c *clock) agree.Store {
			key := filepath.Join(t.TempDir(), "mac.key")
			if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)), 0o600); err != nil {
				t.Fatal(err)
			}
			config := store.Config{URL: server.URL(), Prefix: redistest.Prefix(), MACKeyFile: key}
			s, err := redis.Open(t.Context(), config, redis.Options{Clock: c.now, Logger: slog.New(slog.DiscardHandler)})
			return opened(t, s, err)
		})
	})
}

func opened(t *testing.T, s store.Store, err error) agree.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (h Harness) run(t *testing.T, open func(*testing.T, *clock) agree.Store) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			clk := &clock{}
			clk.at.Store(time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC).UnixNano())
			c.run(&env{T: t, h: h, clock: clk, store: &lossy{Store: open(t, clk)}})
		})
	}
}

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// lossy is a store that may be away, and may lose a setting.
type lossy struct {
	agree.Store
	away atomic.Bool
	lost atomic.Int64 // version of the setting that counts as lost, 0 for none
}

func (s *lossy) Setting(ctx context.Context, name string) ([]byte, int64, error) {
	if s.away.Load() {
		return nil, 0, gate.ErrStoreUnavailable
	}
	value, version, err := s.Store.Setting(ctx, name)
	if err == nil && version == s.lost.Load() {
		return nil, 0, gate.ErrNotFound
	}
	return value, version, err
}

func (s *lossy) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	if s.away.Load() {
		return 0, gate.ErrStoreUnavailable
	}
	if lost := s.lost.Load(); lost != 0 && version == 0 {
		version = lost
	}
	return s.Store.PutSetting(ctx, name, value, version)
}

// env is a store, and short words for what tests say often.
type env struct {
	*testing.T
	h     Harness
	clock *clock
	store *lossy
}

// value is what is stored.
func (e *env) value() (string, int64) {
	e.Helper()
	value, version, err := e.store.Setting(e.Context(), e.h.Kind.Setting)
	if err != nil && !errors.Is(err, gate.ErrNotFound) {
		e.Fatal(err)
	}
	return string(value), version
}

// put replaces what is stored, as another program might.
func (e *env) put(value string) {
	e.Helper()
	_, version := e.value()
	if _, err := e.store.PutSetting(e.Context(), e.h.Kind.Setting, []byte(value), version); err != nil {
		e.Fatal(err)
	}
}

// lose makes the store forget what is in force.
func (e *env) lose() {
	e.Helper()
	_, version := e.value()
	e.store.lost.Store(version)
}

func (e *env) wantInForce(what string, content int, number int64) {
	e.Helper()
	a, ok, err := agree.NewActivations(e.store, e.h.Kind, "", "").Active(e.Context())
	if err != nil || !ok || a.Content != e.h.Content(content).Digest || a.Number != number {
		e.Errorf("%s: in force is number %d of %s, %t, %v; want number %d of content %d", what, a.Number, a.Content.Short(), ok, err, number, content)
	}
}

// process is a member, its data directory and its log.
type process struct {
	*agree.Member
	e       *env
	name    string
	data    string
	place   string
	observe bool
	said    strings.Builder
}

func (e *env) process(name string) *process {
	p := &process{e: e, name: name, data: e.TempDir(), place: "here"}
	p.start()
	return p
}

// start begins a new process on the data directory.
func (p *process) start() {
	p.Member = agree.NewMember(agree.Options{
		Kind: p.e.h.Kind, Store: p.e.store, By: p.name, Program: "v1", Place: p.place, DataDir: p.data, Observe: p.observe,
		Log: slog.New(slog.NewTextHandler(&p.said, nil)), Now: p.e.clock.now,
	})
}

func (p *process) file() string { return filepath.Join(p.data, filepath.FromSlash(p.e.h.Kind.File)) }

// forget empties the data directory, as that of a new Pod is.
func (p *process) forget() {
	p.e.Helper()
	if err := os.RemoveAll(p.data); err != nil {
		p.e.Fatal(err)
	}
	p.start()
}

// finds looks with a content, 0 for none, and wants another one in force.
func (p *process) finds(what string, content, want int, number int64) agree.View {
	p.e.Helper()
	var found *agree.Content
	if content > 0 {
		c := p.e.h.Content(content)
		found = &c
	}
	view, err := p.Look(p.e.Context(), found)
	if err != nil {
		p.e.Errorf("%s: %s: %v", what, p.name, err)
		return view
	}
	differs := content > 0 && content != want
	if view.Active.Content != p.e.h.Content(want).Digest || view.Active.Number != number || !view.InForce || view.Differs != differs {
		p.e.Errorf("%s: %s sees number %d of %s in force, in force %t, differs %t; want number %d of content %d, differs %t",
			what, p.name, view.Active.Number, view.Active.Content.Short(), view.InForce, view.Differs, number, want, differs)
	}
	return view
}

func (e *env) said(p *process, text string, want int) {
	e.Helper()
	if n := strings.Count(p.said.String(), fmt.Sprintf("msg=%q", text)); n != want {
		e.Errorf("%s said %q %d times, want %d:\n%s", p.name, text, n, want, p.said.String())
	}
}
