package standing

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/digestgate/digestgate/gate"
)

// What a sweep leaves alone without reading its record: see [Sweeper.unread].

// marked is by what a sweep knows again that nothing of what the verdicts of a digest
// follow from is different, without reading its record. It is made from a record that was
// read after its mark: where something was written in between, the mark is already another.
type marked struct {
	mark    gate.Mark // of all that is stored of the record; 0: it is read
	around  uint64    // of what stands beside it, see around
	of      origin
	release unique.Handle[release]
	// analyzed is when the inventory was made, in Unix nanoseconds, 0 where that is not
	// known: see audits.
	analyzed int64
}

// release is what policies may look up in the table of ends of life; known is false when
// the record does not say.
type release struct {
	family, name string
	known        bool
}

// origin is what findings were made from.
type origin struct {
	findings            findingsKey // of their id, zero for none
	own                 bool        // they are of the record's inventory
	generation          int64
	advisories, matcher unique.Handle[string]
}

func originOf(rec *gate.Record) origin {
	key, ok := findingsKeyOf(rec.FindingsID)
	return origin{
		findings: key, own: ok && rec.InventoryID != "" && rec.FindingsOf == rec.InventoryID, generation: rec.Generation,
		advisories: unique.Make(string(rec.Advisories)), matcher: unique.Make(rec.Matcher),
	}
}

// short is the beginning of the hash as [FindingsHash] has it.
func (k findingsKey) short() uint64 { return bits.ReverseBytes64(k.high) }

// stands reports whether findings that are of the record's inventory need not be computed
// again: what outdated says of a whole record, the other way round.
func (s *Standing) stands(o *origin, g gate.Generation, loaded bool, matcher unique.Handle[string]) bool {
	switch {
	case !o.own:
		return false
	case !loaded || o.generation > g.Number:
		return true
	case o.matcher != matcher:
		return false
	case o.generation == g.Number:
		return o.advisories.Value() == string(g.Content)
	}
	return s.Lifts.holds(o.findings, g, o.matcher.Value())
}

// surroundings are what verdicts follow from that is not in a record, at a time, in one
// goroutine.
type surroundings struct {
	*Standing
	seed  maphash.Seed
	now   time.Time
	world uint64
	ends  map[unique.Handle[release]]uint64
}

func (s *Standing) surroundings(seed maphash.Seed, w world, now time.Time) *surroundings {
	h := newSummed(seed)
	h.world(w)
	h.text(w.registries)
	return &surroundings{s, seed, now, h.Sum64(), map[unique.Handle[release]]uint64{}}
}

// mark is by what a record is known again.
func (s *surroundings) mark(rec *gate.Record, mark gate.Mark, tags []gate.TagKey) marked {
	i := &rec.Summary.Inventory
	m := marked{mark: mark, of: originOf(rec), release: unique.Make(release{i.Family, i.Release, rec.InventorySummarized()})}
	if !rec.AnalyzedAt.IsZero() {
		m.analyzed = rec.AnalyzedAt.UnixNano()
	}
	m.around = s.around(m.release, tags)
	return m
}

// around is a hash of them. The order of the tags does not matter.
func (s *surroundings) around(r unique.Handle[release], tags []gate.TagKey) uint64 {
	sum, known := s.ends[r]
	if !known {
		h := newSummed(s.seed)
		h.number(int64(s.world))
		if e, ok := s.Evaluator.(ending); ok {
			of := r.Value()
			h.text(e.Ends(of.family, of.name, of.known, s.now))
		}
		sum = h.Sum64()
		s.ends[r] = sum
	}
	for _, t := range tags {
		h := newSummed(s.seed)
		h.text(t.Registry, t.Repository, t.Tag)
		sum += h.Sum64()
	}
	return sum
}

// summed hashes numbers and texts, each text with its length.
type summed struct{ maphash.Hash }

func newSummed(seed maphash.Seed) *summed {
	h := new(summed)
	h.SetSeed(seed)
	return h
}

func (h *summed) number(n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (h *summed) text(list ...string) {
	for _, t := range list {
		h.number(int64(len(t)))
		h.WriteString(t)
	}
}

func (h *summed) world(w world) {
	h.text(w.revision, w.sees, string(w.generation.Content), w.matcher)
	h.number(w.generation.Number)
	h.number(w.generation.UpdatedAt.UnixNano())
}

// hosts says which registry has which host: policies see the host.
func (s *Standing) hosts() string {
	var b strings.Builder
	for _, r := range s.Registries.All() {
		b.WriteString(strconv.Quote(r.Name) + strconv.Quote(r.Host))
	}
	return b.String()
}

// unread leaves out the digests of a page whose record need not be read: its mark is that
// of the record from which their verdicts were made, and nothing is different that is
// beside it. It returns the others, with the marks of all as they were before any of them
// is read.
func (s *Sweeper) unread(ctx context.Context, digests []gate.Digest, audits *audits, swept *Swept) (rest []gate.Digest, marks map[gate.Digest]gate.Mark, err error) {
	if s.o.Marks == nil {
		return digests, nil, nil
	}
	if marks, err = s.o.Marks(ctx, digests); err != nil {
		return nil, nil, err
	}
	p := s.standing
	now := p.Now()
	here := p.surroundings(s.kept.seed, p.world(), now)
	g, loaded := p.Matcher.Generation()
	matcher := unique.Make(p.Matcher.Version())
	held := s.kept.look(digests)
	for d, h := range held {
		if m := &h.marked; m.mark == 0 || m.mark != marks[d] || !h.holds(now) || !p.stands(&m.of, g, loaded, matcher) {
			delete(held, d)
		}
	}
	tags, err := s.tagsOf(ctx, held)
	if err != nil {
		return nil, nil, err
	}
	var settled []audited
	for d, h := range held {
		if here.around(h.marked.release, tags[d]) != h.marked.around {
			delete(held, d)
			continue
		}
		a := audited{digest: d}
		if h.marked.analyzed != 0 {
			a.at = time.Unix(0, h.marked.analyzed).UTC()
		}
		settled = append(settled, a)
	}
	audits.page(ctx, settled, swept)
	swept.Seen, swept.Skipped = swept.Seen+len(settled), swept.Skipped+len(settled)
	rest = slices.DeleteFunc(slices.Clone(digests), func(d gate.Digest) bool { _, settled := held[d]; return settled })
	return rest, marks, nil
}

// tagsOf lists the tags that are known to name digests.
func (s *Sweeper) tagsOf(ctx context.Context, digests map[gate.Digest]holding) (map[gate.Digest][]gate.TagKey, error) {
	if len(digests) == 0 || s.o.Tags == nil {
		return nil, nil
	}
	list := make([]gate.Digest, 0, len(digests))
	for d := range digests {
		list = append(list, d)
	}
	return s.o.Tags(ctx, list)
}
