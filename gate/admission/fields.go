package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// The functions of this file read JSON in place. encoding/json would match
// names without regard to case, let the last of two equal names win and drop
// what it does not know; a gate must not be led past a second "containers" in
// any of these ways. They expect text for which json.Valid and utf8.Valid hold
// (decodeReview sees to it), and read each byte a number of times that does not
// grow with the text.

// members calls each for the members of a JSON object in their order. Names
// that occur twice are an error, as is anything but an object; null is an
// object without members.
func members(raw []byte, each func(name, value []byte) error) error {
	raw = bytes.TrimLeft(raw, spaces)
	if isNull(raw) {
		return nil
	}
	if len(raw) == 0 || raw[0] != '{' {
		return fmt.Errorf("want an object, got %s: %w", sample(raw), gate.ErrReviewInvalid)
	}
	var few [fewNames][]byte // on the stack
	var many map[string]struct{}
	for i, n := 1, 0; ; n++ {
		i = skip(raw, i, ",")
		if i >= len(raw) || raw[i] == '}' {
			return nil
		}
		end := valueEnd(raw, i)
		name, err := unquoted(raw[i:end])
		if err != nil {
			return err
		}
		again := false
		if n < fewNames {
			for m := 0; m < n && !again; m++ {
				again = bytes.Equal(few[m], name)
			}
			few[n] = name
		} else {
			many = withNames(many, few[:])
			_, again = many[string(name)]
			many[string(name)] = struct{}{}
		}
		if again {
			return twice(name)
		}
		if n == maxMembers {
			return fmt.Errorf("object with more than %d members: %w", maxMembers, gate.ErrReviewInvalid)
		}
		i = skip(raw, end, ":")
		end = valueEnd(raw, i)
		if err := each(name, raw[i:end]); err != nil {
			return err
		}
		i = end
	}
}

// maxMembers bounds the objects that are read member by member. The largest, a
// Pod's spec, has about 40.
const maxMembers = 500

// fewNames is up to where comparing each name with all before it is quicker
// than a map; most objects have fewer members.
const fewNames = 40

// seenNames are those of one object, found again in constant time each.
type seenNames struct {
	few  [][]byte
	many map[string]struct{} // all of them, once few is full
}

// add refuses a name that occurs twice.
func (n *seenNames) add(name []byte) error {
	again := false
	if n.many != nil {
		_, again = n.many[string(name)]
	} else {
		for _, other := range n.few {
			again = again || bytes.Equal(other, name)
		}
	}
	if again {
		return twice(name)
	}
	if n.many == nil && len(n.few) < fewNames {
		n.few = append(n.few, name)
		return nil
	}
	n.many = withNames(n.many, n.few)
	n.many[string(name)] = struct{}{}
	return nil
}

// withNames is a set, or the one of the first names when it is nil.
func withNames(set map[string]struct{}, names [][]byte) map[string]struct{} {
	if set == nil {
		set = make(map[string]struct{}, 2*fewNames)
		for _, name := range names {
			set[string(name)] = struct{}{}
		}
	}
	return set
}

func twice(name []byte) error {
	return fmt.Errorf("name %s occurs twice: %w", gate.Quoted(string(name), 60), gate.ErrReviewInvalid)
}

// elements calls each for the elements of a JSON array at a path, which errors
// name; null and nil, an absent member, are empty.
func elements(path string, raw []byte, each func(i int, value []byte) error) error {
	raw = bytes.TrimLeft(raw, spaces)
	if len(raw) == 0 || isNull(raw) {
		return nil
	}
	if raw[0] != '[' {
		return fmt.Errorf("%s: want an array, got %s: %w", path, sample(raw), gate.ErrReviewInvalid)
	}
	for i, n := 1, 0; ; n++ {
		i = skip(raw, i, ",")
		if i >= len(raw) || raw[i] == ']' {
			return nil
		}
		end := valueEnd(raw, i)
		if err := each(n, raw[i:end]); err != nil {
			return err
		}
		i = end
	}
}

// text is the value of a JSON string; null is "".
func text(raw []byte) (string, error) {
	if isNull(raw) {
		return "", nil
	}
	b, err := unquoted(raw)
	return string(b), err
}

// unquoted is the value of a JSON string, in place when it has no escapes.
func unquoted(raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, fmt.Errorf("want a string, got %s: %w", sample(raw), gate.ErrReviewInvalid)
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("reading a string: %w", gate.ErrReviewInvalid)
	}
	return []byte(s), nil
}

const spaces = " \t\r\n"

func isNull(raw []byte) bool { return string(raw) == "null" }

// sample shows the kind of a value without its content.
func sample(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// skip passes over white space and the separator.
func skip(raw []byte, i int, separator string) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r' || raw[i] == separator[0]) {
		i++
	}
	return i
}

// valueEnd is the index after the value that starts at i.
func valueEnd(raw []byte, i int) int {
	if i >= len(raw) {
		return len(raw)
	}
	switch raw[i] {
	case '"':
		return stringEnd(raw, i)
	case '{', '[':
		for depth := 0; ; {
			if i = bracketOrText(raw, i); i >= len(raw) {
				return len(raw)
			}
			switch raw[i] {
			case '"':
				i = stringEnd(raw, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(raw) && strings.IndexByte(",]}"+spaces, raw[i]) < 0 {
		i++
	}
	return i
}

// stringEnd is the index after the string that starts at i: after the next
// quotation mark that no backslash escapes.
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		i = plainEnd(raw, i)
		switch {
		case i >= len(raw):
		case raw[i] == '"':
			return i + 1
		case raw[i] == '\\':
			i++
		}
	}
	return len(raw)
}
