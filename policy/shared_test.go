package policy

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// site is a store that several processes share, and a clock.
type site struct {
	t     testing.TB
	store *faultyStore
	now   time.Time
}

func newShared(t testing.TB) *site {
	s := &site{t: t, now: testNow}
	s.store = &faultyStore{now: func() time.Time { return s.now }}
	return s
}

// faultyStore has one setting, and may be away.
type faultyStore struct {
	now     func() time.Time
	away    atomic.Bool
	mu      sync.Mutex
	value   []byte
	version int64
}

func (s *faultyStore) Setting(context.Context, string) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away.Load():
		return nil, 0, gate.ErrStoreUnavailable
	case s.version == 0:
		return nil, 0, gate.ErrNotFound
	}
	return s.value, s.version, nil
}

func (s *faultyStore) PutSetting(_ context.Context, _ string, value []byte, version int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version != s.version {
		return 0, gate.ErrConflict
	}
	s.value, s.version = value, version+1
	return s.version, nil
}

func (s *faultyStore) Now(context.Context) (time.Time, error) { return s.now(), nil }

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
func (s *site) active() agree.Activation {
	s.t.Helper()
	a, _, err := NewActivations(s.store, "", "").Active(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// process is one process, its files and its data directory.
type process struct {
	*Active
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
		p.Active = e
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

// lockedLog is written to by several goroutines.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
