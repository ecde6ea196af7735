package policy

import "github.com/digestgate/digestgate/gate"

// both are the reasons of rules and those of conditions. The former are shared and not
// changed.
func both(rules, found []gate.Reason) []gate.Reason {
	return append(rules[:len(rules):len(rules)], found...)
}

// joined are the reasons of both, which most decisions of an hour have in common while
// the advisory data is old. It holds for exactly the two lists that it was made of.
type joined struct{ rules, found, all []gate.Reason }

func (j joined) of(rules, found []gate.Reason) bool {
	return sameList(j.rules, rules) && sameList(j.found, found)
}

// sameList reports whether two lists are one.
func sameList(a, b []gate.Reason) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// join is both for a decision that is remembered under a key. What it returns is shared
// and not modified.
func (e *Engine) join(key memoKey, rules, found []gate.Reason) []gate.Reason {
	switch {
	case len(found) == 0:
		return rules[:len(rules):len(rules)]
	case len(rules) == 0:
		return found[:len(found):len(found)]
	}
	j, ok := e.joined.get(key)
	if !ok || !j.of(rules, found) {
		j = joined{rules, found, both(rules, found)}
		e.joined.put(key, j, memoBytes+slotBytes*int64(len(j.all)))
	}
	return j.all[:len(j.all):len(j.all)]
}
