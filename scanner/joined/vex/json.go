package vex

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxDepth bounds how deep values of JSON are nested in a document.
const maxDepth = 3 * maxNesting

// unambiguous refuses JSON that two readers may understand differently: an object with one
// key twice, also in another case of its letters, because this reader takes the last of
// them. Nesting is bounded.
func unambiguous(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	type level struct {
		keys  map[string]bool // nil in a list
		value bool            // the next token of an object is a value
	}
	var open []level
	for {
		at := dec.InputOffset()
		t, err := dec.Token()
		if err != nil {
			return invalid("it is not JSON, at offset %d: %w", at, err)
		}
		var in *level
		if len(open) > 0 {
			in = &open[len(open)-1]
		}
		switch d, _ := t.(json.Delim); {
		case d == '}' || d == ']':
			open = open[:len(open)-1]
		case in != nil && in.keys != nil && !in.value:
			key := strings.ToLower(strings.ToUpper(t.(string))) // the key of an object is a text
			if in.keys[key] {
				return invalid("offset %d: the key %q is twice in one object", at, key)
			}
			in.keys[key], in.value = true, true
			continue
		case d == '{':
			open = append(open, level{keys: map[string]bool{}})
		case d == '[':
			open = append(open, level{})
		}
		if len(open) > maxDepth {
			return invalid("offset %d: values are nested more than %d deep", at, maxDepth)
		}
		if n := len(open); n == 0 {
			return nil
		} else if d, _ := t.(json.Delim); d != '{' && d != '[' {
			open[n-1].value = false
		} else if n > 1 {
			open[n-2].value = false
		}
	}
}
