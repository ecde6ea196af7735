package policy

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// site is a store that several processes share, and a clock.
type site struct {
	t     testing.TB
	store *faultyStore
	now   time.Time
}

func newShared(t testing.TB) *site {
	s := &site{t: t, now: testNow}
	s.store = &faultyStore{ownStore: &ownStore{now: func() time.Time { return s.now }}}
	return s
}

// faultyStore may be away.
type faultyStore struct {
	*ownStore
	away atomic.Bool
}

func (s *faultyStore) Setting(ctx context.Context, name string) ([]byte, int64, error) {
	if s.away.Load() {
		return nil, 0, gate.ErrStoreUnavailable
	}
	return s.ownStore.Setting(ctx, name)
}

// put replaces what is stored, as if somebody else had.
func (s *faultyStore) put(value []byte) (former []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	former, s.value = s.value, value
	if s.version++; value == nil {
		s.version = 0
	}
	return former
}

// active is what is in force.
func (s *site) active() Activation {
	s.t.Helper()
	a, _, err := NewActivations(s.store, "", "").Active(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// process is one process, its files and its data directory.
type process struct {
	*Engine
	site        *site
	name        string
	files, data string
	program     string
	trial       Trial
	observe     bool
	alone       bool // on a store of its own
	said        strings.Builder
}

// process prepares one with a set of files that says word.
func (s *site) process(name, word string) *process {
	dir := s.t.TempDir()
	p := &process{site: s, name: name, files: filepath.Join(dir, "policies"), data: filepath.Join(dir, "data"), program: "v1"}
	if err := os.Mkdir(p.files, 0o700); err != nil {
		s.t.Fatal(err)
	}
	p.write(word)
	return p
}

func (p *process) write(word string) { write(p.site.t, p.files, denying(fmt.Sprintf("%q", word))...) }

// start starts it, or starts it again.
func (p *process) start() error {
	e, err := New(context.Background(), Options{
		Config: Config{Paths: []string{p.files}}, Risks: gate.Risks(), Log: slog.New(slog.NewTextHandler(&p.said, nil)), Budget: time.Minute,
		Store: p.site.store, Shared: !p.alone, Place: "here", DataDir: p.data, Process: p.name, Program: p.program, Trial: p.trial, Observe: p.observe,
		Now: func() time.Time { return p.site.now },
	})
	if err == nil {
		p.Engine = e
	}
	return err
}

func (p *process) mustStart() *process {
	p.site.t.Helper()
	if err := p.start(); err != nil {
		p.site.t.Fatal(err)
	}
	return p
}

// forget empties the data directory, as that of a new Pod is.
func (p *process) forget() {
	if err := os.RemoveAll(p.data); err != nil {
		p.site.t.Fatal(err)
	}
}

func (p *process) says() string { return ask(p.Engine).Reasons[0].Msg }

// want looks at the files and the store, and compares.
func (p *process) want(what, word string, number int64, differs bool) {
	p.site.t.Helper()
	if err := p.Reload(context.Background()); err != nil {
		p.site.t.Errorf("%s: %s: %v", what, p.name, err)
	}
	st := p.Status()
	if got := p.says(); got != word || st.Activation != number || (st.Differs != "") != differs {
		p.site.t.Errorf("%s: %s decides by %q of activation %d, differs %q; want %q, %d, %t", what, p.name, got, st.Activation, st.Differs, word, number, differs)
	}
}
