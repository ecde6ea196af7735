package gate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// tagReadTimeout bounds one read of a tag, which several requests share and
// none of them may cancel for the others.
const tagReadTimeout = 8 * time.Second

// resolveTag finds the digest that a tag names (DESIGN.md §7): a clean mapping
// confirmed within TagMaxAge needs no call; otherwise the registry is asked,
// once for all requests that wait for the same tag; if it does not answer, a
// clean mapping confirmed within TagGrace serves, with a warning.
func (l *Lookup) resolveTag(ctx context.Context, key TagKey) (Digest, []string, *Answer) {
	res, err := l.reader.Read(ctx, ReadRequest{Tags: []TagKey{key}})
	if err != nil {
		a := refusal(err)
		return "", nil, &a
	}
	mapping := res.Tags[key]
	if mapping.Usable(res.Now, l.options.TagMaxAge) {
		return mapping.Digest, nil, nil
	}
	if res.Copied { // what a registry says now could not be recorded
		return l.copiedTag(key, mapping, res.Now)
	}
	digest, err := l.readTag(ctx, key)
	if err == nil {
		return digest, nil, nil
	}
	if unanswered(err) && mapping.Usable(res.Now, l.options.TagGrace) {
		l.metrics.fellBack("tag")
		age := res.Now.Sub(mapping.ReadAt).Round(time.Second)
		why := "did not answer"
		if errors.Is(err, ErrRegistryRefused) {
			why = "refuses this image now"
		}
		return mapping.Digest, []string{fmt.Sprintf("the registry %s; tag %q was %s when confirmed %s ago", why, key.Tag, mapping.Digest, age)}, nil
	}
	a := refusal(err)
	switch {
	case errors.Is(err, ErrBusy):
		a.Text = fmt.Sprintf("tag %q is being pushed; try again, or use the digest", key.Tag)
	case errors.Is(err, ErrNotFound):
		a = refuse(ErrNotScanned, "registry %q has no tag %q in repository %q; push it, or correct the reference", key.Registry, key.Tag, key.Repository)
	case errors.Is(err, ErrRegistryRefused):
		a.Text = fmt.Sprintf("registry %q refuses tag %q of repository %q: blocked by its own policy or removed; ask those who run the registry to allow it, or use another tag", key.Registry, key.Tag, key.Repository)
	case errors.Is(err, ErrRegistryAuth):
		a.Text = fmt.Sprintf("registry %q refuses the credentials it is read with; the operators must renew them, or use a digest that is known here", key.Registry)
	case unanswered(err):
		a.Text = fmt.Sprintf("registry %q did not say in time what tag %q names; try again, or use the digest", key.Registry, key.Tag)
	}
	return "", nil, &a
}

// copiedTag answers from the copy of a mapping that is too old to be used
// without a question, while the store does not answer.
func (l *Lookup) copiedTag(key TagKey, m TagMapping, now time.Time) (Digest, []string, *Answer) {
	if !m.Usable(now, l.options.TagGrace) {
		a := refusal(fmt.Errorf("reading tag %q of %q: the store did not answer, and no clean mapping within tags.grace is known: %w", key.Tag, key.Location, ErrStoreUnavailable))
		return "", nil, &a
	}
	age := now.Sub(m.ReadAt).Round(time.Second)
	return m.Digest, []string{fmt.Sprintf("digestgate's store did not answer; tag %q was %s when confirmed %s ago", key.Tag, m.Digest, age)}, nil
}

// unanswered reports whether an error leaves open what the tag names. "No such
// tag" and a manifest of the wrong kind are answers.
func unanswered(err error) bool {
	return errors.Is(err, ErrRegistryUnavailable) || errors.Is(err, ErrRegistryAuth) || errors.Is(err, ErrRegistryRefused) ||
		errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
}

// readTag reads a tag. A read that a push has overtaken is no answer, which
// matters most to a request that came after the push and joined an earlier
// read; a second one began after it.
func (l *Lookup) readTag(ctx context.Context, key TagKey) (Digest, error) {
	for range 2 {
		m, err := l.shareRead(ctx, key)
		switch {
		case err != nil:
			return "", err
		case m.Gone || m.Digest == "":
			return "", fmt.Errorf("reading tag %q of %q: a later read did not find it: %w", key.Tag, key.Location, ErrNotFound)
		case !m.Dirty:
			return m.Digest, nil
		}
	}
	return "", fmt.Errorf("reading tag %q of %q: it is pushed again and again meanwhile: %w", key.Tag, key.Location, ErrBusy)
}

// shareRead is one read of a tag for all who wait for it.
func (l *Lookup) shareRead(ctx context.Context, key TagKey) (TagMapping, error) {
	done := l.tags.DoChan(key.String(), func() (m any, err error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), tagReadTimeout)
		defer cancel()
		// Nobody else recovers in this goroutine; a panic would end the process.
		defer func() {
			if p := recover(); p != nil {
				m, err = TagMapping{}, fmt.Errorf("reading tag %q of %q: panic: %s", key.Tag, key.Location, Printable(fmt.Sprint(p), 300))
			}
		}()
		// Who has missed the end of the last read by a moment begins another.
		if res, err := l.reader.Read(shared, ReadRequest{Tags: []TagKey{key}}); err == nil && res.Tags[key].Usable(res.Now, l.options.TagMaxAge) {
			return res.Tags[key], nil
		}
		m, _, err = l.pipeline.confirm(shared, key, asking{trigger: TriggerAdmission, recordOnly: true})
		return m, err
	})
	// Leave the caller time to use the grace after a registry that hangs.
	wait := tagReadTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline) * 4 / 5
	}
	select {
	case r := <-done:
		m, _ := r.Val.(TagMapping)
		return m, r.Err
	case <-time.After(wait):
		return TagMapping{}, fmt.Errorf("reading tag %q of %q: no answer within %s: %w", key.Tag, key.Location, wait.Round(time.Millisecond), ErrTimeout)
	case <-ctx.Done():
		return TagMapping{}, fmt.Errorf("reading tag %q of %q: %w", key.Tag, key.Location, errors.Join(ErrTimeout, context.Cause(ctx)))
	}
}
