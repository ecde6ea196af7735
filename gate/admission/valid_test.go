package admission

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// valid is what plainJSON stands for.
func valid(raw []byte) bool {
	return json.Valid(raw) && utf8.Valid(raw) && depth(raw, maxNesting) <= maxNesting
}

// oddJSON are texts at the edges of the grammar.
var oddJSON = []string{
	``, ` `, `{`, `}`, `[`, `]`, `{}`, `[]`, `[ ]`, ` { } `, `{]`, `[}`, `[1,]`, `[,1]`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`,
	`{"a" : [ { } , [ ] , "" , -0.5e+3 , true , false , null ] }`, `"`, `"\`, `"\u12"`, `"\u12x4"`, `"\uD800"`, `"\x"`, `"\"\\\/\b\f\n\r\t"`,
	"\"\x1f\"", "\"\x7f\"", "\"\xff\"", `"é"`, "\"\xc3\"", `01`, `-`, `-0`, `-01`, `1.`, `.1`, `1e`, `1e+`, `1E-5`, `0.0`, `1 2`, `tru`, `truex`, `nul`, `NaN`,
	"\ufeff{}", "\v1", "1\x00", `{"a":{"b":[1,2,{"c":"12345678\"90"}]}}`, `{1:2}`, `{"a":1}}`, `[1]]`, `"a"b`, `"12345678`, `"1234567\"`,
	strings.Repeat("[", maxNesting) + strings.Repeat("]", maxNesting), strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1),
	strings.Repeat(`{"a":`, maxNesting) + "1" + strings.Repeat("}", maxNesting), strings.Repeat(`[{"a":`, 40) + "1" + strings.Repeat("}]", 40),
	strings.Repeat(`[{"a":`, 40) + "1" + strings.Repeat("]}", 40),
}

func reviewFiles(tb testing.TB) (list [][]byte) {
	files, err := filepath.Glob("testdata/reviews/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no reviews: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if len(b) < 10_000 {
			list = append(list, b)
		}
	}
	return list
}

// TestPlainJSON_isTheLibrarys: recorded reviews and odd texts, whole and changed in
// a few bytes, are valid where the library's functions say so.
func TestPlainJSON_isTheLibrarys(t *testing.T) {
	var texts [][]byte
	for _, s := range oddJSON {
		texts = append(texts, []byte(s))
	}
	texts = append(texts, reviewFiles(t)...)
	const changes = "\"\\{}[]:,01.eE+-truefalsn \n\t\x00\x1f\x7f\x80\xc3\xa9"
	r, accepted := rand.New(rand.NewPCG(1, 2)), 0
	check := func(raw []byte) {
		want := valid(raw)
		if got := plainJSON(raw); got != want {
			t.Fatalf("plainJSON(%q): got %t, want %t", raw, got, want)
		}
		if want {
			accepted++
		}
	}
	for _, text := range texts {
		check(text)
		for range 300 {
			raw := bytes.Clone(text)
			for range 1 + r.IntN(2) {
				if len(raw) == 0 {
					break
				}
				i := r.IntN(len(raw))
				raw = append(raw[:i:i], append([]byte{changes[r.IntN(len(changes))]}, raw[i+r.IntN(2):]...)...)
			}
			check(raw)
		}
	}
	if accepted < 2000 {
		t.Errorf("%d texts are valid; the test says little", accepted)
	}
}

func FuzzPlainJSON(f *testing.F) {
	for _, s := range oddJSON {
		f.Add([]byte(s))
	}
	for _, b := range reviewFiles(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, want := plainJSON(raw), valid(raw); got != want {
			t.Fatalf("plainJSON(%q): got %t, want %t", raw, got, want)
		}
	})
}

// plainValueEnd is valueEnd, one byte after the other.
func plainValueEnd(raw []byte, i int) int {
	inText, level := false, 0
	for ; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
			if !inText && level == 0 {
				return i + 1
			}
		case inText:
		case c == '{' || c == '[':
			level++
		case level > 0 && (c == '}' || c == ']'):
			if level--; level == 0 {
				return i + 1
			}
		case level == 0 && strings.ContainsRune(",]}"+spaces, rune(c)):
			return i
		}
	}
	return len(raw)
}

// TestValueEnd: the end of every value is found, whatever stands eight bytes on.
func TestValueEnd(t *testing.T) {
	texts := reviewFiles(t)
	for _, s := range oddJSON {
		if json.Valid([]byte(s)) {
			texts = append(texts, []byte(s), []byte(`{"a":`+s+`, "b" : [`+s+`,`+s+`]}`))
		}
	}
	for _, raw := range texts {
		d := json.NewDecoder(bytes.NewReader(raw))
		for at := 0; ; at = int(d.InputOffset()) {
			for at < len(raw) && strings.IndexByte(":,"+spaces, raw[at]) >= 0 {
				at++
			}
			if at < len(raw) && raw[at] != '}' && raw[at] != ']' {
				if got, want := valueEnd(raw, at), plainValueEnd(raw, at); got != want {
					t.Fatalf("valueEnd(%q, %d): got %d, want %d", raw, at, got, want)
				}
			}
			if _, err := d.Token(); err != nil {
				break
			}
		}
	}
}
