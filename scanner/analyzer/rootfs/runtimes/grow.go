package runtimes

import (
	"archive/tar"
	"path"
	"strings"
)

// grows says whether following the links of a stack makes paths longer and
// longer, as "a -> a/b" does. containerd takes seconds to give these up, so that
// few of them are drawn.
func (s Stack) grows() bool {
	links := map[string][]string{}
	for _, l := range s {
		for _, e := range l {
			name := clean(e.Name)
			switch {
			case e.Type == tar.TypeLink:
				links[name] = append(links[name], links[clean(e.Link)]...)
			case e.Type == tar.TypeSymlink && path.IsAbs(e.Link):
				links[name] = append(links[name], clean(e.Link))
			case e.Type == tar.TypeSymlink:
				links[name] = append(links[name], clean(path.Join(path.Dir(name), e.Link)))
			}
		}
	}
	for at := range links {
		if growsFrom(links, at) {
			return true
		}
	}
	return false
}

const (
	growHops = 100 // more than drawn stacks have links
	growSize = 400 // bytes; more than drawn paths have
)

func growsFrom(links map[string][]string, at string) bool {
	for hop := range growHops {
		var next string
		for end := 0; end < len(at) && next == ""; {
			if n := strings.IndexByte(at[end+1:], '/'); n >= 0 {
				end += n + 1
			} else {
				end = len(at)
			}
			if to := links[at[:end]]; len(to) > 0 {
				next = path.Join(to[hop%len(to)], at[end:])
			}
		}
		if next == "" {
			return false
		}
		if at = next; len(at) > growSize {
			return true
		}
	}
	return false
}
