package lookup

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Changes is the part of the store's feed that copies follow; see store.Feed.
type Changes interface {
	// Changes are up to limit changes after a number, oldest first, and the number to
	// continue from. gate.ErrConflict: the feed no longer has them, drop the copies;
	// any other error: the copies grow old, and are not used beyond their grace.
	Changes(ctx context.Context, after int64, limit int) (changes []gate.Change, next int64, err error)
	// Newest is the number of the newest change, from which Changes continues. Any error:
	// the copies grow old, as for Changes.
	Newest(ctx context.Context) (int64, error)
	// Changed is closed at the next change made through this process.
	Changed() <-chan struct{}
}

const (
	followPage = 500         // changes at a time
	followPoll = time.Second // finds what other processes changed
	// followTimeout bounds one look at the feed: a connection into nowhere
	// must not hold it after the store is back.
	followTimeout = 5 * time.Second
	// probeEvery is how often a store that is away is asked whether it is back.
	probeEvery = 250 * time.Millisecond
	// unknown is the place in the feed of a reader that has none.
	unknown int64 = -1
)

// Follow keeps the copies as new as the store until ctx ends, and asks a store
// that is away until it answers. Without it a copy would be as old as the last
// admission of its image, and an outage would bring back what was known then.
func (c *RecordCopy) Follow(ctx context.Context, feed Changes) {
	var probing sync.WaitGroup
	probing.Go(func() { c.probe(ctx) })
	defer probing.Wait()
	// Nothing is copied yet that an old change could outdate: the feed, which has hundreds of
	// thousands in a large installation, is followed from its end.
	after := unknown
	for ctx.Err() == nil {
		changed := feed.Changed()
		began := c.now()
		next, err := c.follow(ctx, feed, after)
		if err == nil && next != after {
			after = next
			continue
		}
		if err == nil {
			c.current(began)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(followPoll):
		}
	}
}

// current notes that the copies show everything that was stored at a time, so
// that the grace begins there, also where nothing is asked for long.
func (c *RecordCopy) current(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.contact) {
		c.contact = at
	}
}

// probe asks a store that is away, so that no review has to.
func (c *RecordCopy) probe(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		away := !c.away.IsZero()
		c.mu.Unlock()
		if away {
			_, _ = c.ask(ctx, gate.ReadRequest{}) // ask notes how it ended
		}
	}
}

// fromEnd begins with the next change. What was copied before may be older than a change
// that is not seen, and is dropped: also what is being read now.
func (c *RecordCopy) fromEnd(ctx context.Context, feed Changes) (int64, error) {
	newest, err := feed.Newest(ctx)
	if err != nil {
		return unknown, err
	}
	c.copies.DropAll()
	return newest, nil
}

// follow takes in one page of changes and returns where the next one begins.
func (c *RecordCopy) follow(ctx context.Context, feed Changes, after int64) (int64, error) {
	looking, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	if after == unknown {
		return c.fromEnd(looking, feed)
	}
	changes, next, err := feed.Changes(looking, after, followPage)
	if errors.Is(err, gate.ErrConflict) { // the feed does not reach back that far
		return c.fromEnd(looking, feed)
	}
	if err != nil {
		return after, err
	}
	if c.exact {
		return next, nil // its writer has dropped what has changed
	}
	var req gate.ReadRequest
	for _, ch := range changes {
		switch d := gate.Digest(ch.Key); ch.Kind {
		case gate.ChangeRecord:
			if c.copies.Entry(d) != nil {
				req.Digests = append(req.Digests, d)
			}
		case gate.ChangeTag:
			if k, ok := gate.ParseTagKey(ch.Key); ok {
				c.copies.DropTag(k)
			}
		}
	}
	if len(req.Digests) == 0 {
		return next, nil
	}
	turns := c.turns(req)
	res, err := c.reader.Read(looking, req)
	if err != nil {
		return after, err
	}
	c.answered(res)
	c.keep(req, res, turns)
	return next, nil
}
