package agree

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Options are what a [Member] is made of.
type Options struct {
	Kind  Kind
	Store Store // nil is one of its own, see [NewOwnStore]
	// By and Program name this process and its version, for people.
	By, Program string
	// Place names the store, and DataDir is where it is remembered over restarts
	// what was in force there; "" for nowhere.
	Place, DataDir string
	// Observe changes nothing: neither what is in force, nor what is remembered.
	Observe bool
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil means time.Now
}

// Member is one process among those that agree. It is safe for concurrent use.
type Member struct {
	*Activations
	kind     Kind
	observe  bool
	log      *slog.Logger
	messages Messages
	now      func() time.Time
	memories memories
	restored atomic.Int64

	looking sync.Mutex // one look at a time; held while the store answers
	mu      sync.Mutex // guards the rest, never held long
	memory  Memory
	said    difference // last, so that it is said once
}

// difference is between what is found here and what is in force.
type difference struct {
	found, active gate.Digest
	number        int64
}

// NewMember makes a member that has seen what its data directory remembers.
func NewMember(o Options) *Member {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Store == nil {
		o.Store = NewOwnStore(o.Now)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Member{
		Activations: NewActivations(o.Store, o.Kind, o.By, o.Program), kind: o.Kind, observe: o.Observe,
		log: o.Log, messages: o.Kind.Words.Messages, now: o.Now, memories: newMemories(o.Kind, o.DataDir),
	}
	if m.messages == (Messages{}) {
		m.messages, m.log = generalMessages(), o.Log.With("what", o.Kind.Words.What)
	}
	m.memory = m.memories.load(o.Place)
	return m
}

// Memory is what this process has seen, at the last look or before its start.
func (m *Member) Memory() Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.memory
}

// Restored is how often this process has put back what the store had lost.
func (m *Member) Restored() int64 { return m.restored.Load() }

// View is what a look has seen.
type View struct {
	// Active is what is in force. InForce is false when nothing is in the store,
	// or does not count, and this member only observes: then Active is what it
	// has found, without a number.
	Active  Activation
	InForce bool
	// Differs says that something else than what is found here is in force.
	Differs bool
	// Ours is the highest number under which what is found here was in force, 0
	// for never.
	Ours int64
}

// Look brings what was found here, nil for nothing, and what is in force
// together, and says what is in force then. Errors: those of the store;
// gate.ErrStoreUnavailable also for what [IsUnreadable].
func (m *Member) Look(ctx context.Context, found *Content) (View, error) {
	m.looking.Lock()
	defer m.looking.Unlock()
	last := m.Memory()
	active, ok, err := m.Active(ctx)
	if err == nil && m.observe {
		return m.observed(last, found, active, ok), nil
	}
	if lost := last.InForce; err == nil && m.kind.PutBack && lost.Number > active.Number {
		ok = true
		active, err = m.putBack(ctx, lost)
	}
	if err != nil {
		return View{}, err
	}
	counts := found
	if found != nil && found.Stays && found.Digest != active.Content {
		counts = nil
	}
	if counts != nil && m.kind.wins(last, *found, active, ok) {
		if active, err = m.putInForce(ctx, last, *found); err != nil {
			return View{}, err
		}
		ok = true
	}
	next := last.next(counts, active, m.now())
	m.remember(last, next)
	view := View{Active: active, InForce: ok, Differs: m.note(found, active, ok)}
	if found != nil {
		view.Ours = ours(next, *found, active)
	}
	return view, nil
}

func (m *Member) observed(last Memory, found *Content, active Activation, ok bool) View {
	if found != nil && (!ok || m.kind.Alone) {
		return View{Active: Activation{Content: found.Digest, UpdatedAt: found.UpdatedAt, Packed: found.Packed}}
	}
	view := View{Active: active, InForce: ok, Differs: m.note(found, active, ok)}
	if found != nil {
		view.Ours = ours(last.next(found, active, m.now()), *found, active)
	}
	return view
}

func ours(m Memory, found Content, active Activation) int64 {
	last := active.Last(found.Digest)
	if m.Content == found.Digest {
		last = max(last, m.Number)
	}
	return last
}

func (m *Member) putBack(ctx context.Context, lost Activation) (Activation, error) {
	active, restored, err := m.Restore(ctx, lost)
	if restored {
		m.restored.Add(1)
		m.log.Error(m.messages.PutBack, m.kind.Words.Number, lost.Number, "content", lost.Content.Short())
	}
	return active, err
}

func (m *Member) putInForce(ctx context.Context, last Memory, found Content) (Activation, error) {
	former := int64(0)
	active, activated, err := m.Activate(ctx, found, last.Seen, func(active Activation, ok bool) bool {
		former = active.Number
		return m.kind.wins(last, found, active, ok)
	})
	if activated {
		m.log.Info(m.messages.Activated, m.kind.Words.Number, active.Number, "content", found.Digest.Short(), "former", former)
	}
	return active, err
}

// remember keeps what there is to know at the next look, and at the next start.
func (m *Member) remember(last, next Memory) {
	m.mu.Lock()
	m.memory = next
	m.mu.Unlock()
	if next.same(last) {
		return
	}
	if err := m.memories.save(next); err != nil {
		m.log.Warn(m.messages.Forgotten, "error", err)
	}
}

// note says, once, when what is found here is not what another process put in force.
func (m *Member) note(found *Content, active Activation, ok bool) (differs bool) {
	now := difference{}
	if found != nil && ok && found.Digest != active.Content {
		now = difference{found.Digest, active.Content, active.Number}
	}
	m.mu.Lock()
	before := m.said
	m.said = now
	m.mu.Unlock()
	if now == (difference{}) {
		return false
	}
	if now != before && active.By != m.by { // what this process itself put in force is no news to it
		attrs := []any{m.kind.Words.Number, active.Number, "content", active.Content.Short(), "ours", found.Digest.Short(),
			"by", active.By, "activatedAt", active.ActivatedAt}
		if !found.UpdatedAt.IsZero() {
			attrs = append(attrs, "updatedAt", active.UpdatedAt, "oursUpdatedAt", found.UpdatedAt)
		}
		m.log.Warn(m.messages.Differs, attrs...)
	}
	return true
}
