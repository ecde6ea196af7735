package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// repository compares the tags of one repository.
func (r *syncRun) repository(ctx context.Context, loc Location) error {
	list, err := r.source.Tags(ctx, loc)
	if errors.Is(err, ErrNotFound) {
		list, err = TagList{Complete: true}, nil // all its tags are gone
	}
	if err != nil {
		return err
	}
	r.change(func(st *syncState) {
		st.Counts.Tags += len(list.Tags)
		if list.Note != "" {
			st.Note = Printable(fmt.Sprintf("repository %q: %s", loc.Repository, list.Note), 500)
		}
	})
	var again []TagMapping // clean mappings that the list does not confirm
	for batch := range slices.Chunk(list.Tags, syncBatch) {
		known, err := r.mappings(ctx, loc, batch)
		if err != nil {
			return err
		}
		for _, t := range batch {
			m := known[TagKey{loc, t.Tag}]
			m.TagKey = TagKey{loc, t.Tag}
			clean := m.Digest != "" && !m.Dirty && !m.Gone
			if clean && t.Digest == "" && !r.state.Full {
				again = append(again, m)
				continue
			}
			if clean && t.Digest == m.Digest {
				continue
			}
			if err := r.tag(ctx, m, t.Digest); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(again, func(a, b TagMapping) int { return a.ReadAt.Compare(b.ReadAt) })
	for _, m := range again[:min(len(again), syncRecheck)] {
		if err := r.tag(ctx, m, ""); err != nil {
			return err
		}
	}
	if !list.Complete {
		return nil
	}
	return r.vanished(ctx, loc, list.Tags)
}

// mappings reads what is known of tags. A digest that was mapped but never
// recorded or asked for reads as unconfirmed.
func (r *syncRun) mappings(ctx context.Context, loc Location, batch []ListedTag) (map[TagKey]TagMapping, error) {
	var req ReadRequest
	for _, t := range batch {
		req.Tags = append(req.Tags, TagKey{loc, t.Tag})
	}
	res, err := r.store.Read(ctx, req)
	if err != nil || !r.state.Full {
		return res.Tags, err
	}
	req = ReadRequest{}
	for _, m := range res.Tags {
		if m.Digest != "" && !slices.Contains(req.Digests, m.Digest) {
			req.Digests = append(req.Digests, m.Digest)
		}
	}
	records, err := r.store.Read(ctx, req)
	if err != nil {
		return nil, err
	}
	for key, m := range res.Tags {
		e := records.Digests[m.Digest]
		kind := e.Record.Manifest.Kind
		if m.Digest != "" && (kind == KindUnknown || kind == KindImage && e.State() == StateNotScanned) {
			m.Dirty = true // as read here only
			res.Tags[key] = m
		}
	}
	return res.Tags, nil
}

// tag looks at one tag of the registry's list that is new, moved, dirty or due
// to be confirmed. listed is its digest by the list, "" where that is silent.
// The tag is marked before the job exists, as the intake does.
func (r *syncRun) tag(ctx context.Context, m TagMapping, listed Digest) error {
	digest := listed
	if digest == "" {
		readAt, err := r.store.Now(ctx)
		if err != nil {
			return err
		}
		r.change(func(st *syncState) { st.Counts.Checked++ })
		digest, err = r.source.Head(ctx, m.Location, m.Tag)
		switch {
		case errors.Is(err, ErrNotFound):
			return r.gone(ctx, m)
		case errors.Is(err, ErrUnassessable), errors.Is(err, ErrIntegrity):
			digest = "" // the resolve will say what is wrong with it
		case err != nil:
			return err
		}
		if digest != "" && digest == m.Digest && !m.Dirty && !m.Gone {
			_, err := r.store.PutTag(ctx, m.TagKey, digest, readAt) // confirmed by our own read
			return err
		}
	}
	return r.queue(ctx, m, digest, func(c *SyncCounts) *int { return &c.Queued })
}

// gone queues the resolve of a tag that seems to be there no more. What is not
// known, or known to be gone, needs none.
func (r *syncRun) gone(ctx context.Context, m TagMapping) error {
	if (m.Digest == "" || m.Gone) && !m.Dirty {
		return nil
	}
	return r.queue(ctx, m, "", func(c *SyncCounts) *int { return &c.Gone })
}

func (r *syncRun) queue(ctx context.Context, m TagMapping, digest Digest, count func(*SyncCounts) *int) error {
	if err := r.store.MarkDirty(ctx, m.TagKey); err != nil {
		return fmt.Errorf("marking tag %q dirty: %w", Printable(m.TagKey.String(), 500), err)
	}
	req := JobRequest{Kind: JobResolve, Location: m.Location, Digest: digest, Tag: m.Tag, Trigger: TriggerSync}
	_, outcome, err := r.store.Enqueue(ctx, req)
	if err != nil {
		return fmt.Errorf("queueing the resolve of %q: %w", Printable(req.Key(), 500), err)
	}
	if outcome == EnqueuedNew {
		r.change(func(st *syncState) { *count(&st.Counts)++ })
	}
	return nil
}

// vanished looks for known tags that a complete list does not have.
func (r *syncRun) vanished(ctx context.Context, loc Location, listed []ListedTag) error {
	known, err := r.known.RepositoryTags(ctx, loc)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(listed))
	for _, t := range listed {
		there[t.Tag] = true
	}
	var missing []ListedTag
	for _, tag := range known {
		if !there[tag] {
			missing = append(missing, ListedTag{Tag: tag})
		}
	}
	for batch := range slices.Chunk(missing, syncBatch) {
		mappings, err := r.mappings(ctx, loc, batch)
		if err != nil {
			return err
		}
		for _, t := range batch {
			if m, ok := mappings[TagKey{loc, t.Tag}]; ok {
				if err := r.gone(ctx, m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
