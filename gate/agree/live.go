package agree

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// DefaultFollowEvery is how often a store is asked what is in force: one small
// value. A revocation is to hold everywhere within 5 s, loading included.
const DefaultFollowEvery = time.Second

// retryLoad is after how long the same content is loaded again that did not: what
// was wrong may have been the machine (no memory, no processor time).
const retryLoad = 5 * time.Minute

// Loading is what a [Live] needs to know of its contents. Its functions are
// called one at a time.
type Loading[T any] struct {
	// Find is the content that is found here now, nil for none; nil finds
	// nothing: contents come through [Live.Put]. It does not wait.
	Find func() *Content
	// Load makes of an activation what this process works with. When it fails,
	// what was loaded before stays in use.
	Load func(ctx context.Context, a Activation) (T, error)
	// Use is told what is in use from now on, also when the same content has
	// another number; nil for nobody.
	Use func(v T, a Activation)
}

// Live keeps what is in force loaded. It is safe for concurrent use.
type Live[T any] struct {
	member  *Member
	loading Loading[T]
	current atomic.Pointer[loaded[T]]

	following sync.Mutex // one at a time; guards the next two
	failed    gate.Digest
	failedAt  time.Time

	mu     sync.Mutex
	status LiveStatus
}

type loaded[T any] struct {
	value      T
	activation Activation
}

// LiveStatus has a sentence for what keeps what is found here, or what is in force,
// from being in use; all is "" when all is well.
type LiveStatus struct {
	Differs string // what is found here is not what is in force
	Behind  string // what is in force does not load here, or cannot be read
	Waits   string // a change here waits for a store that does not answer
}

// NewLive has loaded nothing yet.
func NewLive[T any](m *Member, l Loading[T]) *Live[T] {
	return &Live[T]{member: m, loading: l}
}

// Current is what is in use, and under which number it is in force; ok is false
// before something is.
func (l *Live[T]) Current() (v T, a Activation, ok bool) {
	now := l.current.Load()
	if now == nil {
		return v, a, false
	}
	return now.value, now.activation, true
}

// Member is the process that agrees.
func (l *Live[T]) Member() *Member { return l.member }

// Status is how what is found, in force and in use stand to each other.
func (l *Live[T]) Status() LiveStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *Live[T]) setStatus(change func(*LiveStatus)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.status)
}

// Put puts a content in force for all, whatever was, and takes it into use here.
// Errors: those of [Activations.Activate] and [Live.Follow].
func (l *Live[T]) Put(ctx context.Context, c Content) (Activation, error) {
	active, _, err := l.member.Activate(ctx, c, l.member.Memory().Seen, nil)
	if err != nil {
		return active, err
	}
	return active, l.Follow(ctx)
}

// Run follows what is in force until ctx ends. What fails is in the status and
// the log.
func (l *Live[T]) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = l.Follow(ctx)
		}
	}
}

// Follow brings what is found here and what is in force together, and loads what
// is in force if that has changed. When it fails, what was in use stays in use,
// and the status says why. Errors: those of [Member.Look]; gate.ErrConflict when
// what is in force does not load here.
func (l *Live[T]) Follow(ctx context.Context) error {
	l.following.Lock()
	defer l.following.Unlock()
	var found *Content
	if l.loading.Find != nil {
		found = l.loading.Find()
	}
	view, err := l.member.Look(ctx, found)
	if err != nil {
		return l.unknown(err, found)
	}
	l.setStatus(func(s *LiveStatus) { s.Waits, s.Differs = "", l.differs(view, found) })
	if view.Active.Content == "" {
		return nil // nothing ever was in force, and nothing is here
	}
	return l.load(ctx, view.Active)
}

// unknown says what it means here that it is not known what is in force. That
// the store does not answer is said by others.
func (l *Live[T]) unknown(err error, found *Content) error {
	before := l.Status()
	now := LiveStatus{Behind: before.Behind}
	switch {
	case IsUnreadable(err), errors.Is(err, gate.ErrConflict) && !errors.Is(err, gate.ErrStoreUnavailable):
		now.Behind = err.Error()
	case found != nil && !found.Stays && found.Digest != l.member.Memory().Content:
		now.Waits = err.Error()
	}
	l.setStatus(func(s *LiveStatus) { s.Behind, s.Waits = now.Behind, now.Waits })
	if _, inUse, ok := l.Current(); ok && (now.Behind != before.Behind || now.Waits != "" && before.Waits == "") {
		l.member.log.Error(l.member.messages.Unknown, "inUse", inUse.Number, "error", err.Error())
	}
	return err
}

func (l *Live[T]) differs(view View, found *Content) string {
	if !view.Differs {
		return ""
	}
	w, active := l.member.kind.Words, view.Active
	were := "never were in force"
	if n := active.Last(found.Digest); n > 0 {
		were = fmt.Sprintf("were in force last as %s %d", w.Number, n)
	}
	return fmt.Sprintf("%s (%s) are not the %s in force, they %s; in force is %s %d (%s), by %s at %s",
		w.Here, found.Digest.Short(), w.What, were, w.Number, active.Number, active.Content.Short(), active.By, active.ActivatedAt.UTC().Format(time.RFC3339))
}

// load takes what is in force into use.
func (l *Live[T]) load(ctx context.Context, active Activation) error {
	old := l.current.Load()
	if old != nil && old.activation.Content == active.Content {
		l.failed = ""
		if old.activation.Number != active.Number {
			l.use(old.value, active)
		}
		l.setStatus(func(s *LiveStatus) { s.Behind = "" })
		return nil
	}
	if now := l.member.now(); l.failed != active.Content || now.Sub(l.failedAt) >= retryLoad {
		l.failed, l.failedAt = active.Content, now
	} else {
		return fmt.Errorf("%s: %w", l.Status().Behind, gate.ErrConflict)
	}
	value, err := l.loading.Load(ctx, active)
	switch {
	case err == nil:
		l.failed = ""
		l.use(value, active)
		return nil
	case ctx.Err() != nil:
		l.failed = "" // stopping; it may be good
		return err
	}
	return l.behind(active, old, err)
}

func (l *Live[T]) use(value T, active Activation) {
	l.current.Store(&loaded[T]{value, active})
	l.setStatus(func(s *LiveStatus) { s.Behind = "" })
	if l.loading.Use != nil {
		l.loading.Use(value, active)
	}
}

// behind says that what is in force did not load.
func (l *Live[T]) behind(active Activation, old *loaded[T], err error) error {
	w := l.member.kind.Words
	text := fmt.Sprintf("%s %d (%s, by %s, tried by version %s) is in force and does not load here: %v",
		w.Number, active.Number, active.Content.Short(), active.By, gate.Quoted(active.Program, 60), err)
	l.setStatus(func(s *LiveStatus) { s.Behind = text })
	if old == nil {
		return fmt.Errorf("%s; run the version of digestgate that it was made for%s: %w", text, otherwise(w.OtherWay), errors.Join(gate.ErrConflict, err))
	}
	l.member.log.Error(l.member.messages.NotLoaded, w.Number, active.Number, "content", active.Content.Short(),
		"by", active.By, "program", active.Program, "inUse", old.activation.Number, "error", err.Error())
	return fmt.Errorf("%s: %w", text, gate.ErrConflict)
}

func otherwise(way string) string {
	if way == "" {
		return ""
	}
	return ", or " + way
}
