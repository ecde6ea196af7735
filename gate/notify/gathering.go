package notify

import (
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// held is how many lines are kept while a message is gathered; more than are listed,
	// so that one that comes late can still be among the worst.
	held = 2 * MaxItems
	// toldApart is how many images are counted exactly, by 48 bits of their digests: 26 kB.
	toldApart = 2000
)

// Gathering is a message that is not closed yet. It is bounded, whatever comes.
type Gathering struct {
	// Opened is when the first change was put in.
	Opened time.Time `json:"opened"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	Totals Totals    `json:"totals"`
	Items  []Item    `json:"items"`
	More   int       `json:"more,omitempty"`
	Missed bool      `json:"missed,omitempty"`
	// Seen are the images that were counted.
	Seen []string `json:"seen,omitempty"`
}

func newGathering(now time.Time) *Gathering { return &Gathering{Opened: now} }

// empty reports whether there is nothing to send: what happened was undone within it.
func (g *Gathering) empty() bool {
	return len(g.Items) == 0 && g.More == 0 && !g.Missed
}

// add puts parts of changes in.
func (g *Gathering) add(parts []part) {
	seen := map[string]bool{}
	for _, s := range g.Seen {
		seen[s] = true
	}
	lines := map[string]int{}
	for i, item := range g.Items {
		lines[item.key()] = i
	}
	for _, p := range parts {
		g.span(p.at)
		g.Totals = g.Totals.plus(p.totals)
		g.More += p.more
		g.image(p.digest, seen)
		for _, item := range p.items {
			g.line(item, lines)
		}
	}
}

func (g *Gathering) span(at time.Time) {
	if g.From.IsZero() || at.Before(g.From) {
		g.From = at
	}
	if at.After(g.Until) {
		g.Until = at
	}
}

// image counts a digest once.
func (g *Gathering) image(d gate.Digest, seen map[string]bool) {
	if d == "" {
		return
	}
	short := d.Hex()
	short = short[:min(len(short), 12)]
	switch {
	case seen[short]:
	case len(g.Seen) >= toldApart:
		g.Totals.MoreImages = true
	default:
		seen[short] = true
		g.Seen = append(g.Seen, short)
		g.Totals.Images++
	}
}

// line merges an item with the line that it belongs to, or adds one.
func (g *Gathering) line(item Item, lines map[string]int) {
	i, ok := lines[item.key()]
	if !ok {
		g.Items = append(g.Items, item)
		lines[item.key()] = len(g.Items) - 1
		if len(g.Items) > 2*held {
			g.trim(held)
			clear(lines)
			for i, item := range g.Items {
				lines[item.key()] = i
			}
		}
		return
	}
	was := &g.Items[i]
	switch item.What {
	case Denied, Flipped:
		g.again(was, item)
		if was.Before == was.After { // undone: there is nothing to say of it
			g.Items = slices.Delete(g.Items, i, i+1)
			clear(lines)
			for i, item := range g.Items {
				lines[item.key()] = i
			}
		}
	case New, Raised, Fixed:
		if was.Digest != item.Digest {
			was.Images += max(item.Images, 1)
			was.Digest, was.Registry, was.Repository = item.Digest, item.Registry, item.Repository
		}
		if item.Severity.Rank() < was.Severity.Rank() {
			was.Severity = item.Severity
		}
	default:
		*was = item
	}
}

// again makes one flip of two of a location.
func (g *Gathering) again(was *Item, item Item) {
	count := func(what What, n int) {
		if what == Denied {
			g.Totals.Denied += n
		} else {
			g.Totals.Flipped += n
		}
	}
	count(was.What, -1)
	before := was.Before
	*was = item
	if was.Before = before; before == was.After {
		count(item.What, -1)
	}
}

// trim keeps the worst lines and counts the others.
func (g *Gathering) trim(n int) {
	slices.SortFunc(g.Items, worse)
	if len(g.Items) > n {
		for _, item := range g.Items[n:] {
			g.More += max(item.Images, 1)
		}
		g.Items = slices.Clone(g.Items[:n])
	}
}

// close makes the message.
func (g *Gathering) close(m *Message) {
	g.trim(MaxItems)
	m.From, m.Until, m.Totals, m.Items, m.More, m.Missed = g.From, g.Until, g.Totals, g.Items, g.More, g.Missed
	if m.Items == nil {
		m.Items = []Item{}
	}
}

func (t Totals) plus(o Totals) Totals {
	t.Images += o.Images
	t.MoreImages = t.MoreImages || o.MoreImages
	t.Denied += o.Denied
	t.Flipped += o.Flipped
	t.New, t.Raised, t.Fixed = t.New.Plus(o.New), t.Raised.Plus(o.Raised), t.Fixed.Plus(o.Fixed)
	t.Conditions += o.Conditions
	return t
}
