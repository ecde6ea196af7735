package policy

// sight is what rules can see at a place of the input: all of it, or some of what is
// below. A nil sight is a place that they cannot see.
type sight struct {
	all   bool
	below map[string]*sight // by name; element for those of an array
}

// element is the name of each element of an array in a path.
const element = "*"

// everything sees all of a place.
func everything() *sight { return &sight{all: true} }

// at is what can be seen of what is below.
func (s *sight) at(name string) *sight {
	if s == nil || s.all {
		return s
	}
	return s.below[name]
}

// along is at for each name of a path.
func (s *sight) along(path ...string) *sight {
	for _, name := range path {
		s = s.at(name)
	}
	return s
}

// reach makes the place of a path seen, with all that is below it or without.
func (s *sight) reach(path []string, all bool) {
	for _, name := range path {
		if s.all {
			return
		}
		next := s.below[name]
		if next == nil {
			if s.below == nil {
				s.below = map[string]*sight{}
			}
			next = &sight{}
			s.below[name] = next
		}
		s = next
	}
	if all {
		s.all, s.below = true, nil
	}
}

// only reports whether nothing is seen below but these.
func (s *sight) only(names ...string) bool {
	if s == nil {
		return true
	}
	n := 0
	for _, name := range names {
		if s.below[name] != nil {
			n++
		}
	}
	return !s.all && n == len(s.below)
}

// any reports whether rules can see the value at path: they mention it, something
// below it or something that contains it.
func (s *sight) any(path ...string) bool { return s.along(path...) != nil }
