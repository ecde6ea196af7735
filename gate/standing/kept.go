package standing

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// kept remembers of each digest from what its standing verdicts follow, and until when
// they do: a sweep then reads the record and evaluates nothing. It is in memory, about
// 100 bytes for a digest, and is built again by the first sweep after a start. It is safe
// for concurrent use.
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
	findings  uint64 // the beginning of the hash of the findings; see shortHash
	round     uint32 // that has seen it last
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
	w := world{revision: s.Evaluator.Revision(), matcher: s.Matcher.Version()}
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

// may reports whether a digest may hold at now, which its sum then says.
func (k *kept) may(d gate.Digest, now time.Time) bool {
	key, ok := d.Hash()
	if !ok {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h, there := k.held[key]
	if !there {
		return false
	}
	h.round = k.round
	k.held[key] = h
	return now.UnixNano() >= h.at && now.UnixNano() < h.until
}

// holds reports whether the sum is the one that the verdicts of a digest follow from.
func (k *kept) holds(d gate.Digest, sum uint64) bool {
	key, _ := d.Hash()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[key].sum == sum
}

// put keeps the verdicts of a digest, which were evaluated at a time. A zero until
// keeps nothing: the evaluator does not know how long they hold.
func (k *kept) put(d gate.Digest, sum uint64, at, until time.Time, findings string) {
	key, ok := d.Hash()
	if most := at.Add(keptMost); until.After(most) {
		until = most
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !ok || k.held == nil:
	case !until.After(at):
		delete(k.held, key)
	default:
		k.held[key] = holding{sum: sum, at: at.UnixNano(), until: until.UnixNano(), findings: shortHash(findings), round: k.round}
	}
}

// sum is a hash of everything that the standing verdicts of a record follow from but
// the time, and of the verdicts that stand: a verdict that another process or an
// attacker has put there since is evaluated again. tags are those that name the digest.
func (s *Standing) sum(seed maphash.Seed, w world, rec *gate.Record, tags []gate.TagKey) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	number := func(n int64) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	text := func(list ...string) {
		for _, t := range list {
			number(int64(len(t)))
			h.WriteString(t)
		}
	}
	text(w.revision, w.sees, string(w.generation.Content), w.matcher)
	number(w.generation.Number)
	number(w.generation.UpdatedAt.UnixNano())
	text(string(rec.Manifest.Kind), rec.Manifest.Unassessable, rec.InventoryID, rec.FindingsID, rec.FindingsOf, string(rec.Advisories), rec.Matcher)
	number(rec.Generation)
	if e, ok := s.Evaluator.(ending); ok {
		text(e.Ends(rec, s.Now()))
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
