package sqlite

import "slices"

// newcomer finds a job of the registry that began to wait last, among those without a
// running job that may be taken ahead of the others; nil when there is none. A registry
// may not be taken ahead if it had a turn after another one that still waits began to
// wait. So each is ahead of another at most once before the other has its turn.
func (c *claim) newcomer(list []option) (found *head, name string, err error) {
	for {
		if name, err = c.lastComer(list); err != nil || name == "" {
			return nil, "", err
		}
		own := slices.DeleteFunc(slices.Clone(list), func(o option) bool { return o.lane.registry != name })
		if found, err = c.fairest(own, false); err != nil || found != nil {
			return found, name, err
		}
	}
}

// queuer is a registry without a running job that waits.
type queuer struct {
	since, served int64 // ticks: since when it waits, and of its last turn
	returned      bool  // it has a job that has let others pass for long enough
}

func (c *claim) lastComer(list []option) (name string, err error) {
	waiting := map[string]queuer{}
	for _, o := range list {
		since := c.writer.hints.lanes[o.lane].since()
		if o.atWork > 0 || since == 0 {
			continue
		}
		if o.lane.tried {
			found, err := c.headOf(o.lane)
			if err != nil {
				return "", err
			}
			if found == nil || found.place > c.now {
				continue
			}
		}
		q, ok := waiting[o.lane.registry]
		if !ok || since < q.since {
			q.since = since
		}
		q.served, q.returned = o.served, q.returned || o.lane.tried
		waiting[o.lane.registry] = q
	}
	if len(waiting) < 2 {
		return "", nil
	}
	longest := int64(never) // since when the one that waits longest for a turn has waited
	for _, q := range waiting {
		longest = min(longest, max(q.since, q.served))
	}
	for registry, q := range waiting {
		if q.served < longest && !q.returned && (name == "" || q.since > waiting[name].since) {
			name = registry
		}
	}
	return name, nil
}
