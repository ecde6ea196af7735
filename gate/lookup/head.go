package lookup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// tagReadTimeout bounds one call of a registry, which several requests share and
// none of them may cancel for the others.
const tagReadTimeout = 8 * time.Second

// headed is what a registry has said that a tag names. All requests that asked for it
// at the same time share it.
type headed struct {
	key    gate.TagKey
	host   string
	digest gate.Digest // "": there is no such tag
	readAt time.Time   // the store's time when somebody began to ask
	ended  int64       // of Lookup.events; no other has the same

	mu    sync.Mutex
	got   *gate.Manifest // that was read of it
	spent bool           // its manifest could not be read
	write *tagWrite
}

// open reports whether what was said was not recorded yet at a time, so that a read of
// the store that began then may not show it.
func (h *headed) open(since int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.spent && (h.write == nil || !h.write.ended() || h.write.at > since)
}

// rememberHeads bounds heads, in bytes, with the manifests that were read. With the
// longest names an entry without one takes 1.6 kB; only those of the last moment are
// ever used.
const rememberHeads = 4 << 20

func newHeads() *otter.Cache[string, *headed] {
	return copies.Weighed(rememberHeads, func(k string, h *headed) int64 {
		return copies.BytesOf(k) + copies.SizeOf[headed]() + copies.WeighTagKey(h.key) + copies.BytesOf(h.host) + copies.BytesOf(h.digest) + h.weighManifest()
	})
}

// weighManifest is what the manifest takes that was read. It is called by the cache:
// nobody who holds mu may use that.
func (h *headed) weighManifest() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.got == nil {
		return 0
	}
	return copies.SizeOf[gate.Manifest]() + copies.WeighManifest(*h.got)
}

// headName is the key of heads.
func headName(key gate.TagKey, host string) string { return host + "\n" + key.String() }

// errNoRoom: too many wait for the same already. It is ErrBusy with a text of
// its own.
var errNoRoom = fmt.Errorf("no room to wait: %w", gate.ErrBusy)

// aside waits for a registry. Who waits holds no place of those that need the store
// only.
func aside(ctx context.Context, key gate.TagKey, wait func() error) (err error) {
	noRoom := gate.Aside(ctx, key.Registry, func() { err = wait() })
	switch {
	case errors.Is(noRoom, gate.ErrBusy):
		return fmt.Errorf("reading tag %q of %q: %w: %w", key.Tag, key.Location, errNoRoom, noRoom)
	case noRoom != nil && err == nil:
		return fmt.Errorf("reading tag %q of %q: %w", key.Tag, key.Location, noRoom)
	}
	return err
}

// shareHead asks a registry for a tag, once for all who wait for it.
func (l *Lookup) shareHead(ctx context.Context, q *tagQuestion) (h *headed, err error) {
	name, asked := headName(q.key, q.host), *q
	err = aside(ctx, q.key, func() error {
		value, err := l.await(ctx, q.key, name, func(ctx context.Context) (any, error) {
			return l.headOnce(ctx, asked, name)
		})
		h, _ = value.(*headed)
		return err
	})
	if err == nil && h == nil {
		err = fmt.Errorf("reading tag %q of %q: no answer", q.key.Tag, q.key.Location)
	}
	return h, err
}

// headOnce asks for all who wait; ctx is that of nobody.
func (l *Lookup) headOnce(ctx context.Context, q tagQuestion, name string) (*headed, error) {
	// A caller that has just missed the end of the last call need not begin another.
	if last, ok := l.heads.GetIfPresent(name); ok && l.serves(last, q) {
		return last, nil
	}
	h := &headed{key: q.key, host: q.host, readAt: q.now}
	err := l.call(ctx, q.key, func(ctx context.Context) (err error) {
		h.digest, err = l.parts.Resolver.HeadTag(ctx, q.key, q.host)
		return err
	})
	switch {
	case errors.Is(err, gate.ErrNotFound):
		h.digest = ""
	case err != nil:
		return nil, err
	}
	h.ended = l.events.Add(1)
	l.heads.Set(name, h)
	return h, nil
}

