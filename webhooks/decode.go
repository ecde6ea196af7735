package webhooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
)

// maxDepth is how deep a payload may nest. The deepest recorded delivery has
// 8 levels.
const maxDepth = 64

// Decode reads one JSON document into v, a pointer to a struct, more strictly
// than encoding/json where an attacker could gain from it: a second document,
// text that is not UTF-8, nesting beyond 64 levels, a key twice in an object,
// and two keys that encoding/json would both take for one field of v ("digest"
// and "Digest") are refused. Unknown keys are allowed. Errors wrap
// gate.ErrInvalid and are fit to be shown to the sender.
func Decode(body []byte, v any) error {
	if !utf8.Valid(body) {
		return fmt.Errorf("reading the body as JSON: it is not UTF-8: %w", gate.ErrInvalid)
	}
	names := map[string]bool{}
	fieldNames(reflect.TypeOf(v), names)
	if err := scan(body, names); err != nil {
		return fmt.Errorf("reading the body as JSON: %s: %w", gate.Printable(err.Error(), 200), gate.ErrInvalid)
	}
	if err := json.Unmarshal(body, v); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("reading the body as JSON: %s has the wrong type (%s): %w",
				gate.Quoted(wrong.Field, 100), wrong.Value, gate.ErrInvalid)
		}
		return fmt.Errorf("reading the body as JSON: %s: %w", gate.Printable(err.Error(), 200), gate.ErrInvalid)
	}
	return nil
}

// scan checks what json.Unmarshal does not. names are the folded names of all
// fields that are read.
func scan(body []byte, names map[string]bool) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // a number too large for a float is no reason to refuse
	type level struct {
		seen map[string]bool // nil in an array
		key  bool            // the next token is a key or the end
	}
	var stack []level
	for first := true; ; first = false {
		token, err := dec.Token()
		switch {
		case err == io.EOF && len(stack) == 0 && !first:
			return nil
		case err == io.EOF:
			return errors.New("it ends in the middle")
		case err != nil:
			return err
		case len(stack) == 0 && !first && token != json.Delim('}') && token != json.Delim(']'):
			return errors.New("it holds more than one document")
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(stack) == maxDepth {
				return fmt.Errorf("it nests deeper than %d levels", maxDepth)
			}
			next := level{}
			if token == json.Delim('{') {
				next = level{seen: map[string]bool{}, key: true}
			}
			stack = append(stack, next)
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) == 0 {
			continue
		}
		top := &stack[len(stack)-1]
		if top.seen == nil {
			continue
		}
		if key, ok := token.(string); ok && top.key {
			if f := fold(key); names[f] {
				key = f
			}
			if top.seen[key] {
				return fmt.Errorf("key %s occurs twice in an object", gate.Quoted(key, 60))
			}
			top.seen[key] = true
			top.key = false
			continue
		}
		top.key = true // a value of this object has ended
	}
}

// fieldNames collects the folded names of every struct field under t.
func fieldNames(t reflect.Type, names map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		fieldNames(t.Elem(), names)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" {
				names[fold(name)] = true
				fieldNames(f.Type, names)
			}
		}
	}
}

// fold maps names that encoding/json takes for the same field to one spelling.
// Upper before lower case also unites the letters outside ASCII that it folds
// ("ſ" to "s", the Kelvin sign to "k").
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// Display is a field that is shown and nothing more: a value of another type
// reads as absent instead of spoiling the delivery.
type Display[T any] struct{ Value T }

// UnmarshalJSON never fails.
func (d *Display[T]) UnmarshalJSON(text []byte) error {
	var v T
	if json.Unmarshal(text, &v) == nil {
		d.Value = v
	}
	return nil
}
