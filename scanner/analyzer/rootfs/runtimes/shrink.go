package runtimes

import "slices"

// Shrink makes a stack smaller as long as fails says that it still fails: it
// leaves out layers, then entries, joins layers, and makes names plain.
func Shrink(s Stack, fails func(Stack) bool) Stack {
	for again := true; again; {
		again = false
		for _, smaller := range candidates(s) {
			if fails(smaller) {
				s, again = smaller, true
				break
			}
		}
	}
	return s
}

// candidates are the stacks that are one step smaller.
func candidates(s Stack) []Stack {
	var out []Stack
	for i := range s {
		if len(s) > 1 {
			out = append(out, slices.Delete(s.Clone(), i, i+1))
		}
	}
	for i := range s {
		for j := range s[i] {
			c := s.Clone()
			c[i] = slices.Delete(c[i], j, j+1)
			out = append(out, c)
		}
	}
	for i := 1; i < len(s); i++ {
		c := s.Clone()
		c[i-1] = append(slices.Clone(c[i-1]), c[i]...)
		out = append(out, slices.Delete(c, i, i+1))
	}
	for i := range s {
		for j, e := range s[i] {
			for _, simpler := range simplify(e) {
				c := s.Clone()
				c[i][j] = simpler
				out = append(out, c)
			}
		}
	}
	return out
}

func simplify(e Entry) []Entry {
	var out []Entry
	if e.Xattrs != nil {
		plain := e
		plain.Xattrs = nil
		out = append(out, plain)
	}
	if name := clean(e.Name); name != e.Name && name != "" {
		plain := e
		plain.Name = name
		out = append(out, plain)
	}
	return out
}
