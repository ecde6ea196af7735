package registry

import (
	"fmt"
	"slices"
	"strings"
)

// names collects the names of a list.
type names struct {
	limit       int
	take, valid func(string) bool
	seen        map[string]bool
	taken       []string
	full        bool   // the list continues, and is not read further
	why         string // it is not, unless the limit is reached
	wrong       int    // not names at all, never put into an address
}

func newNames(limit int, take, valid func(string) bool) *names {
	return &names{limit: limit, take: take, valid: valid, seen: map[string]bool{}}
}

// add reports whether the name was new.
func (n *names) add(name string) bool {
	if !n.valid(name) {
		n.wrong++
		return false
	}
	if n.seen[name] {
		return false
	}
	if len(n.seen) >= n.limit {
		n.full = true
		return false
	}
	n.seen[name] = true
	if n.take(name) {
		n.taken = append(n.taken, name)
	}
	return true
}

func (n *names) sorted() []string {
	slices.Sort(n.taken)
	return n.taken
}

// stop says that the list continues and why it is not read further.
func (n *names) stop(format string, args ...any) {
	n.full, n.why = true, fmt.Sprintf(format, args...)
}

func (n *names) note(what string) string {
	note := ""
	switch {
	case n.why != "":
		note = fmt.Sprintf("only %d %s are looked at, there may be more: %s", len(n.seen), what, n.why)
	case n.full:
		note = fmt.Sprintf("only the first %d %s are looked at", n.limit, what)
	}
	if n.wrong > 0 {
		note = joinNotes(note, fmt.Sprintf("%d names that are not valid are left out", n.wrong))
	}
	return note
}

func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(s string) bool { return s == "" }), "; ")
}
