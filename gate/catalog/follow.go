package catalog

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// page is how many changes are applied in one transaction.
	page = 500
	// pollEvery finds changes that other processes made.
	pollEvery = time.Second
	// apart is how long the transactions of Follow are apart while changes keep coming:
	// a job makes five in a row, of which one read and one row are left then. A change
	// after a pause is applied at once, and lists that must be whole do not wait; see
	// [Fresh].
	apart = 75 * time.Millisecond
)

// Follow applies the feed until ctx ends. It begins where the file left off and builds
// the projection again when the feed no longer reaches back that far.
func (c *Catalog) Follow(ctx context.Context) {
	c.examine()
	for ctx.Err() == nil {
		changed := c.source.Changed()
		applied, more, err := c.step(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("following the change feed", "error", err)
		}
		wait := pollEvery
		switch {
		case err != nil || !more:
		case applied < page && applied > 0: // more come one by one
			changed, wait = nil, apart
		default: // far behind
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(wait):
		}
	}
}

// CatchUp applies all changes that the feed holds now.
func (c *Catalog) CatchUp(ctx context.Context) error {
	for {
		more, err := c.Step(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// Step applies one page of the feed and reports whether there may be more.
// Errors: those of the store, gate.ErrResource and gate.ErrTimeout.
func (c *Catalog) Step(ctx context.Context) (more bool, err error) {
	_, more, err = c.step(ctx)
	return more, err
}

// step is Step, and says how many changes were applied. A file that turns out to be
// damaged is replaced, and there is more to do.
func (c *Catalog) step(ctx context.Context) (applied int, more bool, err error) {
	c.stepping.Lock()
	defer c.stepping.Unlock()
	applied, more, err = c.advance(ctx)
	if damaged(err) || c.broken {
		return 0, true, c.replace(ctx, c.opened.Load(), err)
	}
	return applied, more, err
}

func (c *Catalog) advance(ctx context.Context) (applied int, more bool, err error) {
	seq, built, err := c.position(ctx)
	if err != nil {
		return 0, false, err
	}
	if built && !c.trusted {
		if built, err = c.sameFeed(ctx, seq); err != nil {
			return 0, false, err
		}
	}
	if !built {
		return 0, true, c.rebuild(ctx)
	}
	c.trusted = true
	changes, next, err := c.source.Changes(ctx, seq, page)
	if errors.Is(err, gate.ErrConflict) {
		return 0, true, c.rebuild(ctx)
	}
	if err != nil || next == seq {
		return 0, false, err
	}
	if err := c.apply(ctx, changes, next); err != nil {
		return 0, false, err
	}
	// The page may be short because the store left changes out that only a
	// newer version knows: only a call that brings nothing is the end.
	return len(changes), true, nil
}

// position is the sequence up to which the feed is applied.
func (c *Catalog) position(ctx context.Context) (seq int64, built bool, err error) {
	list, err := once(ctx, c, "reading the catalog's position", column[int64], "SELECT value FROM meta WHERE name = 'seq'")
	if err != nil || len(list) == 0 {
		return 0, false, err
	}
	return list[0], true, nil
}

// sameFeed reports whether the change at the position is the one that was
// applied there. It is not when the store was replaced, or restored from a copy
// and has gone on since: then the numbers fit and the content does not.
func (c *Catalog) sameFeed(ctx context.Context, seq int64) (bool, error) {
	want, err := once(ctx, c, "reading the catalog's position", column[int64], "SELECT coalesce((SELECT value FROM meta WHERE name = 'mark'), 0)")
	if err != nil {
		return false, err
	}
	got, err := c.mark(ctx, seq)
	if errors.Is(err, gate.ErrConflict) {
		return false, nil
	}
	return got == want[0], err
}

// mark is a hash of the change with a sequence number, 0 when there is none.
func (c *Catalog) mark(ctx context.Context, seq int64) (int64, error) {
	if seq == 0 {
		return 0, nil
	}
	changes, _, err := c.source.Changes(ctx, seq-1, 1)
	if err != nil || len(changes) == 0 || changes[0].Seq != seq {
		return 0, err
	}
	return markOf(changes[0]), nil
}

func markOf(ch gate.Change) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s %d", ch.Kind, ch.Key, ch.At.UnixNano())
	return int64(h.Sum64())
}

// apply fetches what the changes name and writes it together with the new
// position.
func (c *Catalog) apply(ctx context.Context, changes []gate.Change, next int64) error {
	var req gate.ReadRequest
	var ids []string // of jobs
	seen := map[string]bool{}
	want := func(d gate.Digest) {
		if d != "" && !seen[string(d)] {
			seen[string(d)] = true
			req.Digests = append(req.Digests, d)
		}
	}
	for _, ch := range changes {
		id := string(ch.Kind) + " " + ch.Key
		if seen[id] {
			continue
		}
		seen[id] = true
		switch ch.Kind {
		case gate.ChangeRecord:
			want(gate.Digest(ch.Key))
		case gate.ChangeTag:
			if key, ok := gate.ParseTagKey(ch.Key); ok {
				req.Tags = append(req.Tags, key)
			}
		case gate.ChangeJob:
			ids = append(ids, ch.Key)
		}
	}
	jobs, err := c.source.Jobs(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if job, ok := jobs[id]; ok {
			want(job.Digest)
			continue
		}
		removed, err := once(ctx, c, "reading the digest of a job", column[gate.Digest], jobDigestQuery, id)
		if err != nil {
			return err
		}
		for _, d := range removed {
			want(d)
		}
	}
	res, err := c.source.Read(ctx, req)
	if err != nil {
		return err
	}
	return c.write(ctx, func(w *writer) error {
		mark := int64(0)
		if n := len(changes); n > 0 && changes[n-1].Seq == next {
			mark = markOf(changes[n-1])
		}
		w.position(next, mark)
		for _, id := range ids {
			if job, ok := jobs[id]; ok {
				w.job(job)
			} else {
				w.noJob(id)
			}
		}
		for _, d := range req.Digests {
			w.image(d, res.Digests[d])
		}
		for _, k := range req.Tags {
			w.tag(k, res.Tags[k])
		}
		return w.err
	})
}

// rebuild empties the projection and fills it from a scan.
func (c *Catalog) rebuild(ctx context.Context) error {
	started := time.Now()
	var digests []gate.Digest
	asked := map[gate.Digest]bool{} // digests of which perhaps nothing is recorded yet
	err := c.write(ctx, func(w *writer) error {
		for _, table := range []string{"meta", "images", "locations", "children", "attestations", "tags", "jobs"} {
			w.exec("DELETE FROM " + table)
		}
		w.forgetHeld()
		w.exec("DELETE FROM names")
		w.exec("INSERT INTO names_parts (names_parts) VALUES ('delete-all')")
		if w.err != nil {
			return w.err
		}
		seq, err := c.source.Scan(ctx, func(item gate.Item) error {
			switch {
			case item.Record != nil:
				digests = append(digests, item.Record.Digest)
			case item.Job != nil:
				w.job(*item.Job)
				if item.Job.Kind == gate.JobResolve && item.Job.Digest != "" {
					asked[item.Job.Digest] = true
				}
			case item.Tag != nil:
				w.tag(item.Tag.TagKey, *item.Tag)
			}
			return w.err
		})
		if err != nil {
			return err
		}
		for _, d := range digests {
			delete(asked, d)
		}
		digests = slices.AppendSeq(digests, maps.Keys(asked))
		// A record and its newest job make the state together, so that images
		// are read the way changes are.
		for len(digests) > 0 {
			n := min(page, len(digests))
			res, err := c.source.Read(ctx, gate.ReadRequest{Digests: digests[:n]})
			if err != nil {
				return err
			}
			for _, d := range digests[:n] {
				w.image(d, res.Digests[d])
			}
			digests = digests[n:]
		}
		mark, err := c.mark(ctx, seq)
		if err != nil && !errors.Is(err, gate.ErrConflict) { // removed meanwhile
			return err
		}
		w.position(seq, mark)
		return w.err
	})
	if err != nil {
		return fmt.Errorf("building the catalog: %w", err)
	}
	c.log.Info("catalog built", "duration", time.Since(started).Round(time.Millisecond))
	return nil
}
