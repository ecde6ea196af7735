package policy

import (
	"crypto/sha256"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// sharing keeps one copy of each reason that decisions have in common: images of one
// base have the same packages to upgrade. It is safe for concurrent use.
type sharing struct{ known *lru[memoKey, gate.Reason] }

func newSharing() sharing { return sharing{newLRU[memoKey, gate.Reason](sharedCacheBytes)} }

// slotBytes is what a list takes for each reason.
const slotBytes = 120

// share gives the reasons with what is known of them, and what they take besides.
func (s sharing) share(list []gate.Reason) (shared []gate.Reason, bytes int64) {
	shared = make([]gate.Reason, len(list))
	for i := range list {
		r := &list[i]
		bytes += slotBytes
		key := reasonKey(r)
		if old, ok := s.known.get(key); ok {
			shared[i] = old
			continue
		}
		r.Findings = slices.Clip(slices.Clone(r.Findings))
		if r.Findings == nil {
			r.Findings = []string{}
		}
		shared[i] = *r
		n := reasonBytes(r)
		bytes += n
		s.known.put(key, *r, n+200)
	}
	return shared, bytes
}

// reasonKey tells all that a rule may say. Texts are made by conditions, not by rules.
func reasonKey(r *gate.Reason) memoKey {
	w := rooms.Get().(*written)
	*w = (*w)[:0]
	w.text(string(r.Action))
	w.text(string(r.Code))
	w.text(r.Rule)
	w.text(r.Msg)
	for _, f := range r.Findings {
		w.text(f)
	}
	key := memoKey(sha256.Sum256(*w))
	rooms.Put(w)
	return key
}
