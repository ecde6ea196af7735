package runtimes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Case is a stack with what its containers see, written down:
//
//	# Why it is here.
//	layer
//	  file d/x
//	shown
//	  d/x 0.0
//	opened
//	  link/x 0.0
//
// Under "shown" are the regular files that any rig shows, under "opened" those
// that are opened through links, each with its content: the layer and the entry
// that it came from, counted from 0.
type Case struct {
	Comment       string
	Stack         Stack
	Shown, Opened map[string][]string
}

// ParseCase reads the text of a case.
func ParseCase(text string) (Case, error) {
	c := Case{Shown: map[string][]string{}, Opened: map[string][]string{}}
	var layers []string
	var into map[string][]string
	for n, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "#"):
			c.Comment += trimmed + "\n"
		case trimmed == "shown":
			into = c.Shown
		case trimmed == "opened":
			into = c.Opened
		case into == nil || trimmed == "":
			layers = append(layers, line)
		default:
			words, err := split(trimmed)
			if err != nil || len(words) != 2 {
				return c, fmt.Errorf("line %d: got %q, want a path and a content", n+1, line)
			}
			into[words[0]] = append(into[words[0]], words[1])
		}
	}
	var err error
	c.Stack, err = Parse(strings.Join(layers, "\n"))
	return c, err
}

func (c Case) String() string {
	var b strings.Builder
	b.WriteString(c.Comment)
	b.WriteString(c.Stack.String())
	write := func(title string, contents map[string][]string) {
		if title != "shown" && len(contents) == 0 {
			return
		}
		b.WriteString(title + "\n")
		for _, p := range slices.Sorted(maps.Keys(contents)) {
			for _, content := range slices.Sorted(slices.Values(contents[p])) {
				fmt.Fprintf(&b, "  %s %s\n", word(p), content)
			}
		}
	}
	write("shown", c.Shown)
	write("opened", c.Opened)
	return b.String()
}

// record puts what rigs show into the case.
func (c Case) record(shown map[string]Shown) Case {
	c.Shown, c.Opened = map[string][]string{}, map[string][]string{}
	for _, s := range shown {
		files := s.Files()
		for p, content := range files {
			c.Shown[p] = join(c.Shown[p], content)
		}
		for p, content := range s.Reached {
			if _, direct := files[p]; !direct {
				c.Opened[p] = join(c.Opened[p], content)
			}
		}
	}
	return c
}
