package admission

import (
	"bytes"
	"strconv"
	"strings"
)

// imageInside searches the value of an unknown member for a name that ends
// like one that holds an image, and says where it is. It reads the value once,
// whatever it holds: what is unknown has no shape that bounds it.
func imageInside(name string, raw []byte) (path string, found bool) {
	s := imageSearch{raw: bytes.TrimLeft(raw, spaces), looks: looksLikeImage(name)}
	if !s.run() {
		return "", false
	}
	return s.path(), true
}

// imageSearch is one pass over a value.
type imageSearch struct {
	raw   []byte
	at    int
	looks bool // the name that the next value has, or its array, is an image's
	stack []nesting
}

// nesting is an object or an array that has begun and not ended.
type nesting struct {
	object bool
	looks  bool   // of an array: that of its name
	member []byte // of an object: the present one
	index  int    // of an array: the present one
	seen   seenNames
}

// run reports whether an image may be inside; the stack then leads to it. A
// name that occurs twice in an object could hide one, and counts.
func (s *imageSearch) run() bool {
	for s.at < len(s.raw) {
		switch c := s.raw[s.at]; c {
		case '"':
			if s.looks {
				return true
			}
			s.at = stringEnd(s.raw, s.at)
		case '{', '[':
			s.stack = append(s.stack, nesting{object: c == '{', looks: s.looks && c == '[', index: -1})
			s.at++
		default:
			s.at = valueEnd(s.raw, s.at)
		}
		more, hidden := s.next()
		if hidden || !more {
			return hidden
		}
	}
	return false
}

// next goes to the next value, out of what has ended; more is false at the end.
func (s *imageSearch) next() (more, hidden bool) {
	for len(s.stack) > 0 {
		top := &s.stack[len(s.stack)-1]
		s.at = skip(s.raw, s.at, ",")
		if s.at >= len(s.raw) {
			return false, true // cut off: anything might follow
		}
		if c := s.raw[s.at]; c == '}' || c == ']' {
			s.at++
			s.stack = s.stack[:len(s.stack)-1]
			continue
		}
		if !top.object {
			top.index++
			s.looks = top.looks
			return true, false
		}
		end := valueEnd(s.raw, s.at)
		name, err := unquoted(s.raw[s.at:end])
		if err != nil {
			return false, true
		}
		top.member = nil
		if top.seen.add(name) != nil {
			return false, true
		}
		top.member, s.looks = name, looksLikeImage(string(name))
		s.at = skip(s.raw, end, ":")
		return true, false
	}
	return false, false
}

// path is where the search has ended, below the value: .members[3].image.
func (s *imageSearch) path() string {
	var b strings.Builder
	for _, n := range s.stack {
		switch {
		case !n.object:
			b.WriteString("[" + strconv.Itoa(n.index) + "]")
		case n.member != nil:
			b.WriteString("." + string(n.member[:min(len(n.member), 80)]))
		}
	}
	return b.String()
}

func looksLikeImage(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{"image", "images", "imageref", "reference", "references", "artifact"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
