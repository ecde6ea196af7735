package lookup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/refusal"
)

// named is what a tag names for one review.
type named struct {
	digest   gate.Digest
	warnings []string
	// manifest is what was read of the digest just now, of an unknown kind otherwise.
	manifest gate.Manifest
}

// tagQuestion is what one review knows of a tag. One goroutine at a time works on it.
type tagQuestion struct {
	ref  gate.Reference
	key  gate.TagKey
	host string
	// mapping is what was stored of the tag for host when it was last read, at now by
	// the store's clock.
	mapping gate.TagMapping
	now     time.Time
	since   int64 // of Lookup.events, before that read

	tries    int // how often the registry was asked
	head     *headed
	manifest *gate.Manifest // that the registry was asked for, because it is not recorded

	done    bool // the following is the answer
	counted bool // as done
	names   named
	refused *gate.Answer
}

// maxTries is how often a registry is asked for a tag that is pushed meanwhile. A
// request may join a question that began before it, and that twice in bad luck; the
// third begins after it.
const maxTries = 3

// resolveTag finds the digest that a tag names (DESIGN.md §7). A clean mapping
// confirmed within TagMaxAge needs no call; otherwise the registry is asked, once for
// all requests that wait for the same tag, and the next round tells what is recorded
// of its answer: ok is false until then. If it does not answer, or did not a moment
// ago, a clean mapping confirmed within TagGrace serves, with a warning. What the
// registry says counts whether or not the store takes it.
func (r *Rounds) resolveTag(ctx context.Context, q *tagQuestion) (n named, refused *gate.Answer, ok bool) {
	if !q.done && q.head == nil {
		q.names, q.refused, q.done = r.stored(ctx, q)
	} else if !q.done {
		q.names, q.refused, q.done = r.confirm(ctx, q)
	}
	if q.done && !q.counted {
		q.counted = true
		r.asking.Add(-1)
	}
	return q.names, q.refused, q.done
}

// stored answers from what is stored, or asks the registry.
func (r *Rounds) stored(ctx context.Context, q *tagQuestion) (n named, refused *gate.Answer, done bool) {
	stored, res, err := r.read.readTag(ctx, q.key)
	if err != nil {
		a := refusedFor(err)
		return named{}, &a, true
	}
	q.mapping, q.now = stored.At(q.host), res.now
	if q.mapping.Usable(q.now, r.options.TagMaxAge) {
		return named{digest: q.mapping.Digest}, nil, true
	}
	newest := r.newest(q.key, q.host, q.mapping)
	if res.copied { // what a registry says now could not be recorded
		n, refused = r.copiedTag(q.key, newest.TagMapping, q.now)
		return n, refused, true
	}
	if newest.Usable(q.now, r.options.TagMaxAge) {
		return r.keptTag(newest), nil, true
	}
	if newest.Usable(q.now, r.options.TagGrace) && r.silences.remembered(q.key.Registry, r.parts.Now()) {
		return r.gracedTag(newest.TagMapping, q.now, "did not answer"), nil, true
	}
	return r.ask(ctx, q)
}

// ask asks the registry which digest a tag names. Its answer needs another round.
func (r *Rounds) ask(ctx context.Context, q *tagQuestion) (n named, refused *gate.Answer, done bool) {
	if q.tries++; q.tries > maxTries {
		return r.noAnswer(q, fmt.Errorf("reading tag %q of %q: it is being pushed again and again: %w", q.key.Tag, q.key.Location, gate.ErrBusy))
	}
	h, err := r.shareHead(ctx, q)
	if err != nil {
		return r.noAnswer(q, err)
	}
	q.head, q.manifest = h, nil
	return named{}, nil, false
}

