package listener

import (
	"sync"
	"time"
)

const (
	// thinnedIn is how long lines are counted for, and written how many of them
	// are at most: each one of a caller that tries again and again, and few
	// enough that no log fills up.
	thinnedIn = 10 * time.Second
	written   = 5
)

// Thinner says which of many like lines are written: five in ten seconds, the
// first one of the next ten seconds with the number of those that were not. Keys
// must be of a closed set. The zero value is usable.
type Thinner struct {
	mu      sync.Mutex
	windows map[string]*window
}

type window struct {
	began time.Time
	lines int
}

// Next reports whether the line is to be written, and how many like it were
// left out before.
func (t *Thinner) Next(key string, now time.Time) (left int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.windows == nil {
		t.windows = map[string]*window{}
	}
	w := t.windows[key]
	switch {
	case w == nil:
		w = &window{began: now}
		t.windows[key] = w
	case now.Sub(w.began).Abs() >= thinnedIn:
		left = max(0, w.lines-written)
		w.began, w.lines = now, 0
	}
	w.lines++
	return left, w.lines <= written
}
