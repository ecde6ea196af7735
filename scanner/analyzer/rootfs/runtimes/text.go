package runtimes

import (
	"archive/tar"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The text of a stack: a line "layer" before each layer, a line for each entry,
// "#" before a comment. Names are quoted as in Go where they are empty or hold
// something else than plain characters.
//
//	layer
//	  file etc/os-release
//	  symlink etc/x -> ../opt
//	layer
//	  link b -> a
//	  char c 0 0
//	  dir d/ trusted.overlay.opaque=y

var typeNames = map[byte]string{
	tar.TypeReg: "file", tar.TypeDir: "dir", tar.TypeSymlink: "symlink", tar.TypeLink: "link", tar.TypeChar: "char",
	tar.TypeBlock: "block", tar.TypeFifo: "fifo", tar.TypeXGlobalHeader: "global", tar.TypeCont: "cont",
}

func (s Stack) String() string {
	var b strings.Builder
	for _, l := range s {
		b.WriteString("layer\n")
		for _, e := range l {
			fmt.Fprintf(&b, "  %s\n", e)
		}
	}
	return b.String()
}

func (e Entry) String() string {
	words := []string{typeNames[e.Type], word(e.Name)}
	switch e.Type {
	case tar.TypeSymlink, tar.TypeLink:
		words = append(words, "->", word(e.Link))
	case tar.TypeChar, tar.TypeBlock:
		words = append(words, strconv.FormatInt(e.Major, 10), strconv.FormatInt(e.Minor, 10))
	}
	for _, k := range slices.Sorted(maps.Keys(e.Xattrs)) {
		words = append(words, word(k)+"="+word(e.Xattrs[k]))
	}
	return strings.Join(words, " ")
}

func word(s string) string {
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"#=\`, r) {
			return strconv.Quote(s)
		}
	}
	if s == "" || len(s) > 200 {
		return strconv.Quote(s)
	}
	return s
}

// Parse reads the text of a stack.
func Parse(text string) (Stack, error) {
	var s Stack
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line == "layer":
			s = append(s, Layer{})
		case len(s) == 0:
			return nil, fmt.Errorf("line %d: got %q before the first layer", n+1, line)
		default:
			e, err := parseEntry(line)
			if err != nil {
				return nil, fmt.Errorf("line %d, %q: %w", n+1, line, err)
			}
			s[len(s)-1] = append(s[len(s)-1], e)
		}
	}
	return s, nil
}

func parseEntry(line string) (Entry, error) {
	words, err := split(line)
	if err != nil {
		return Entry{}, err
	}
	var e Entry
	for t, name := range typeNames {
		if name == words[0] {
			e.Type = t
		}
	}
	if e.Type == 0 || len(words) < 2 {
		return Entry{}, fmt.Errorf("want a type and a name")
	}
	e.Name = words[1]
	rest := words[2:]
	switch {
	case (e.Type == tar.TypeSymlink || e.Type == tar.TypeLink) && len(rest) >= 2 && rest[0] == "->":
		e.Link, rest = rest[1], rest[2:]
	case (e.Type == tar.TypeChar || e.Type == tar.TypeBlock) && len(rest) >= 2:
		if e.Major, err = strconv.ParseInt(rest[0], 10, 64); err != nil {
			return Entry{}, err
		}
		if e.Minor, err = strconv.ParseInt(rest[1], 10, 64); err != nil {
			return Entry{}, err
		}
		rest = rest[2:]
	}
	for ; len(rest) >= 3 && rest[1] == "="; rest = rest[3:] {
		if e.Xattrs == nil {
			e.Xattrs = map[string]string{}
		}
		e.Xattrs[rest[0]] = rest[2]
	}
	if len(rest) > 0 {
		return Entry{}, fmt.Errorf("do not understand %q", rest)
	}
	return e, nil
}

// split cuts a line into words; a "=" between two words is a word of its own.
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("bad quotation: %w", err)
			}
			w, err := strconv.Unquote(q)
			if err != nil {
				return nil, fmt.Errorf("bad quotation: %w", err)
			}
			words, line = append(words, w), line[len(q):]
			continue
		}
		if line[0] == '=' {
			words, line = append(words, "="), line[1:]
			continue
		}
		n := strings.IndexAny(line, " =")
		if n < 0 {
			n = len(line)
		}
		words, line = append(words, line[:n]), line[n:]
	}
	return words, nil
}
