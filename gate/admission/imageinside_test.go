package admission

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestImageInside(t *testing.T) {
	tests := map[string]struct {
		name, raw, path string
		found           bool
	}{
		"string":                {"image", `"x"`, "", true},
		"other_string":          {"name", `"x"`, "", false},
		"number":                {"image", `7`, "", false},
		"below":                 {"foo", `{"a":[1,{"sidecarImage":"x"}]}`, ".a[1].sidecarImage", true},
		"array_inherits":        {"images", `[[],["x"]]`, "[1][0]", true},
		"object_does_not":       {"images", `[{"a":"x"}]`, "", false},
		"object_in_image":       {"image", `{"tag":"x"}`, "", false},
		"number_in_image":       {"foo", `{"image":3,"images":[true,null]}`, "", false},
		"escaped":               {"foo", `{"im\u0061ge":"x"}`, ".image", true},
		"capitals":              {"foo", `{"ImageRef":"x"}`, ".ImageRef", true},
		"after_much":            {"foo", `{"a":{"b":{}},"c":[[[]]],"d":"\\\"","baseImages":["x"]}`, ".baseImages[0]", true},
		"twice":                 {"foo", `{"x":1,"x":2}`, "", true},
		"twice_escaped":         {"foo", `{"a":{"x":1,"\u0078":2}}`, ".a", true},
		"not_twice":             {"foo", `{"x":{"x":1},"y":{"x":2}}`, "", false},
		"many":                  {"foo", `{"` + strings.Join(manyNames(600), `":1,"`) + `":1}`, "", false},
		"many_and_twice":        {"foo", `{"` + strings.Join(append(manyNames(600), "xxx"), `":1,"`) + `":1}`, "", true},
		"spaces":                {"foo", " { \"a\" : [ 1 , { \"image\" : \"x\" } ] } ", ".a[1].image", true},
		"string_that_looks":     {"foo", `{"a":"{\"image\":\"x\"}"}`, "", false},
		"name_with_quote":       {"foo", `{"a\"image":"x"}`, `.a"image`, true},
		"sibling_after_objects": {"foo", `{"a":{"b":1},"reference":"x"}`, ".reference", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if !json.Valid([]byte(test.raw)) {
				t.Fatal("the test is not JSON")
			}
			if path, found := imageInside(test.name, []byte(test.raw)); path != test.path || found != test.found {
				t.Errorf("imageInside(%q, %s): got %q, %t, want %q, %t", test.name, test.raw, path, found, test.path, test.found)
			}
		})
	}
}

// plainly is what imageInside does, level by level.
func plainly(name string, raw []byte) (found bool) {
	var err error
	switch sample(raw) {
	case "a string":
		return looksLikeImage(name)
	case "an object":
		err = members(raw, func(member, value []byte) error {
			found = plainly(string(member), value) || found
			return nil
		})
	case "an array":
		err = elements("list", raw, func(_ int, value []byte) error {
			found = plainly(name, value) || found
			return nil
		})
	}
	return found || err != nil
}

func FuzzImageInside(f *testing.F) {
	for _, s := range []string{
		`{"a":{"image":"x"}}`, `[[{"images":["x"]}]]`, `{"x":1,"x":2}`, `{"a":[],"b":{},"c":"\\"}`, `{"image":{"a":[1,"x"]}}`, ` [ "x" , { } ] `,
	} {
		f.Add("foo", []byte(s))
		f.Add("image", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if !json.Valid(raw) || !utf8.Valid(raw) || depth(raw, maxNesting) > maxNesting || strings.Count(string(raw), ":") > maxMembers {
			return
		}
		if _, got := imageInside(name, raw); got != plainly(name, []byte(strings.Trim(string(raw), spaces))) {
			t.Fatalf("imageInside(%q, %q): got %t", name, raw, got)
		}
	})
}

// TestReadingIsLinear: sixteen times the text takes about sixteen times as long,
// not 256 times, whatever shape it has. The limit is far from both, because
// other tests run beside.
func TestReadingIsLinear(t *testing.T) {
	count := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = strconv.Itoa(i)
		}
		return list
	}
	shapes := map[string]func(n int) string{
		"deep":        func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) },
		"deep_arrays": func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) },
		"wide":        func(n int) string { return `{"` + strings.Join(count(n), `":"x","`) + `":1}` },
		"long_name":   func(n int) string { return `{"` + strings.Repeat("n", n) + `":[` + strings.Repeat(`"",`, n/4) + `""]}` },
		"backslashes": func(n int) string { return `{"a":"` + strings.Repeat(`\\`, n) + `"}` },
		"quotes":      func(n int) string { return `{"a":"` + strings.Repeat(`\"`, n) + `"}` },
	}
	const small, times = 10_000, 16
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			took := func(n int) time.Duration {
				raw := []byte(shape(n))
				best := time.Hour
				for range 3 {
					start := time.Now()
					imageInside("foo", raw)
					depth(raw, len(raw))
					best = min(best, time.Since(start))
				}
				return best
			}
			few, many := took(small), took(small*times)
			if many > 5*times*few && many > 500*time.Millisecond {
				t.Errorf("%d times the text took %s instead of %s", times, many, few)
			}
		})
	}
}
