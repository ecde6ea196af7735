package document

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type shortPlace struct {
	At   string `yaml:"at"`
	Open bool   `yaml:"open"`
}

// SetShort implements [Shorter].
func (p *shortPlace) SetShort(text string) { *p = shortPlace{At: text} }

// TestShorter: an element that may be one text is one, or keys; anything else is told.
func TestShorter(t *testing.T) {
	read := func(text string) ([]shortPlace, []string) {
		var c struct {
			Places []shortPlace `yaml:"places"`
		}
		d := New(&c)
		d.ReadFile("c.yaml", strings.NewReader(text))
		var problems []string
		for _, p := range d.Problems() {
			problems = append(problems, p.Error())
		}
		return c.Places, problems
	}
	got, problems := read("places:\n- a.example.com\n- {at: b, open: true}\n- at: c\n")
	if diff := cmp.Diff([]shortPlace{{"a.example.com", false}, {"b", true}, {"c", false}}, got); diff != "" || len(problems) != 0 {
		t.Errorf("(-want +got):\n%s%v", diff, problems)
	}
	for text, want := range map[string]string{
		"places:\n- 12\n":             "c.yaml:2: places[0]: ",
		"places:\n- true\n":           "c.yaml:2: places[0]: ",
		"places:\n- [a]\n":            "c.yaml:2: places[0]: want keys below it",
		"places:\n- a\n- {atx: b}\n":  "c.yaml:3: places[1].atx: unknown key",
		"places:\n- a\n- \n":          "c.yaml:3: places[1]: the element has no value",
		"places: a\n":                 "c.yaml:1: places: want a list",
		"places:\n- {at: b, at: c}\n": "given twice",
	} {
		if _, problems := read(text); len(problems) != 1 || !strings.Contains(problems[0], want) {
			t.Errorf("%q: got %q, want %q", text, problems, want)
		}
	}
}
