package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// maxWeight is where weighing stops.
const maxWeight = 1 << 26

// weight counts the parts of a value; 64 bytes of a text count as one. A value
// that holds another twice weighs it twice, as everything that walks through it
// does.
func weight(t *ast.Term) int64 {
	s := scale{known: map[any]int64{}}
	return s.weigh(t)
}

// scale remembers the weight of what it has weighed, so that a value that holds
// another many times is weighed quickly.
type scale struct{ known map[any]int64 }

func (s *scale) weigh(t *ast.Term) int64 {
	switch v := t.Value.(type) {
	case ast.String:
		return 1 + int64(len(v))/64
	case *ast.Array:
		return s.composite(v, func(each func(*ast.Term)) { v.Foreach(each) })
	case ast.Set:
		return s.composite(v, func(each func(*ast.Term)) { v.Foreach(each) })
	case ast.Object:
		return s.composite(v, func(each func(*ast.Term)) { v.Foreach(func(k, v *ast.Term) { each(k); each(v) }) })
	}
	return 1
}

func (s *scale) composite(v any, foreach func(func(*ast.Term))) int64 {
	if n, ok := s.known[v]; ok {
		return n
	}
	n := int64(1)
	foreach(func(t *ast.Term) {
		if n < maxWeight {
			n += s.weigh(t)
		}
	})
	n = min(n, maxWeight)
	s.known[v] = n
	return n
}