// confirm answers from what the registry has said and from what is recorded since. An
// answer that a push has overtaken does not count, which matters most to a request
// that came after the push and joined a question from before it. What the store has
// from a later read stands, also if it says so only when this one is written. A dirty
// tag is used only once the store has taken the reading: the order of the mark and the
// reading is decided there.
func (r *Rounds) confirm(ctx context.Context, q *tagQuestion) (n named, refused *gate.Answer, done bool) {
	h := q.head
	stored, res, err := r.read.readTag(ctx, q.key)
	if err == nil && res.copied {
		err = fmt.Errorf("reading tag %q of %q: the store does not answer: %w", q.key.Tag, q.key.Location, gate.ErrStoreUnavailable)
	}
	if err != nil {
		r.bar(q.key, q.host, h.digest, h.readAt)
		return r.noAnswer(q, err)
	}
	q.mapping, q.now = stored.At(q.host), res.now
	switch {
	case overtakes(stored, q.host, h.readAt):
		return r.ask(ctx, q)
	case !q.mapping.Dirty && q.mapping.Gone && !q.mapping.ReadAt.Before(h.readAt):
		return r.absent(q)
	case !q.mapping.Dirty && q.mapping.Digest != "" && !q.mapping.ReadAt.Before(h.readAt):
		return named{digest: q.mapping.Digest}, nil, true
	}
	found, more, err := r.found(ctx, q)
	if err != nil {
		return r.noAnswer(q, err)
	}
	if more {
		return named{}, nil, false
	}
	w := r.record(h, found)
	if q.mapping.Dirty {
		return r.written(ctx, q, found, w)
	}
	if found.Manifest.Digest == "" {
		return r.absent(q)
	}
	n = named{digest: found.Manifest.Digest}
	if found.Read {
		n.manifest = found.Manifest
	}
	words := r.soon(ctx, w)
	if w.contradicts(n.digest) {
		return r.written(ctx, q, found, w)
	}
	if words != "" {
		n.warnings = r.unwrittenTag(q.key, n.digest, words).warnings
	}
	return n, nil, true
}

// overtakes reports whether a tag was pushed after a reading of it from a host began.
// A later read of another host may have cleared a mark that this reading has not seen.
func overtakes(stored gate.TagMapping, host string, readAt time.Time) bool {
	moved := stored.Host != "" && stored.Host != host
	return (stored.Dirty || moved && !stored.DirtyAt.IsZero()) && !stored.DirtyAt.Before(readAt)
}

// found is the manifest of what a registry has named: the recorded one, or if nobody
// has read it before, what the registry serves. more is true when the images of an
// index that was read just now have to be read first.
func (r *Rounds) found(ctx context.Context, q *tagQuestion) (found gate.Looked, more bool, err error) {
	h := q.head
	if h.digest == "" {
		return gate.Looked{}, false, nil
	}
	if q.manifest != nil {
		return gate.Looked{Manifest: *q.manifest, Read: true}, false, nil
	}
	known, err := r.read.readEntry(ctx, h.digest)
	if err != nil {
		r.bar(q.key, q.host, h.digest, h.readAt)
		return gate.Looked{}, false, err
	}
	if m := known.Record.Manifest; m.Kind != gate.KindUnknown {
		m.Digest = h.digest
		return gate.Looked{Manifest: m}, false, nil
	}
	m, err := r.shareManifest(ctx, q, h)
	switch {
	case errors.Is(err, gate.ErrNotFound):
		return gate.Looked{}, false, nil
	case err != nil:
		r.bar(q.key, q.host, h.digest, h.readAt)
		return gate.Looked{}, false, err
	}
	q.manifest = &m
	return gate.Looked{Manifest: m, Read: true}, m.Kind == gate.KindIndex || m.Digest != h.digest, nil
}

// written answers by what the store says once it has taken what was read: for a dirty
// tag, and for one that was pushed or read again meanwhile.
func (r *Rounds) written(ctx context.Context, q *tagQuestion, found gate.Looked, w *tagWrite) (n named, refused *gate.Answer, done bool) {
	m, err := w.wait(ctx)
	switch {
	case err != nil && gate.NotTaken(err):
		a := refusedFor(fmt.Errorf("reading tag %q of %q: it was pushed, and the store does not take what it names now: %w",
			q.key.Tag, q.key.Location, errors.Join(gate.ErrStoreUnavailable, err)))
		a.Text = refusal.Say(refusal.TagUnwritten, refusal.P{"tag": q.key.Tag, "why": gate.StoreWords(err)})
		return named{}, &a, true
	case err != nil:
		return r.noAnswer(q, err)
	case m.Gone || m.Digest == "":
		return r.absent(q)
	case m.Dirty:
		q.mapping = m
		return r.ask(ctx, q)
	}
	n = named{digest: m.Digest}
	if found.Read && found.Manifest.Digest == m.Digest {
		n.manifest = found.Manifest
	}
	return n, nil, true
}

// absent refuses a tag that the registry does not have.
func (r *Rounds) absent(q *tagQuestion) (n named, refused *gate.Answer, done bool) {
	return r.noAnswer(q, fmt.Errorf("reading tag %q of %q: the registry does not have it: %w", q.key.Tag, q.key.Location, gate.ErrNotFound))
}

