package standing

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync/atomic"

	"github.com/digestgate/digestgate/gate"
)

// Lifts know which stored findings are also those of the generation in force, because
// nothing on which they depend is different in it: such images are neither read nor
// matched. What a lift names is findings, by their id, and not images: findings that
// come later, or that were put back, are not in it and are matched
// (docs/adr/0032-matched-by-difference.md). The zero value knows none. Safe for
// concurrent use.
type Lifts struct {
	// held are the last statements, the newest first: that of a generation is made before
	// it is used here, and until then the one before decides.
	held atomic.Pointer[[]*lift]
	same same
}

// liftsHeld is how many are held.
const liftsHeld = 2

// lift is one statement, loaded.
type lift struct {
	liftHeader
	findings findingsSet // that stand
	touched  findingsSet // that stood in the base and are to be matched again
}

// of is the statement about a generation, nil when there is none.
func (l *Lifts) of(g gate.Generation, matcher string) *lift {
	if l == nil {
		return nil
	}
	held := l.held.Load()
	if held == nil {
		return nil
	}
	for _, one := range *held {
		if one.Now.Number == g.Number && one.Now.Content == g.Content && one.Matcher == matcher {
			return one
		}
	}
	return nil
}

// add holds a statement in place of the oldest.
func (l *Lifts) add(one *lift) {
	for {
		old := l.held.Load()
		held := []*lift{one}
		if old != nil {
			for _, o := range *old {
				if len(held) < liftsHeld && (o.Now != one.Now || o.Matcher != one.Matcher) {
					held = append(held, o)
				}
			}
		}
		if l.held.CompareAndSwap(old, &held) {
			return
		}
	}
}

// liftGeneration is a generation as a lift names it.
type liftGeneration struct {
	Number  int64       `json:"number"`
	Content gate.Digest `json:"content"`
}

func liftedTo(g gate.Generation) liftGeneration { return liftGeneration{g.Number, g.Content} }

// Hold reports whether findings with this id, which a record names as those of its
// inventory, are also what a match with generation g by this matcher gives.
func (l *Lifts) Hold(findingsID string, g gate.Generation, matcher string) bool {
	key, ok := findingsKeyOf(findingsID)
	return ok && l.holds(key, g, matcher)
}

func (l *Lifts) holds(key findingsKey, g gate.Generation, matcher string) bool {
	if l == nil {
		return false
	}
	if l.same.has(key, g, matcher) {
		return true
	}
	one := l.of(g, matcher)
	return one != nil && one.findings.has(key)
}

// Replaced reports whether the findings that a record names were those of its image in
// the generation directly before g when g came into force, and are touched by what is
// different, and the content of that generation. Findings of any other state of the
// image, and findings that came since, were not. It is false while the difference is not
// known.
func (l *Lifts) Replaced(rec *gate.Record, g gate.Generation) (base gate.Digest, ok bool) {
	one := l.of(g, rec.Matcher)
	if one == nil {
		return "", false
	}
	key, ok := findingsKeyOf(rec.FindingsID)
	return one.Base.Content, ok && one.touched.has(key) && !l.same.has(key, g, rec.Matcher)
}

// Difference says from which generation the difference to g is known, by which images
// that have findings of that generation are either lifted or matched again; ok is false
// while it is not known.
func (l *Lifts) Difference(g gate.Generation, matcher string) (number int64, content gate.Digest, ok bool) {
	if one := l.of(g, matcher); one != nil {
		return one.Base.Number, one.Base.Content, true
	}
	return 0, "", false
}

// Stands is the generation in use here if the findings of a record stand in it although
// they were matched with another: then it is the image's.
func (s *Standing) Stands(rec *gate.Record) (g gate.Generation, ok bool) {
	g, loaded := s.Matcher.Generation()
	if !loaded || rec.FindingsID == "" || !s.lifted(rec, g) {
		return gate.Generation{}, false
	}
	return g, true
}

// lifted reports whether the findings of a record stand in g although they were matched
// with another generation.
func (s *Standing) lifted(rec *gate.Record, g gate.Generation) bool {
	return s.Lifts != nil && rec.FindingsOf == rec.InventoryID && rec.Generation < g.Number &&
		rec.Matcher == s.Matcher.Version() && s.Lifts.Hold(rec.FindingsID, g, rec.Matcher)
}

// findingsKey is half of the hash in an id of findings: nobody finds other findings
// with the same half, and an accident among all that there are is as likely as with any
// hash of 128 bits.
type findingsKey struct{ high, low uint64 }

const findingsKeyBytes = 16

func findingsKeyOf(id string) (key findingsKey, ok bool) {
	hash, ok := gate.Digest(id).Hash()
	if !ok {
		return key, false
	}
	return keyFrom(hash[:findingsKeyBytes]), true
}

func keyFrom(raw []byte) findingsKey {
	return findingsKey{binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])}
}

func (k findingsKey) append(to []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(to, k.high), k.low)
}

func (k findingsKey) compare(o findingsKey) int {
	return cmp.Or(cmp.Compare(k.high, o.high), cmp.Compare(k.low, o.low))
}

func (k findingsKey) String() string { return hex.EncodeToString(k.append(nil)) }

// findingsSet is a sorted set.
type findingsSet []findingsKey

func (s findingsSet) has(key findingsKey) bool {
	_, found := slices.BinarySearchFunc(s, key, findingsKey.compare)
	return found
}

// sortFindings makes a set of a list.
func sortFindings(list []findingsKey) findingsSet {
	slices.SortFunc(list, findingsKey.compare)
	return slices.Compact(list)
}
