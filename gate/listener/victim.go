package listener

import (
	"math/rand/v2"
	"time"
)

const (
	// patience is how long there may be no connection that makes room before busy
	// ones do: short beside the 10 s that an API server waits for a review.
	patience = 2 * time.Second
	// tenure is how long a connection is kept whatever it does, so that every caller
	// gets something done, and as many callers a second get in as there are places.
	tenure = time.Second
)

// victim is the connection that makes room now, nil when none may yet.
func (c *Connections) victim(now time.Time) *connection {
	idlest := c.idlest(now)
	switch {
	case idlest != nil:
		c.busy = time.Time{}
		return idlest
	case c.busy.IsZero():
		c.busy = now
	}
	if now.Sub(c.busy) < patience {
		return nil
	}
	return c.any(now)
}

// any is one by chance, which hits whoever has most: between two requests before
// one that is worked on.
func (c *Connections) any(now time.Time) *connection {
	var found *connection
	seen := 0
	for conn := range c.open {
		if now.Sub(conn.accepted) < tenure || found != nil && found.working == 0 && conn.working > 0 {
			continue
		}
		if found != nil && found.working > 0 && conn.working == 0 {
			found, seen = nil, 0
		}
		if seen++; rand.IntN(seen) == 0 {
			found = conn
		}
	}
	return found
}

// idlest is the connection that makes room, nil when none may yet. One that was
// served waits for all others to have had their time.
func (c *Connections) idlest(now time.Time) *connection {
	var found *connection
	for conn := range c.open {
		switch {
		case conn.working > 0:
		case found == nil, found.served && !conn.served, found.served == conn.served && conn.since.Before(found.since):
			found = conn
		}
	}
	if found == nil || now.Sub(found.since) < settled {
		return nil
	}
	return found
}
