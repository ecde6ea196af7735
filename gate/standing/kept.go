package standing

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// kept remembers of each digest from what its standing verdicts follow, and until when
// they do: a sweep then asks for the mark of what is stored, reads nothing and evaluates
// nothing. It is in memory, about 250 bytes for a digest, and is built again by the first
// sweep after a start. It is safe for concurrent use.
type kept struct {
	mu   sync.Mutex
	seed maphash.Seed
	held map[[32]byte]holding
	// round numbers the sweeps, so that what no sweep has seen for a while is forgotten.
	round uint32
}

// holding is what is kept of a digest.
type holding struct {
	sum       uint64 // of all that its verdicts follow from, and of them; see sum
	at, until int64  // Unix nanoseconds; they hold from the one to just before the other
	round     uint32 // that has seen it last
	marked    marked
}

// keptMost is how long verdicts are kept at most, whatever the evaluator says.
const keptMost = 24 * time.Hour

// world is what verdicts follow from apart from the record and the tags of an image.
type world struct {
	revision string // of the policies and their options
	// sees is what decisions depend on of the generation in use; without it, generation is
	// that generation. A new one in which the findings of an image stand then changes
	// nothing for it.
	sees       string
	generation gate.Generation
	loaded     bool
	matcher    string
	registries string // which has which host
	// tables are what is joined to findings. They are not in the sums: what a change of them
	// touches is forgotten, see [Joined].
	tables string
}

// seeing is an Evaluator that knows what its policies see of advisory data: where Sees
// says the same of two generations, at two times, and not "", decisions about findings
// that stand in both are the same, as long as they hold (gate.Decision.Until).
type seeing interface {
	// Sees names what decisions depend on of a generation in force, at a time.
	Sees(g gate.Generation, now time.Time) string
}

func (s *Standing) world() world {
	w := world{revision: s.Evaluator.Revision(), matcher: s.Matcher.Version(), registries: s.hosts()}
	w.generation, w.loaded = s.Matcher.Generation()
	if s.Joined != nil {
		w.tables = s.Joined.Revision()
	}
	if e, ok := s.Evaluator.(seeing); ok && w.loaded {
		if w.sees = e.Sees(w.generation, s.Now()); w.sees != "" {
			w.generation = gate.Generation{}
		}
	}
	return w
}

// begin starts a sweep and forgets what the one before did not see.
func (k *kept) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil {
		k.seed, k.held = maphash.MakeSeed(), map[[32]byte]holding{}
	}
	for d, h := range k.held {
		if h.round != k.round {
			delete(k.held, d)
		}
	}
	k.round++
}

// forget makes the next sweep evaluate everything.
func (k *kept) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = nil
}

// holds reports whether a digest is held at now.
func (h *holding) holds(now time.Time) bool {
	return now.UnixNano() >= h.at && now.UnixNano() < h.until
}

// look returns what is held of digests, and notes that a sweep has seen them.
func (k *kept) look(digests []gate.Digest) map[gate.Digest]holding {
	list := make(map[gate.Digest]holding, len(digests))
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range digests {
		key, ok := d.Hash()
		if !ok {
			continue
		}
		if h, there := k.held[key]; there {
			h.round = k.round
			k.held[key], list[d] = h, h
		}
	}
	return list
}

// mark notes by which marks what is held of a digest can be known again.
func (k *kept) mark(d gate.Digest, sum uint64, m marked) {
	key, _ := d.Hash()
	k.mu.Lock()
	defer k.mu.Unlock()
	if h, there := k.held[key]; there && h.sum == sum {
		h.marked = m
		k.held[key] = h
	}
}

// put keeps the verdicts of a digest. A zero until keeps nothing: the evaluator does not
// know how long they hold.
func (k *kept) put(d gate.Digest, h holding) {
	key, ok := d.Hash()
	h.until = min(h.until, h.at+int64(keptMost))
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !ok || k.held == nil:
	case h.until <= h.at:
		delete(k.held, key)
	default:
		h.round = k.round
		k.held[key] = h
	}
}

// sum is a hash of everything that the standing verdicts of a record follow from but
// the time, and of the verdicts that stand: a verdict that another process or an
// attacker has put there since is evaluated again. tags are those that name the digest.
func (s *Standing) sum(seed maphash.Seed, w world, rec *gate.Record, tags []gate.TagKey) uint64 {
	h := newSummed(seed)
	number, text := h.number, h.text
	h.world(w)
	text(string(rec.Manifest.Kind), rec.Manifest.Unassessable, rec.InventoryID, rec.FindingsID, rec.FindingsOf, string(rec.Advisories), rec.Matcher)
	number(rec.Generation)
	if e, ok := s.Evaluator.(ending); ok {
		i := &rec.Summary.Inventory
		text(e.Ends(i.Family, i.Release, rec.InventorySummarized(), s.Now()))
	}
	for i := range rec.Locations {
		l := &rec.Locations[i]
		host := ""
		if reg, ok := s.Registries.ByName(l.Registry); ok {
			host = reg.Host
		}
		text(l.Registry, l.Repository, host)
		text(string(l.Verdict.Outcome), string(l.Verdict.Code), l.Verdict.PolicyRevision)
		number(l.Verdict.EvaluatedAt.UnixNano())
		for _, r := range l.Verdict.Reasons {
			text(string(r.Action), string(r.Code), r.Rule, r.Msg)
			text(r.Findings...)
		}
		for _, t := range tags {
			if t.Location == l.Location {
				text(t.Tag)
			}
		}
	}
	return h.Sum64()
}

// renewal is what came of a renewal of verdicts.
type renewal struct {
	record    gate.Record   // as it stands now
	tags      []gate.TagKey // that were known to name the digest
	at, until time.Time     // the verdicts hold from the one to just before the other
	revisions []string      // of the policies that answered
	wrote     bool          // something was written of them
}

// by reports whether all verdicts are by one revision of the policies.
func (r *renewal) by(revision string) bool {
	return !slices.ContainsFunc(r.revisions, func(s string) bool { return s != revision })
}

// note adds a verdict.
func (r *renewal) note(d gate.Verdict, tags []string) {
	if len(r.revisions) == 0 || d.Until.Before(r.until) {
		r.until = d.Until
	}
	if len(r.revisions) == 0 || d.EvaluatedAt.After(r.at) {
		r.at = d.EvaluatedAt
	}
	r.revisions = append(r.revisions, d.PolicyRevision)
	for _, t := range tags {
		r.tags = append(r.tags, gate.TagKey{Location: d.Location, Tag: t})
	}
}
