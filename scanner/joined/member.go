package joined

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// maxFall is by how much of its rows a table may shrink: sources have published halves of
// what they had, and a rule about what is gone is silent.
const maxFall = 0.2

// member is one table in one process.
type member[T any] struct {
	kind kind[T]
	live *agree.Live[*T]
	now  func() time.Time
	log  *slog.Logger

	mu        sync.Mutex
	found     *agree.Content // what the sources have, as far as it is taken; nil: nothing was read
	problem   string
	checkedAt time.Time
}

// newMember makes a member; changed is called when another content is in use.
func newMember[T any](o Options, k kind[T], changed func()) *member[T] {
	m := &member[T]{kind: k, now: o.Now, log: o.Log.With("table", string(k.name))}
	m.live = agree.NewLive(agree.NewMember(agree.Options{
		Kind: k.agreeing(!o.Shared), Store: o.Store, By: o.Process, Program: o.Program, Place: o.Place, DataDir: o.dataDir(), Observe: o.Observe,
		Log: m.log, Now: o.Now,
	}), agree.Loading[*T]{
		Find: m.offered,
		Load: func(_ context.Context, a agree.Activation) (*T, error) { return k.unpack(a) },
		Use:  func(*T, agree.Activation) { changed() },
	})
	return m
}

func (m *member[T]) offered() *agree.Content {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.found
}

// current is what is in use; nil for nothing.
func (m *member[T]) current() (*T, gate.Table) {
	t, a, ok := m.live.Current()
	if !ok {
		return nil, gate.Table{}
	}
	return t, m.kind.inForce(t, a)
}

// take offers a table that was read, unless it is worse than what is in force.
func (m *member[T]) take(t *T, judged bool) error {
	if now, _ := m.current(); judged && now != nil {
		if err := m.judge(t, now); err != nil {
			return err
		}
	}
	if judged {
		if err := m.kind.notOfTheFuture(t, m.now()); err != nil {
			return err
		}
	}
	c, err := m.kind.content(t)
	if err != nil {
		return err
	}
	m.offer(&c)
	return nil
}

// notOfTheFuture refuses a table whose time is ahead of the clock.
func (k kind[T]) notOfTheFuture(t *T, now time.Time) error {
	if at := k.at(t); at.After(now.Add(gate.ClockSkew)) {
		return fmt.Errorf("it says that it is of %s, which is in the future: %w", at.UTC().Format(time.RFC3339), gate.ErrInvalid)
	}
	return nil
}

func (m *member[T]) judge(t, now *T) error {
	at, was := m.kind.at(t), m.kind.at(now)
	rows, were := m.kind.rows(t), m.kind.rows(now)
	switch {
	case at.Before(was):
		return fmt.Errorf("it is of %s, older than what is in force, of %s: %w", at.UTC().Format(time.RFC3339), was.UTC().Format(time.RFC3339), gate.ErrInvalid)
	case float64(rows) < (1-maxFall)*float64(were):
		return fmt.Errorf("it has %d rows, and what is in force has %d: more than a fifth is missing: %w", rows, were, gate.ErrInvalid)
	}
	return nil
}

// withdraw offers an empty table where one is in force that no source is configured for
// any more.
func (m *member[T]) withdraw() {
	if t, _ := m.current(); t == nil {
		m.offer(nil)
		return
	}
	c, err := m.kind.content(nil)
	if err == nil {
		m.offer(&c)
	}
}

func (m *member[T]) offer(c *agree.Content) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found = c
}

// checked notes how a look at the sources went. A problem is logged when it is new.
func (m *member[T]) checked(err error) {
	text := ""
	if err != nil {
		text = gate.Printable(gate.Sentence(err), 500)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if text != "" && text != m.problem {
		m.log.Warn("a table that is joined to findings is not renewed, the former stays", "error", text)
	}
	m.problem, m.checkedAt = text, m.now()
}

// follow brings what is offered and what is in force together.
func (m *member[T]) follow(ctx context.Context) error {
	err := m.live.Follow(ctx)
	if err != nil && errors.Is(err, gate.ErrTooLarge) {
		m.checked(err)
	}
	return err
}

// status is how the table stands.
func (m *member[T]) status() gate.TableStatus {
	s := gate.TableStatus{Kind: m.kind.name}
	if t, a, ok := m.live.Current(); ok && t != nil {
		s.InForce, s.By, s.ActivatedAt = m.kind.inForce(t, a), a.By, a.ActivatedAt
	}
	live := m.live.Status()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Problem, s.CheckedAt = m.problem, m.checkedAt
	for _, text := range []string{live.Behind, live.Waits} {
		if s.Problem == "" {
			s.Problem = text
		}
	}
	return s
}
