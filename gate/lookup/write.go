package lookup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// soonAfter is how long an answer waits for the store to take what a registry has
	// said of its tag, so that it can say if it is not recorded. A store that works
	// takes it in a few milliseconds. As soon as one write has taken longer, no answer
	// waits for any.
	soonAfter = 250 * time.Millisecond
	// maxWriters bounds the writes that run beside the reviews, maxWrites those that
	// wait for it as well. A store takes a few hundred writes a second, so that those
	// that wait are a few seconds old. What exceeds it is not written: the next review
	// finds it out again.
	maxWriters = 8
	maxWrites  = 1024
)

// writer runs what is written beside the reviews. The zero value is usable.
type writer struct {
	once    sync.Once
	running chan struct{}
	waiting chan struct{}

	mu   sync.Mutex
	all  int
	idle chan struct{} // closed when all of them have ended; nil when nobody waits for it
}

// count changes how many writes there are.
func (w *writer) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all += n; w.all == 0 && w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// settle waits until there are none.
func (w *writer) settle() {
	w.mu.Lock()
	if w.all > 0 && w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// errFull: as many writes wait as may.
var errFull = fmt.Errorf("%d writes of admission wait: %w", maxWrites, errors.Join(gate.ErrStoreUnavailable, gate.ErrTimeout))

// start runs a write beside its caller, or not at all when too many wait. An optional
// one leaves half of the room to the others.
func (w *writer) start(optional bool, write func()) error {
	w.once.Do(func() {
		w.running, w.waiting = make(chan struct{}, maxWriters), make(chan struct{}, maxWrites)
	})
	if optional && len(w.waiting) >= maxWrites/2 {
		return errFull
	}
	select {
	case w.waiting <- struct{}{}:
	default:
		return errFull
	}
	w.count(1)
	go func() {
		defer w.count(-1)
		defer func() { <-w.waiting }()
		w.running <- struct{}{}
		defer func() { <-w.running }()
		write()
	}()
	return nil
}

// Settle waits until nothing that reviews have begun is still being written. It is
// for the end of a process and for tests, once no more reviews begin.
func (l *Lookup) Settle() { l.writer.settle() }

// beside writes, beside the review, something that the answer does not depend on. done
// is called with what became of it.
func (l *Lookup) beside(write func(context.Context) error, done func(error)) {
	l.write(false, write, done)
}

func (l *Lookup) write(optional bool, write func(context.Context) error, done func(error)) {
	err := l.writer.start(optional, func() {
		var err error
		defer func() {
			if p := recover(); p != nil { // nobody else does here
				err = fmt.Errorf("writing: panic: %s", gate.Printable(fmt.Sprint(p), 300))
			}
			done(err)
		}()
		err = l.writeAside(context.Background(), write)
	})
	if err != nil {
		done(err)
	}
}

// optional is beside for what the next review would find out again: while a write
// takes longer than usual it is not even begun, and many of them at once keep nobody's
// tag from being written.
func (l *Lookup) optional(write func(context.Context) error, done func(error)) {
	if !l.writes.slowNow() {
		l.write(true, write, done)
	}
}

// tagWrite is the writing of what a registry has said of a tag, once for all that
// have asked.
type tagWrite struct {
	done    chan struct{} // closed at its end; the following is valid then
	at      int64         // of Lookup.events
	mapping gate.TagMapping
	err     error
}

func (w *tagWrite) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// contradicts reports whether the store has taken the write and something else stands
// than that the tag names d.
func (w *tagWrite) contradicts(d gate.Digest) bool {
	return w.ended() && w.err == nil && (w.mapping.Dirty || w.mapping.Gone || w.mapping.Digest != d)
}

// wait waits for the end; a write has bounded time.
func (w *tagWrite) wait(ctx context.Context) (gate.TagMapping, error) {
	limit := time.NewTimer(queueTimeout)
	defer limit.Stop()
	select {
	case <-w.done:
		return w.mapping, w.err
	case <-limit.C:
		return gate.TagMapping{}, fmt.Errorf("no answer within %s: %w", queueTimeout, errors.Join(gate.ErrStoreUnavailable, gate.ErrTimeout))
	case <-ctx.Done():
		return gate.TagMapping{}, errors.Join(gate.ErrTimeout, context.Cause(ctx))
	}
}

// record has what was found of a tag written, beside the review. Until it is, and if
// the store does not take it, it is kept here.
func (l *Lookup) record(h *headed, found gate.Looked) *tagWrite {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.write != nil {
		return h.write
	}
	w := &tagWrite{done: make(chan struct{})}
	h.write = w
	d := found.Manifest.Digest
	keep := func(words string) {
		if d == "" || found.Read { // the next review would find nothing recorded of it
			l.bar(h.key, h.host, d, h.readAt)
			return
		}
		l.keep(keptReading{gate.TagMapping{TagKey: h.key, Digest: d, Host: h.host, ReadAt: h.readAt}, words})
	}
	keep("")
	l.beside(func(ctx context.Context) (err error) {
		if d != "" {
			if err := l.parts.Resolver.Note(ctx, found, h.key.Location); err != nil {
				return err
			}
		}
		w.mapping, err = l.parts.Tags.PutTag(ctx, h.key, d, h.readAt, h.host)
		return err
	}, func(err error) {
		w.at = l.events.Add(1) // before what is kept is forgotten
		switch w.err = err; {
		case err == nil:
			l.recorded(h.key, h.readAt)
		case gate.NotTaken(err):
			keep(gate.StoreWords(err))
		default: // what the store has against it concerns the record, and not what was read
			l.bar(h.key, h.host, d, h.readAt)
			l.parts.Log.Warn("recording what a tag names", "tag", gate.Printable(h.key.String(), 300), "digest", d, "error", err)
		}
		close(w.done)
	})
	return w
}

// soon waits for a write for a moment and returns what to say when it was not taken,
// "" when it was.
func (l *Lookup) soon(ctx context.Context, w *tagWrite) (words string) {
	wait := soonAfter
	if l.writes.slowNow() {
		wait = 0
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case <-w.done:
	case <-limit.C:
	case <-ctx.Done():
	}
	switch {
	case !w.ended():
		l.writes.inVain(w.done)
		return gate.StoreWords(gate.ErrTimeout)
	case w.err != nil && gate.NotTaken(w.err):
		return gate.StoreWords(w.err)
	}
	return ""
}
