package standing

import (
	"context"
	"encoding/binary"
	"time"
)

// Joined are the tables that are joined to findings when policies are evaluated: EPSS,
// CISA's list, ends of life, VEX. The program implements it with scanner/joined and the
// index of what images hold.
type Joined interface {
	// Revision names the tables in use.
	Revision() string
	// Untouched says which verdicts stand although the tables are not those of the call
	// before: those of a digest with findings, by their hashes, of which nothing differs that
	// the policies see. nil is all. After an error every verdict is evaluated again, and the next call is
	// about the same change.
	Untouched(ctx context.Context) (stands func(digest [32]byte, findings uint64) bool, err error)
}

// ending is an Evaluator whose policies may look at the end of life of the release of an
// image, or at the tables themselves.
type ending interface {
	// Ends names what the policies see of both at a time; known is false when the record
	// does not say which release it is.
	Ends(family, release string, known bool, now time.Time) string
}

// FindingsHash is how [Joined] names findings whose id has a hash.
func FindingsHash(hash [32]byte) uint64 { return binary.LittleEndian.Uint64(hash[:]) }

// joined forgets the verdicts that a change of the tables touches.
func (s *Sweeper) joined(ctx context.Context) {
	if s.standing.Joined == nil {
		return
	}
	stands, err := s.standing.Joined.Untouched(ctx)
	switch {
	case err != nil:
		s.standing.Log.Warn("every standing verdict is evaluated again, finding out what a change of joined tables touches failed", "error", err)
		s.kept.forget()
	case stands != nil:
		s.kept.retain(stands)
	}
}

// retain forgets what does not stand.
func (k *kept) retain(stands func(digest [32]byte, findings uint64) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, h := range k.held {
		if !stands(key, h.marked.of.findings.short()) {
			delete(k.held, key)
		}
	}
}