// noAnswer answers when a registry has not said what a tag names: from what was
// known of it, if that may serve, or with a refusal.
func (r *Rounds) noAnswer(q *tagQuestion, err error) (n named, refused *gate.Answer, done bool) {
	newest := r.newest(q.key, q.host, q.mapping) // it may be known by now that the tag has moved
	graced := newest.Usable(q.now, r.options.TagGrace)
	switch {
	case errors.Is(err, gate.ErrStoreUnavailable): // it was there a moment ago
		n, refused = r.copiedTag(q.key, newest.TagMapping, q.now)
		return n, refused, true
	case graced && errors.Is(err, gate.ErrRegistryRefused):
		return r.gracedTag(newest.TagMapping, q.now, "refuses this image now"), nil, true
	case graced && unanswered(err):
		return r.gracedTag(newest.TagMapping, q.now, explain.Instead(gate.CauseOf(err, r.parts.Now()), r.parts.Now())), nil, true
	}
	a := unresolved(q.key, err, r.parts.Now())
	return named{}, &a, true
}

// unresolved is the refusal when nobody can tell what a tag names.
func unresolved(key gate.TagKey, err error, now time.Time) gate.Answer {
	a := refusedFor(err)
	switch {
	case errors.Is(err, errNoRoom):
		a.Text = refusal.Say(refusal.BusyTags, refusal.P{"registry": key.Registry})
	case errors.Is(err, gate.ErrOtherHost):
		a.Text = refusal.Say(refusal.RegistryMoved, refusal.P{"registry": key.Registry})
	case errors.Is(err, gate.ErrBusy):
		a.Text = refusal.Say(refusal.TagPushed, refusal.P{"tag": key.Tag})
	case errors.Is(err, gate.ErrNotFound):
		return refuse(gate.ErrNotScanned, refusal.Say(refusal.TagMissing, refusal.P{"registry": key.Registry, "tag": key.Tag, "repository": key.Repository}))
	case errors.Is(err, gate.ErrRegistryRefused):
		a.Text = refusal.Say(refusal.TagRefused, refusal.P{"registry": key.Registry, "tag": key.Tag, "repository": key.Repository})
	case errors.Is(err, gate.ErrRegistryAuth):
		a.Text = refusal.Say(refusal.TagCredentials, refusal.P{"registry": key.Registry})
	case errors.As(err, new(*gate.Outage)):
		c := gate.CauseOf(err, now)
		c.At = key.Location
		a.Text = refusal.Say(refusal.TagUnknown, refusal.P{"tag": key.Tag, "why": explain.Cause(c, key.Location, now).Text})
	case unanswered(err):
		a.Text = refusal.Say(refusal.TagSilent, refusal.P{"registry": key.Registry, "tag": key.Tag})
	}
	return a
}

// gracedTag answers from a mapping that is too old to be used without a question
// which the registry does not answer; why is what it does instead.
func (l *Lookup) gracedTag(m gate.TagMapping, now time.Time, why string) named {
	l.metrics.fellBack("tag")
	age := now.Sub(m.ReadAt).Round(time.Second)
	return named{digest: m.Digest, warnings: []string{fmt.Sprintf("the registry %s; tag %q was %s when confirmed %s ago", why, m.Tag, m.Digest, age)}}
}

// keptTag answers from a reading of ours that is not stored, or not yet.
func (l *Lookup) keptTag(kept keptReading) named {
	if kept.words == "" {
		return named{digest: kept.Digest}
	}
	return l.unwrittenTag(kept.TagKey, kept.Digest, kept.words)
}

// unwrittenTag answers from a reading that the store did not take.
func (l *Lookup) unwrittenTag(key gate.TagKey, d gate.Digest, words string) named {
	l.metrics.fellBack("unwritten")
	return named{digest: d, warnings: []string{fmt.Sprintf("%s; tag %q was read, but what it names is not recorded", words, key.Tag)}}
}

// copiedTag answers from the copy of a mapping that is too old to be used
// without a question, while the store does not answer.
func (l *Lookup) copiedTag(key gate.TagKey, m gate.TagMapping, now time.Time) (named, *gate.Answer) {
	if !m.Usable(now, l.options.TagGrace) {
		a := refusedFor(fmt.Errorf("reading tag %q of %q: the store did not answer, and no clean mapping within tags.grace is known: %w", key.Tag, key.Location, gate.ErrStoreUnavailable))
		return named{}, &a
	}
	age := now.Sub(m.ReadAt).Round(time.Second)
	return named{digest: m.Digest, warnings: []string{fmt.Sprintf("digestgate's store did not answer; tag %q was %s when confirmed %s ago", key.Tag, m.Digest, age)}}, nil
}

// unanswered reports whether an error leaves open what the tag names. "No such
// tag" and a manifest of the wrong kind are answers.
func unanswered(err error) bool {
	return errors.Is(err, gate.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) ||
		gate.Any(err, func(c gate.ErrorClass) bool { return c.Fault == gate.FaultRegistry && c.Retry })
}
