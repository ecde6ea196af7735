package admission

import (
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// What a review may hold, in bytes. All of it ends up in keys of caches, in
// budgets, jobs, logs and policies, and no API server sends more: these are the
// limits of Kubernetes for its own names
// (kubernetes.io/docs/concepts/overview/working-with-objects/names).
const (
	// maxName is for names, prefixes of names, kinds, groups and versions: DNS
	// subdomains and shorter things.
	maxName = 253
	// maxLabel is for the names of containers and volumes, which are DNS labels.
	maxLabel = 63
	// maxUID is for the identity of a review, 36 in practice. One up to maxEcho
	// is refused in an answer, which has to repeat it, a longer one without.
	maxUID  = 128
	maxEcho = 1024
	// maxNesting is in levels. The deepest object of Kubernetes, with the field
	// sets of its managers, has about 25.
	maxNesting = 100
)

// short is the value of a JSON string of at most limit bytes; null is "".
func short(raw []byte, limit int) (string, error) {
	s, err := text(raw)
	if err == nil && len(s) > limit {
		return "", fmt.Errorf("%d bytes, more than %d: %w", len(s), limit, gate.ErrReviewInvalid)
	}
	return s, err
}

// word is short for the few words that nearly all reviews are made of, which need no
// memory of their own.
func word(raw []byte) (string, error) {
	for _, w := range [...]string{`"v1"`, `""`, `"Pod"`, `"CREATE"`, `"UPDATE"`, `"DELETE"`, `"apps"`, `"ReplicaSet"`, `"Deployment"`} {
		if string(raw) == w {
			return w[1 : len(w)-1], nil
		}
	}
	return short(raw, maxName)
}

// named is short for the names of containers and volumes.
func named(raw []byte) (string, error) {
	s, err := short(raw, maxLabel)
	if err != nil {
		return "", fmt.Errorf("name: %w", err)
	}
	return s, nil
}

// namespaceName is the name of a namespace, or "".
func namespaceName(raw []byte) (string, error) {
	s, err := text(raw)
	switch {
	case err != nil || s == "" || isLabel(s):
		return s, err
	case len(s) > maxLabel:
		return "", fmt.Errorf("%d bytes, more than the %d of a namespace's name: %w", len(s), maxLabel, gate.ErrReviewInvalid)
	}
	return "", fmt.Errorf("%s is not the name of a namespace (lower-case letters, digits and hyphens): %w", gate.Quoted(s, 80), gate.ErrReviewInvalid)
}

// isLabel reports whether a name is a DNS label, as Kubernetes names namespaces: [-a-z0-9],
// without a hyphen at either end. A regular expression took 1 µs of each review.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// uid is the JSON token of a string, "" for anything else or an empty one. The
// error means that it is too long even to be repeated in an answer.
func uid(raw []byte) (string, error) {
	switch {
	case len(raw) <= 2 || raw[0] != '"':
		return "", nil
	case len(raw) > maxEcho:
		return "", fmt.Errorf("uid has %d bytes, more than %d: %w", len(raw)-2, maxUID, gate.ErrReviewInvalid)
	}
	return string(raw), nil
}

// user is who made the request. A name over gate.MaxUser is not kept; who
// reads it must then refuse.
type user struct {
	name string
	long int // bytes of a name that is not kept
}

func username(raw []byte) (user, error) {
	if len(raw) > 6*gate.MaxUser+2 { // even if each byte is an escape
		_, err := unquotedHead(raw)
		return user{long: len(raw) - 2}, err
	}
	s, err := text(raw)
	if len(s) > gate.MaxUser {
		return user{long: len(s)}, err
	}
	return user{name: s}, err
}

// unquotedHead is an error unless raw is a string.
func unquotedHead(raw []byte) ([]byte, error) {
	if raw[0] != '"' {
		return unquoted(raw[:1])
	}
	return nil, nil
}

// depth is how deep JSON text nests, counted up to one more than limit.
func depth(raw []byte, limit int) int {
	deepest, now := 0, 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i) - 1
		case '{', '[':
			now++
			if deepest = max(deepest, now); deepest > limit {
				return deepest
			}
		case '}', ']':
			now--
		}
	}
	return deepest
}

// printable is the name for a log line.
func (u user) printable() string {
	if u.long > 0 {
		return fmt.Sprintf("(%d bytes)", u.long)
	}
	return gate.Printable(u.name, 100)
}
