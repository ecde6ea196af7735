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

// tagReadTimeout bounds one read of a tag, which several requests share and
// none of them may cancel for the others.
const tagReadTimeout = 8 * time.Second

// named is what a tag names for one review.
type named struct {
	digest   gate.Digest
	warnings []string
	// manifest is what was read of the digest just now, if the store did not take
	// it; of an unknown kind otherwise.
	manifest gate.Manifest
}

// resolveTag finds the digest that a tag names (DESIGN.md §7) in the registry at host.
// A clean mapping confirmed within TagMaxAge needs no call; otherwise the registry is
// asked, once for all requests that wait for the same tag. If it does not answer, or
// did not a moment ago, a clean mapping confirmed within TagGrace serves, with a
// warning. What the registry says counts even if the store does not take it.
func (l *Lookup) resolveTag(ctx context.Context, key gate.TagKey, host string) (named, *gate.Answer) {
	res, err := l.parts.Reader.Read(ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
	if err != nil {
		a := refusedFor(err)
		return named{}, &a
	}
	mapping := res.Tags[key].At(host)
	if mapping.Usable(res.Now, l.options.TagMaxAge) {
		return named{digest: mapping.Digest}, nil
	}
	if res.Copied { // what a registry says now could not be recorded
		return l.copiedTag(key, l.newest(key, host, mapping).TagMapping, res.Now)
	}
	newest := l.newest(key, host, mapping)
	if newest.Usable(res.Now, l.options.TagMaxAge) {
		return l.unwrittenTag(key, newest.Digest, newest.words), nil
	}
	graced := newest.Usable(res.Now, l.options.TagGrace)
	if graced && l.silences.remembered(key.Registry, l.parts.Now()) {
		return l.gracedTag(newest.TagMapping, res.Now, "did not answer"), nil
	}
	r, err := l.readTag(ctx, key, host)
	newest = l.newest(key, host, mapping) // it may be known by now that the tag has moved
	graced = newest.Usable(res.Now, l.options.TagGrace)
	switch {
	case err == nil && r.unwritten == nil:
		return named{digest: r.Digest}, nil
	case err == nil:
		n := l.unwrittenTag(key, r.Digest, gate.StoreWords(r.unwritten))
		n.manifest = r.manifest
		return n, nil
	case r.unwritten != nil: // and dirty
	case errors.Is(err, gate.ErrStoreUnavailable): // it was there a moment ago
		return l.copiedTag(key, newest.TagMapping, res.Now)
	case graced && errors.Is(err, gate.ErrRegistryRefused):
		return l.gracedTag(newest.TagMapping, res.Now, "refuses this image now"), nil
	case graced && unanswered(err):
		return l.gracedTag(newest.TagMapping, res.Now, explain.Instead(gate.CauseOf(err, l.parts.Now()), l.parts.Now())), nil
	}
	a := unresolved(key, r, err, l.parts.Now())
	return named{}, &a
}

// unresolved is the refusal when nobody can tell what a tag names.
func unresolved(key gate.TagKey, r reading, err error, now time.Time) gate.Answer {
	a := refusedFor(err)
	switch {
	case r.unwritten != nil:
		a.Text = refusal.Say(refusal.TagUnwritten, refusal.P{"tag": key.Tag, "why": gate.StoreWords(r.unwritten)})
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

// readTag reads a tag. A read that a push has overtaken is no answer, which
// matters most to a request that came after the push and joined an earlier
// read; a second one began after it. A push that the store cannot be told to
// forget is not overtaken by any read: the error comes with the reading then.
func (l *Lookup) readTag(ctx context.Context, key gate.TagKey, host string) (reading, error) {
	for range 2 {
		r, err := l.shareRead(ctx, key, host)
		switch {
		case err != nil:
			return reading{}, err
		case r.Dirty && r.unwritten != nil:
			return r, fmt.Errorf("reading tag %q of %q: it was pushed, and the store does not take what it names now: %w",
				key.Tag, key.Location, errors.Join(gate.ErrStoreUnavailable, r.unwritten))
		case r.Gone || r.Digest == "":
			return reading{}, fmt.Errorf("reading tag %q of %q: a later read did not find it: %w", key.Tag, key.Location, gate.ErrNotFound)
		case !r.Dirty:
			return r, nil
		}
	}
	return reading{}, fmt.Errorf("reading tag %q of %q: it is being pushed again and again: %w", key.Tag, key.Location, gate.ErrBusy)
}

// errNoRoom: too many wait for the same already. It is ErrBusy with a text of
// its own.
var errNoRoom = fmt.Errorf("no room to wait: %w", gate.ErrBusy)

// shareRead is one read of a tag for all who wait for it. Who waits holds no
// place of those who need the store only.
func (l *Lookup) shareRead(ctx context.Context, key gate.TagKey, host string) (r reading, err error) {
	noRoom := gate.Aside(ctx, key.Registry, func() { r, err = l.awaitRead(ctx, key, host) })
	switch {
	case errors.Is(noRoom, gate.ErrBusy):
		return reading{}, fmt.Errorf("reading tag %q of %q: %w: %w", key.Tag, key.Location, errNoRoom, noRoom)
	case noRoom != nil && err == nil:
		return reading{}, fmt.Errorf("reading tag %q of %q: %w", key.Tag, key.Location, noRoom)
	}
	return r, err
}

func (l *Lookup) awaitRead(ctx context.Context, key gate.TagKey, host string) (reading, error) {
	began := l.parts.Now()
	done := l.tags.DoChan(host+"\n"+key.String(), func() (any, error) { return l.readOnce(context.WithoutCancel(ctx), key, host) })
	// Leave the caller time to use the grace after a registry that hangs.
	wait := tagReadTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline) * 4 / 5
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case r := <-done:
		m, _ := r.Val.(reading)
		return m, r.Err
	case <-limit.C:
		if wait >= silentAfter {
			l.silences.silent(key.Registry, began, l.parts.Now())
		}
		return reading{}, fmt.Errorf("reading tag %q of %q: no answer within %s: %w", key.Tag, key.Location, wait.Round(time.Millisecond), gate.ErrTimeout)
	case <-ctx.Done():
		return reading{}, fmt.Errorf("reading tag %q of %q: %w", key.Tag, key.Location, errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	}
}

// readOnce reads a tag for all who wait for it; ctx is that of nobody.
func (l *Lookup) readOnce(ctx context.Context, key gate.TagKey, host string) (r reading, err error) {
	// Nobody else recovers in this goroutine; a panic would end the process.
	defer func() {
		if p := recover(); p != nil {
			r, err = reading{}, fmt.Errorf("reading tag %q of %q: panic: %s", key.Tag, key.Location, gate.Printable(fmt.Sprint(p), 300))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, tagReadTimeout)
	defer cancel()
	done, err := l.silences.call(ctx, key.Registry)
	if err != nil {
		return reading{}, err
	}
	defer done()
	// Who has missed the end of the last read by a moment begins another.
	res, err := l.parts.Reader.Read(ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
	switch {
	case err != nil:
		return reading{}, err
	case res.Copied:
		return reading{}, fmt.Errorf("reading tag %q of %q: the store does not answer: %w", key.Tag, key.Location, gate.ErrStoreUnavailable)
	case res.Tags[key].At(host).Usable(res.Now, l.options.TagMaxAge):
		return reading{TagMapping: res.Tags[key]}, nil
	}
	began := l.parts.Now()
	r, err = l.confirm(ctx, key, host, res.Now)
	if !errors.Is(err, gate.ErrStoreUnavailable) && (errors.Is(err, gate.ErrTimeout) || ctx.Err() != nil && errors.Is(err, gate.ErrRegistryUnavailable)) {
		l.silences.silent(key.Registry, began, l.parts.Now())
	}
	return r, err
}
