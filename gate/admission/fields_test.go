package admission

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
)

func TestMembers_refused(t *testing.T) {
	tests := map[string]string{
		"array":          `[1]`,
		"string":         `"x"`,
		"number":         `1`,
		"same_name":      `{"a":1,"b":2,"a":3}`,
		"same_escaped":   `{"image":1,"im\u0061ge":2}`,
		"too_many_names": `{"a` + strings.Join(manyNames(501), `":1,"a`) + `":1}`,
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			if !json.Valid([]byte(in)) {
				t.Fatalf("the test is not JSON: %s", in)
			}
			err := members([]byte(in), func(_, _ []byte) error { return nil })
			if !errors.Is(err, gate.ErrReviewInvalid) {
				t.Errorf("members(%.60q): got %v, want ErrReviewInvalid", in, err)
			}
		})
	}
}

func manyNames(n int) []string {
	var list []string
	for i := range n {
		list = append(list, strings.Repeat("x", i))
	}
	return list
}

// rebuild makes of raw what encoding/json makes of it, with our functions.
func rebuild(raw []byte) (any, error) {
	raw = []byte(strings.Trim(string(raw), spaces))
	switch sample(raw) {
	case "an object":
		m := map[string]any{}
		err := members(raw, func(name, value []byte) (err error) {
			m[string(name)], err = rebuild(value)
			return err
		})
		return m, err
	case "an array":
		list := []any{}
		err := elements("list", raw, func(i int, value []byte) error {
			if i != len(list) {
				return errors.New("wrong index")
			}
			v, err := rebuild(value)
			list = append(list, v)
			return err
		})
		return list, err
	case "a string":
		return text(raw)
	}
	var v any
	return v, json.Unmarshal(raw, &v)
}

func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, ` { "a" : [ 1 , "x\"]}" , null , { "b" : true } ] , "c":-1.5e3 } `, `"\ud83d\ude00\\"`, `null`, `{"a":{"a":[[],{}]}}`, `[1,2]`,
		`{"a":1,"a":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || !utf8.Valid(raw) {
			return
		}
		var want any
		if err := json.Unmarshal(raw, &want); err != nil {
			return // a number out of range
		}
		got, err := rebuild(raw)
		if err != nil {
			if strings.Contains(err.Error(), "occurs twice") || strings.Contains(err.Error(), "members") {
				return
			}
			t.Fatalf("rebuild(%q): %v", raw, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("rebuild(%q): got %#v, want %#v", raw, got, want)
		}
	})
}
