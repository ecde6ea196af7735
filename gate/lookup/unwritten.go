package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
)

// What admission writes besides its decision (where an image was seen, what a
// tag names) helps the next review. None of it is needed for this one, so that a
// store that can be read but not written turns nothing that can be decided into a
// refusal.

// writePause is how long nothing of that kind is written after the store did not
// take it: writes that hang must not add up to the deadline of a review.
const writePause = 2 * time.Second

// writeHealth remembers whether the store takes what admission writes on the way.
// Safe for concurrent use.
type writeHealth struct {
	mu    sync.Mutex
	until time.Time // nothing is tried before
	cause error     // nil: the last write was taken
}

// refused is why nothing should be tried now, nil when it should.
func (w *writeHealth) refused(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil || !now.Before(w.until) {
		return nil
	}
	return w.cause
}

// note learns from a write that was tried. It logs the first failure and the
// first success after it.
func (w *writeHealth) note(log *slog.Logger, err error, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil && gate.NotTaken(err):
		if w.cause == nil {
			log.Error("the store takes no writes of admission, decisions are made from what is read", "cause", gate.StoreWords(err), "error", err)
		}
		w.cause, w.until = err, now.Add(writePause)
	case err == nil && w.cause != nil:
		log.Info("the store takes writes of admission again")
		w.cause = nil
	}
}

// writeAside writes something that the answer does not depend on, in bounded time,
// unless the store has just refused the like.
func (l *Lookup) writeAside(ctx context.Context, write func(context.Context) error) error {
	if err := l.writes.refused(l.parts.Now()); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	err := write(bounded)
	if ctx.Err() == nil { // otherwise the caller has gone, which says nothing of the store
		l.writes.note(l.parts.Log, err, l.parts.Now())
	}
	return err
}

// keptReadingBytes bounds what is kept of tags that could not be recorded. With the
// longest names that a reference can have, an entry takes 1.6 kB, so there is room for
// 5,000.
const keptReadingBytes = 8 << 20

// keptReading is what a tag named by a read of ours that the store did not take.
type keptReading struct {
	gate.TagMapping
	words string // why, for everybody
}

func newKeptReadings() *otter.Cache[string, keptReading] {
	return newWeighed(keptReadingBytes, func(k string, r keptReading) int64 {
		return bytesOf(k) + weighTagMapping(r.TagMapping) + bytesOf(r.words)
	})
}

// newest is what is known of a tag: the stored mapping, or a later reading of
// ours that could not be stored. Nothing of ours stands against a dirty mapping.
func (l *Lookup) newest(key gate.TagKey, host string, stored gate.TagMapping) keptReading {
	kept, ok := l.kept.GetIfPresent(key.String())
	if !ok || kept.Host != host || stored.Dirty || !kept.ReadAt.After(stored.ReadAt) || kept.Dirty && kept.Digest == stored.Digest {
		return keptReading{TagMapping: stored}
	}
	return kept
}

// bar notes that a registry has said at readAt what a tag names, "" for nothing,
// and that it is not known otherwise. An older mapping to another digest is not
// what a node would get, so that it serves no more, whatever the registry or the
// store does afterwards. It must be called before a better reading is kept.
func (l *Lookup) bar(key gate.TagKey, host string, d gate.Digest, readAt time.Time) {
	l.kept.Set(key.String(), keptReading{TagMapping: gate.TagMapping{TagKey: key, Digest: d, Host: host, ReadAt: readAt, Dirty: true}})
}

// A reading is what a tag names by a read of the registry.
type reading struct {
	gate.TagMapping
	manifest  gate.Manifest // of the digest
	unwritten error         // why it could not be recorded, nil when it was
}

// confirm reads a tag from its registry at host and records what it names; readAt is
// the store's time at the start. The reading stands although it could not be recorded, unless the
// tag is dirty: then a push has said that it moved, and that mark stays.
//
// Errors: those of Source, of reading the store, and what the store says against
// what was read.
func (l *Lookup) confirm(ctx context.Context, key gate.TagKey, host string, readAt time.Time) (reading, error) {
	found, err := l.parts.Resolver.Look(ctx, l.parts.Reader, key, host, true)
	absent := errors.Is(err, gate.ErrNotFound)
	if err == nil || answers(err) {
		l.silences.answered(key.Registry, l.parts.Now())
	}
	if err != nil && !absent {
		if found.Manifest.Digest != "" {
			l.bar(key, host, found.Manifest.Digest, readAt)
		}
		return reading{}, err
	}
	r := reading{manifest: found.Manifest}
	err = l.writeAside(ctx, func(ctx context.Context) (err error) {
		if !absent {
			if err := l.parts.Resolver.Note(ctx, found, key.Location); err != nil {
				return err
			}
		}
		r.TagMapping, err = l.parts.Tags.PutTag(ctx, key, found.Manifest.Digest, readAt, host)
		return err
	})
	if err == nil {
		l.kept.Invalidate(key.String())
		return r, nil
	}
	l.bar(key, host, found.Manifest.Digest, readAt)
	if !gate.NotTaken(err) {
		return reading{}, err
	}
	return l.unwritten(ctx, key, host, found, readAt, err)
}

// answers reports whether a registry has said something with an error.
func answers(err error) bool {
	return errors.Is(err, gate.ErrUnassessable) ||
		gate.Any(err, func(c gate.ErrorClass) bool {
			return c.Fault == gate.FaultRegistry && c.Err != gate.ErrRegistryUnavailable
		})
}

// unwritten is the reading of a tag that the store did not take: what it has of
// the tag now stands, if that is from a later read, or dirty.
func (l *Lookup) unwritten(ctx context.Context, key gate.TagKey, host string, found gate.Looked, readAt time.Time, cause error) (reading, error) {
	res, err := l.parts.Reader.Read(ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
	if err == nil && res.Copied {
		err = fmt.Errorf("reading tag %q of %q again: the store does not answer: %w", key.Tag, key.Location, gate.ErrStoreUnavailable)
	}
	if err != nil {
		return reading{}, errors.Join(cause, err)
	}
	stored := res.Tags[key].At(host)
	switch {
	case stored.Dirty:
		return reading{TagMapping: stored, unwritten: cause}, nil
	case !stored.ReadAt.Before(readAt) && (stored.Digest != "" || stored.Gone):
		return reading{TagMapping: stored}, nil
	}
	d := found.Manifest.Digest
	r := reading{
		TagMapping: gate.TagMapping{TagKey: key, Digest: d, Host: host, ReadAt: readAt, Gone: d == ""},
		manifest:   found.Manifest, unwritten: cause,
	}
	if !found.Read { // else the next review would find nothing recorded of it
		l.kept.Set(key.String(), keptReading{r.TagMapping, gate.StoreWords(cause)})
	}
	return r, nil
}
