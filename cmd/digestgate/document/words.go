package document

import (
	"bytes"
	"errors"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// maxShown is how much of a value is quoted.
const maxShown = 80

func shorten(s string) string { return gate.Printable(s, maxShown) }

func quote(s string) string { return gate.Quoted(s, maxShown) }

// cause is an error of the file system without the path, which the problem
// names anyway.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?`)

func yamlCause(err error) string {
	text := err.Error()
	text = text[len(yamlLine.FindString(text)):]
	if plain, ok := plainly[text]; ok {
		return plain
	}
	return text
}

// syntax reports a text that is not YAML. The parser stops there, so that it is
// the only one of this kind.
func (d *Document) syntax(text []byte, err error) {
	d.unread = true
	message := err.Error()
	line := 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	lines := bytes.Split(text, []byte("\n"))
	// The parser names the line before the one that it cannot read where that
	// begins with the trouble.
	for _, l := range []int{line, line + 1} {
		if l < 1 || l > len(lines) {
			continue
		}
		indent := lines[l-1][:len(lines[l-1])-len(bytes.TrimLeft(lines[l-1], " \t"))]
		if bytes.ContainsRune(indent, '\t') {
			d.problem("", l, "the line is indented with a tab; YAML is indented with spaces")
			return
		}
	}
	if plain, ok := plainly[message]; ok {
		message = plain
	}
	d.problem("", line, "this is not YAML: %s; what follows was not read", message)
}

// plainly says what the parser means by its most frequent messages.
var plainly = map[string]string{
	"mapping values are not allowed in this context": "a colon and a space inside a value (put the value in quotes), or a key at the wrong indentation",
	"did not find expected key":                      "a key at the wrong indentation, or without a colon",
	"could not find expected ':'":                    "a key without a colon",
	"did not find expected node content":             "a bracket or a brace is not closed, or a comma is missing",
	"did not find expected ',' or ']'":               "a list in brackets is not closed, or a comma is missing",
	"did not find expected ',' or '}'":               "a brace is not closed, or a comma is missing",
	"found character that cannot start any token":    "a character with which no value can begin; put the value in quotes",
	"did not find expected '-' indicator":            "an element of a list at the wrong indentation",
}

// keysOf are the keys of a struct in words, not too many.
func keysOf(t reflect.Type) string {
	var names []string
	for name := range fieldsOf(t) {
		names = append(names, name)
	}
	if len(names) > 12 {
		names = append(names[:12], "…")
	}
	return strings.Join(names, ", ")
}

// suggest says what an unknown key may have been meant to be: one of those at
// its place that is spelt like it, or one with its name at another place.
func suggest(key, path, near string, names []string, root reflect.Type) string {
	if near != "" {
		return "; did you mean " + near + "?"
	}
	if dotted := Paths(root); path == "" && slices.Contains(dotted, key) {
		return "; nested keys are written below each other, as in " + nested(key)
	}
	var elsewhere []string
	for _, p := range everywhere(root) {
		if _, last, ok := cutLast(p, "."); (ok && last == key || p == key) && p != generic(below(path, key)) {
			elsewhere = append(elsewhere, p)
		}
	}
	switch {
	case len(elsewhere) > 0 && len(elsewhere) <= 3:
		return "; did you mean " + strings.Join(elsewhere, " or ") + "? (look at the indentation)"
	case len(names) <= 20:
		return "; the keys here are " + strings.Join(names, ", ")
	}
	return ""
}

var element = regexp.MustCompile(`\[\d+\]`)

func generic(path string) string { return element.ReplaceAllString(path, "[]") }

func nested(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(parts, ": {") + ": …" + strings.Repeat("}", len(parts)-1)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// Nearest is the name that a misspelt one was most likely meant to be, "" when
// none is like it.
func Nearest(name string, names []string) string { return nearest(name, names) }

// nearest allows one mistake in a short word, and one more for every four
// letters up to three.
func nearest(name string, names []string) string {
	if len(name) > 100 {
		return ""
	}
	best, least := "", 1+min(len(name)/4, 2)+1
	if len(name) < 4 {
		least = 2
	}
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of neighbours
// (optimal string alignment).
func distance(a, b string) int {
	before, last := []int{}, make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
