package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// syncTag is what is known of a tag. Unjudged says that a clean mapping leads
// to an image, or to an index with a judged child, that has neither an
// inventory nor a job.
type syncTag struct {
	gate.TagMapping
	unjudged bool
}

// clean reports whether nothing is to be done about the tag as long as the
// registry does not say otherwise.
func (t syncTag) clean() bool { return t.Digest != "" && !t.Dirty && !t.Gone && !t.unjudged }

// repository compares the tags of one repository.
func (r *syncRun) repository(ctx context.Context, loc gate.Location) error {
	list, err := r.source.Tags(ctx, loc)
	if errors.Is(err, gate.ErrNotFound) {
		list, err = gate.TagList{Complete: true}, nil // all its tags are gone
	}
	if err != nil {
		return err
	}
	r.change(func(st *syncState) {
		st.Counts.Tags += len(list.Tags)
		if list.Note != "" {
			st.Note = gate.Printable(fmt.Sprintf("repository %s: %s", gate.Quoted(loc.Repository, 255), list.Note), 500)
		}
	})
	r.metrics.syncCompared(r.registry.Name, len(list.Tags))
	passed := &passedOver{}
	var again []syncTag // clean mappings that the list does not confirm
	for batch := range slices.Chunk(list.Tags, syncBatch) {
		known, err := r.mappings(ctx, loc, batch)
		if err != nil {
			return err
		}
		for _, t := range batch {
			m := known[gate.TagKey{Location: loc, Tag: t.Tag}]
			m.TagKey = gate.TagKey{Location: loc, Tag: t.Tag}
			if m.clean() && t.Digest == "" && !r.state.Full {
				again = append(again, m)
				continue
			}
			if m.clean() && t.Digest == m.Digest {
				continue
			}
			if err := passed.over(r.tag(ctx, m, t.Digest)); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(again, func(a, b syncTag) int { return a.ReadAt.Compare(b.ReadAt) })
	for _, m := range again[:min(len(again), syncRecheck)] {
		if err := passed.over(r.tag(ctx, m, "")); err != nil {
			return err
		}
	}
	if passed.first != nil {
		r.problem(loc.Repository, fmt.Errorf("%d of its tags cannot be read, the first of them: %w", passed.count, passed.first))
	}
	if !list.Complete {
		return nil
	}
	return r.vanished(ctx, loc, list.Tags)
}

// passedOver are the tags of one repository that the registry does not serve,
// while it serves others: they keep no other tag from being compared.
type passedOver struct {
	first        error
	count, inRow int
}

// over returns nil for a refused tag. Refused credentials are taken for those of
// the whole repository when syncFailing tags in a row have met them.
func (p *passedOver) over(err error) error {
	_, asked := gate.RetryAfter(err)
	switch {
	case err == nil:
		p.inRow = 0
		return nil
	case asked:
		return err
	case errors.Is(err, gate.ErrRegistryRefused):
	case errors.Is(err, gate.ErrRegistryAuth) && p.inRow+1 < syncFailing:
		p.inRow++
	default:
		return err
	}
	if p.count++; p.first == nil {
		p.first = err
	}
	return nil
}

// mappings reads what is known of tags. Whether what a tag names was ever
// looked at is asked by full runs only: it costs two reads more.
func (r *syncRun) mappings(ctx context.Context, loc gate.Location, batch []gate.ListedTag) (map[gate.TagKey]syncTag, error) {
	var req gate.ReadRequest
	for _, t := range batch {
		req.Tags = append(req.Tags, gate.TagKey{Location: loc, Tag: t.Tag})
	}
	res, err := r.store.Read(ctx, req)
	if err != nil {
		return nil, err
	}
	known := make(map[gate.TagKey]syncTag, len(res.Tags))
	var digests []gate.Digest
	for key, m := range res.Tags {
		known[key] = syncTag{TagMapping: m}
		if m.Digest != "" && !slices.Contains(digests, m.Digest) {
			digests = append(digests, m.Digest)
		}
	}
	if !r.state.Full || len(digests) == 0 {
		return known, nil
	}
	unjudged, err := r.unjudged(ctx, digests)
	if err != nil {
		return nil, err
	}
	for key, m := range known {
		m.unjudged = unjudged[m.Digest]
		known[key] = m
	}
	return known, nil
}

// unjudged finds the digests of which something was never asked for: the
// manifest itself (also one that is to be read again), an
// image's analysis, or that of a judged child of an index.
// Whatever has a job is left to it, also one that failed or was cancelled.
func (r *syncRun) unjudged(ctx context.Context, digests []gate.Digest) (map[gate.Digest]bool, error) {
	records, err := r.store.Read(ctx, gate.ReadRequest{Digests: digests})
	if err != nil {
		return nil, err
	}
	var children []gate.Digest
	seen := map[gate.Digest]bool{}
	for _, e := range records.Digests {
		for _, c := range e.Record.Manifest.JudgedDigests() {
			if !seen[c] {
				seen[c] = true
				children = append(children, c)
			}
		}
	}
	entries := records.Digests
	for batch := range slices.Chunk(children, syncBatch) {
		more, err := r.store.Read(ctx, gate.ReadRequest{Digests: batch})
		if err != nil {
			return nil, err
		}
		for _, d := range batch {
			entries[d] = more.Digests[d]
		}
	}
	out := map[gate.Digest]bool{}
	for _, d := range digests {
		rec := entries[d].Record
		m := rec.Manifest
		missing := func(c gate.Digest) bool { return entries[c].State() == gate.StateNotScanned }
		out[d] = m.Kind == gate.KindUnknown || rec.Doubtful() || m.Kind == gate.KindImage && missing(d) || slices.ContainsFunc(m.JudgedDigests(), missing)
	}
	return out, nil
}

// tag looks at one tag of the registry's list that is new, moved, dirty or due
// to be confirmed. listed is its digest by the list, "" where that is silent.
// The tag is marked before the job exists, as the intake does.
func (r *syncRun) tag(ctx context.Context, m syncTag, listed gate.Digest) error {
	digest := listed
	if digest == "" {
		readAt, err := r.store.Now(ctx)
		if err != nil {
			return err
		}
		r.change(func(st *syncState) { st.Counts.Checked++ })
		host := r.registries.HostOf(m.Registry)
		digest, err = r.source.Head(ctx, m.Location, m.Tag)
		switch {
		case r.registries.HostOf(m.Registry) != host:
			return gate.ErrOtherHost
		case errors.Is(err, gate.ErrNotFound):
			return r.gone(ctx, m)
		case errors.Is(err, gate.ErrUnassessable), errors.Is(err, gate.ErrIntegrity):
			digest = "" // the resolve will say what is wrong with it
		case err != nil:
			return err
		}
		if digest == m.Digest && m.clean() {
			_, err := r.store.PutTag(ctx, m.TagKey, digest, readAt, host) // confirmed by our own read
			return err
		}
	}
	change := syncMoved
	switch {
	case m.unjudged && digest == m.Digest:
		change = syncUnjudged
	case m.Digest == "" || m.Gone:
		change = syncNew
	}
	return r.queue(ctx, m.TagMapping, digest, change)
}

// gone queues the resolve of a tag that seems to be there no more. What is not
// known, or known to be gone, needs none.
func (r *syncRun) gone(ctx context.Context, m syncTag) error {
	if (m.Digest == "" || m.Gone) && !m.Dirty {
		return nil
	}
	return r.queue(ctx, m.TagMapping, "", syncGone)
}

func (r *syncRun) queue(ctx context.Context, m gate.TagMapping, digest gate.Digest, change syncChange) error {
	if err := r.store.MarkDirty(ctx, m.TagKey); err != nil {
		return fmt.Errorf("marking tag %s dirty: %w", gate.Quoted(m.TagKey.String(), 500), err)
	}
	req := gate.JobRequest{Kind: gate.JobResolve, Location: m.Location, Digest: digest, Tag: m.Tag, Trigger: gate.TriggerSync}
	_, outcome, err := r.store.Enqueue(ctx, req)
	if err != nil {
		return fmt.Errorf("queueing the resolve of %s: %w", gate.Quoted(req.Key(), 500), err)
	}
	if outcome != gate.EnqueuedNew {
		return nil // an event told it at the same time
	}
	first := false
	r.change(func(st *syncState) {
		first = st.LastTags.IsZero()
		if change == syncGone {
			st.Counts.Gone++
		} else {
			st.Counts.Queued++
		}
	})
	if first {
		change = syncFirst
	}
	r.metrics.syncFound(r.registry.Name, change)
	return nil
}

// vanished looks for known tags that a complete list does not have.
func (r *syncRun) vanished(ctx context.Context, loc gate.Location, listed []gate.ListedTag) error {
	known, err := r.known.RepositoryTags(ctx, loc)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(listed))
	for _, t := range listed {
		there[t.Tag] = true
	}
	var missing []gate.ListedTag
	for _, tag := range known {
		if !there[tag] {
			missing = append(missing, gate.ListedTag{Tag: tag})
		}
	}
	for batch := range slices.Chunk(missing, syncBatch) {
		mappings, err := r.mappings(ctx, loc, batch)
		if err != nil {
			return err
		}
		for _, t := range batch {
			if m, ok := mappings[gate.TagKey{Location: loc, Tag: t.Tag}]; ok {
				if err := r.gone(ctx, m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
