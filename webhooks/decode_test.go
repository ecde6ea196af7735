package webhooks

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

type sample struct {
	Digest string `json:"digest"`
	Inner  []struct {
		Kind string         `json:"kind"`
		Free map[string]any `json:"free"`
	} `json:"inner"`
	Shown Display[int] `json:"shown"`
}

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want string // part of the error; "" means that it is taken
	}{
		"plain":                {`{"digest":"a"}`, ""},
		"unknown_keys":         {`{"digest":"a","x":{"y":[1,{"z":null}]}}`, ""},
		"other_case_alone":     {`{"DIGEST":"a"}`, ""},
		"same_key_elsewhere":   {`{"digest":"a","x":{"digest":"b"},"inner":[{"kind":"k"},{"kind":"k"}]}`, ""},
		"key_as_value":         {`{"digest":"digest","x":"digest"}`, ""},
		"values_equal_to_keys": {`{"x":["digest","digest","digest"],"digest":"x"}`, ""},
		"case_in_free_data":    {`{"inner":[{"free":{"Owner":1,"owner":2}}]}`, ""},
		"shown_of_other_type":  {`{"shown":"x"}`, ""},
		"huge_number":          {`{"x":1e400}`, ""},
		"white_space":          {" \n{}\t ", ""},
		"null":                 {`null`, ""},
		"twice":                {`{"digest":"a","digest":"b"}`, "twice"},
		"two_cases":            {`{"digest":"a","Digest":"b"}`, "twice"},
		"long_s":               {`{"shown":1,"ſhown":2}`, "twice"},
		"kelvin":               {`{"inner":[{"kind":"a","` + "\u212a" + `ind":"b"}]}`, "twice"},
		"escaped":              {`{"digest":"a","\u0064igest":"b"}`, "twice"},
		"unknown_twice":        {`{"x":1,"x":2}`, "twice"},
		"deep_twice":           {`{"a":[{"b":{"kind":1,"c":[],"KIND":2}}]}`, "twice"},
		"after_object":         {`{"inner":[],"x":{"y":1},"inner":[]}`, "twice"},
		"two_documents":        {`{} {}`, "more than one"},
		"document_and_text":    {`{} x`, "invalid character"},
		"array":                {`[]`, "wrong type"},
		"wrong_type":           {`{"inner":[{"kind":1}]}`, `"inner.kind" has the wrong type (number)`},
		"truncated":            {`{"digest":`, "middle"},
		"empty":                {``, "middle"},
		"comment":              {`{"digest":"a" // x` + "\n}", "invalid character"},
		"not_utf8":             {"{\"digest\":\"\xff\"}", "UTF-8"},
		"deepest":              {strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), "wrong type"},
		"too_deep":             {strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), "deeper than 64"},
	} {
		t.Run(name, func(t *testing.T) {
			var v sample
			err := Decode([]byte(c.body), &v)
			if c.want == "" {
				if err != nil {
					t.Errorf("Decode: %v", err)
				}
				return
			}
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Decode: got %v, want ErrInvalid with %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestDecodeAgrees: what Decode takes, encoding/json takes with the same
// result; and what encoding/json refuses, Decode refuses.
func TestDecodeAgrees(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := []byte(rapid.StringOf(rapid.SampledFrom([]rune(`{}[]:,"digestDkn 01e.\u-trulf`))).Draw(rt, "body"))
		var mine, theirs sample
		err, reference := Decode(body, &mine), json.Unmarshal(body, &theirs)
		if err == nil && (reference != nil || !reflect.DeepEqual(mine, theirs)) {
			rt.Fatalf("Decode(%q) takes it, encoding/json says %v", body, reference)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"digest":"sha256:8a9e9863dbb6e10edb5adfe917c00da84e1700fa76e7ed02476aa6e6fb8ee0d8","inner":[{"kind":"a","free":{"x":1,"y":[1,2,3]}}],"shown":1}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var v sample
		if err := Decode(body, &v); err != nil {
			b.Fatal(err)
		}
	}
}