// serves reports whether an earlier answer of a registry is as good as one that is
// asked for now: it came after the tag was read of the store, or that read could not
// show it and it is as young as a mapping that needs no call.
func (l *Lookup) serves(last *headed, q tagQuestion) bool {
	if q.mapping.Dirty && !q.mapping.DirtyAt.Before(last.readAt) {
		return false
	}
	return last.ended > q.since || q.tries == 1 && last.open(q.since) && q.now.Sub(last.readAt).Abs() <= l.options.TagMaxAge
}

// shareManifest reads the manifest that a tag names, once for all who were told the
// same of it: what another began to read before may be from before a push, which the
// time of this answer would hide.
func (l *Lookup) shareManifest(ctx context.Context, q *tagQuestion, h *headed) (m gate.Manifest, err error) {
	err = aside(ctx, q.key, func() error {
		value, err := l.await(ctx, q.key, fmt.Sprintf("manifest\n%d", h.ended), func(ctx context.Context) (any, error) {
			return l.manifestOnce(ctx, h)
		})
		m, _ = value.(gate.Manifest)
		return err
	})
	if err == nil && m.Digest == "" {
		err = fmt.Errorf("reading tag %q of %q: no manifest", q.key.Tag, q.key.Location)
	}
	return m, err
}

// manifestOnce reads for all who wait; ctx is that of nobody.
func (l *Lookup) manifestOnce(ctx context.Context, h *headed) (gate.Manifest, error) {
	h.mu.Lock()
	got := h.got
	h.mu.Unlock()
	if got != nil {
		return *got, nil
	}
	var m gate.Manifest
	err := l.call(ctx, h.key, func(ctx context.Context) (err error) {
		m, err = l.parts.Resolver.ReadTag(ctx, h.key, h.host)
		return err
	})
	h.mu.Lock()
	if h.spent = err != nil; err == nil {
		h.got = &m
	}
	h.mu.Unlock()
	if err != nil {
		return gate.Manifest{}, err
	}
	// It is heavier now.
	l.heads.ComputeIfPresent(headName(h.key, h.host), func(last *headed) (*headed, otter.ComputeOp) {
		if last != h {
			return last, otter.CancelOp
		}
		return h, otter.WriteOp
	})
	return m, nil
}

// await waits for a call that many share.
func (l *Lookup) await(ctx context.Context, key gate.TagKey, name string, call func(context.Context) (any, error)) (any, error) {
	began := l.parts.Now()
	done := l.tags.DoChan(name, func() (any, error) { return call(context.WithoutCancel(ctx)) })
	// Leave the caller time to use the grace after a registry that hangs.
	wait := tagReadTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline) * 4 / 5
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case r := <-done:
		return r.Val, r.Err
	case <-limit.C:
		if wait >= silentAfter {
			l.silences.silent(key.Registry, began, l.parts.Now())
		}
		return nil, fmt.Errorf("reading tag %q of %q: no answer within %s: %w", key.Tag, key.Location, wait.Round(time.Millisecond), gate.ErrTimeout)
	case <-ctx.Done():
		return nil, fmt.Errorf("reading tag %q of %q: %w", key.Tag, key.Location, errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	}
}

// call is one call of a registry and learns from it whether the registry answers.
func (l *Lookup) call(ctx context.Context, key gate.TagKey, do func(context.Context) error) (err error) {
	// Nobody else recovers in this goroutine; a panic would end the process.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading tag %q of %q: panic: %s", key.Tag, key.Location, gate.Printable(fmt.Sprint(p), 300))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, tagReadTimeout)
	defer cancel()
	done, err := l.silences.call(ctx, key.Registry)
	if err != nil {
		return err
	}
	defer done()
	began := l.parts.Now()
	err = do(ctx)
	switch {
	case err == nil || answers(err):
		l.silences.answered(key.Registry, l.parts.Now())
	case errors.Is(err, gate.ErrTimeout) || ctx.Err() != nil && errors.Is(err, gate.ErrRegistryUnavailable):
		l.silences.silent(key.Registry, began, l.parts.Now())
	}
	return err
}

// answers reports whether a registry has said something with an error.
func answers(err error) bool {
	return errors.Is(err, gate.ErrUnassessable) ||
		gate.Any(err, func(c gate.ErrorClass) bool {
			return c.Fault == gate.FaultRegistry && c.Err != gate.ErrRegistryUnavailable
		})
}
