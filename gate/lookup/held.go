package lookup

import "github.com/digestgate/digestgate/gate"

// heldKey is what Decide was called for.
type heldKey struct {
	ref       gate.Reference
	container string
}

// hold keeps an answer for the next round, holding gives it back.
func (r *Rounds) hold(k heldKey, a gate.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = map[heldKey]gate.Answer{}
	}
	r.held[k] = a
}

func (r *Rounds) holding(k heldKey) (a gate.Answer, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok = r.held[k]
	return a, ok
}
