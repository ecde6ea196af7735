//go:build goexperiment.jsonv2

package child

import (
	"path"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// skipPath is one pattern of scan.secrets.skipPaths, made ready: each is tried
// on every file of a layer, and doublestar takes a microsecond.
type skipPath struct {
	pattern string // as configured
	match   func(name, base string) bool
}

// skipPaths makes patterns ready. They match as doublestar says, over paths
// without a leading slash.
func skipPaths(patterns []string) []skipPath {
	out := make([]skipPath, 0, len(patterns))
	for _, p := range patterns {
		out = append(out, skipPath{p, matcher(strings.TrimPrefix(p, "/"))})
	}
	return out
}

// firstMatch is the first pattern that matches the path, "" for none.
func firstMatch(patterns []skipPath, name string) string {
	base := path.Base(name)
	for i := range patterns {
		if patterns[i].match(name, base) {
			return patterns[i].pattern
		}
	}
	return ""
}

// matcher knows the usual shapes; everything else is doublestar's.
func matcher(p string) func(name, base string) bool {
	if inner, ok := strings.CutPrefix(p, "**/"); ok {
		if deep, ok := strings.CutSuffix(inner, "/**"); ok {
			// "a/**" matches "a", and "a*/**" matches "ab" but not "a": the
			// latter is left to doublestar.
			if m := elementMatcher(deep); m != nil && !strings.HasSuffix(deep, "*") {
				return func(name, _ string) bool { return anyElement(name, m) }
			}
		} else if m := elementMatcher(inner); m != nil {
			return func(_, base string) bool { return m(base) }
		}
	}
	if dir, ok := strings.CutSuffix(p, "/**"); ok && literal(dir) && dir != "" {
		return func(name, _ string) bool {
			return strings.HasPrefix(name, dir) && (len(name) == len(dir) || name[len(dir)] == '/')
		}
	}
	needed := neededText(p)
	return func(name, _ string) bool {
		if !containsFold(name, needed) {
			return false
		}
		ok, err := doublestar.Match(p, name)
		return err == nil && ok
	}
}

// neededText is the longest text without regard to case that is in every path
// which the pattern matches. "[tT]" stands for a letter, as people write it.
func neededText(p string) string {
	if strings.ContainsAny(p, `{}\`) {
		return ""
	}
	longest, run := "", ""
	for len(p) > 0 {
		c, size := p[0], 1
		switch {
		case c == '[':
			end := strings.IndexByte(p, ']')
			if end < 2 {
				return "" // "[]a]"
			}
			class := p[1:end]
			size = end + 1
			if len(class) == 2 && strings.EqualFold(class[:1], class[1:]) {
				c = class[0]
			} else {
				c = '*'
			}
		case c >= utf8.RuneSelf:
			c = '*' // letters that fold to others of another size
		}
		if p = p[size:]; c == '*' || c == '?' || c == '/' {
			run = ""
			continue
		}
		if run += string(rune(c)); len(run) > len(longest) {
			longest = run
		}
	}
	return strings.ToLower(longest)
}

// containsFold looks for lower-case ASCII text.
func containsFold(name, text string) bool {
	for i := 0; i+len(text) <= len(name); i++ {
		k := 0
		for k < len(text) {
			c := name[i+k]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			if c != text[k] {
				break
			}
			k++
		}
		if k == len(text) {
			return true
		}
	}
	return false
}

// elementMatcher matches one element of a path with "text", "*text" or
// "*text*"; nil for other patterns.
func elementMatcher(p string) func(element string) bool {
	text := strings.TrimPrefix(p, "*")
	text, contains := strings.CutSuffix(text, "*")
	switch {
	case text == "" || !literal(text) || strings.Contains(text, "/"):
		return nil
	case p == text:
		return func(e string) bool { return e == text }
	case p[0] == '*' && contains:
		return func(e string) bool { return strings.Contains(e, text) }
	case p[0] == '*':
		return func(e string) bool { return strings.HasSuffix(e, text) }
	}
	return func(e string) bool { return strings.HasPrefix(e, text) }
}

func anyElement(name string, match func(string) bool) bool {
	for {
		element, rest, more := strings.Cut(name, "/")
		if match(element) {
			return true
		}
		if !more {
			return false
		}
		name = rest
	}
}

// literal reports whether a pattern stands for itself.
func literal(p string) bool { return !strings.ContainsAny(p, `*?[]{}\`) }
