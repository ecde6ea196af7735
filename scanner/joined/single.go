package joined

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// single is the one source of a table.
type single[T any] struct {
	m    *member[T]
	feed *feed // nil: none is configured
	read reading[T]
	pace *pace

	looking sync.Mutex
}

func newSingle[T any](o Options, m *member[T], from string, read reading[T]) (*single[T], error) {
	s := &single[T]{m: m, read: read}
	if from == "" {
		return s, nil
	}
	var err error
	if s.feed, err = newFeed(from, "", o.Now); err == nil && s.feed.url != nil {
		s.pace = newPace(o, "joined-"+string(m.kind.name))
	}
	return s, err
}

func (s *single[T]) look(ctx context.Context, asks bool) {
	if s.feed == nil {
		if !asks {
			s.m.withdraw()
		}
		return
	}
	if (s.pace != nil) != asks {
		return
	}
	s.looking.Lock()
	defer s.looking.Unlock()
	if s.pace == nil {
		if looked, err := s.renew(ctx); looked {
			s.m.checked(err)
		}
		return
	}
	s.pace.turn(ctx, s.feed.from, func(ctx context.Context) error {
		_, err := s.renew(ctx)
		if ctx.Err() == nil {
			s.m.checked(err)
		}
		return err
	})
}

// renew reads what has changed; looked is false when nothing has.
func (s *single[T]) renew(ctx context.Context) (looked bool, err error) {
	text, changed, err := s.feed.read(ctx)
	if err == nil && !changed {
		return false, nil
	}
	var t *T
	if err == nil {
		t, err = s.read(text)
	}
	if err == nil {
		err = s.m.take(t, true)
	}
	if err != nil && s.feed.url != nil {
		s.feed.forget()
	}
	if err != nil {
		err = fmt.Errorf("reading %s from %q: %w", s.m.kind.what, s.feed.from, err)
	}
	return true, err
}

// pace decides when a URL is asked, and has one of all processes do it.
type pace struct {
	now    func() time.Time
	every  time.Duration
	retry  time.Duration
	next   time.Time
	turns  *agree.Turn // nil: no other process
	pauses time.Duration
}

func newPace(o Options, name string) *pace {
	p := &pace{now: o.Now, every: max(o.Every, time.Minute), retry: retryEvery}
	if o.Shared {
		p.turns = agree.NewTurn(o.Store, name)
	}
	return p
}

// turn asks when it is time.
func (p *pace) turn(ctx context.Context, about string, ask func(context.Context) error) {
	if p.now().Before(p.next) {
		return
	}
	var err error
	if p.turns == nil {
		err = ask(ctx)
	} else {
		_, err = p.turns.Do(ctx, about, p.every-p.every/20, ask)
	}
	wait := p.every
	if err != nil {
		wait, p.retry = p.retry, min(2*p.retry, p.every)
		if after, ok := gate.RetryAfter(err); ok {
			wait = max(wait, after)
		}
	} else {
		p.retry = retryEvery
	}
	if errors.Is(err, gate.ErrStoreUnavailable) {
		wait = retryEvery
	}
	p.next = p.now().Add(wait)
}
