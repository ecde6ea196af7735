package document

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

type inner struct {
	Timeout time.Duration `yaml:"timeout"`
	Count   int           `yaml:"count"`
	Memory  gate.ByteSize `yaml:"memory"`
	Deep    struct {
		On bool `yaml:"on"`
	} `yaml:"deep"`
}

type base struct {
	Name string `yaml:"name"`
	Jobs int64  `yaml:"jobs"`
}

type entry struct {
	base  `yaml:",inline"`
	Hosts []string `yaml:"hosts"`
}

func (e *entry) SetDefaults() { e.Jobs = 4 }

type kind string

type config struct {
	Dir   string            `yaml:"dir"`
	Kinds []kind            `yaml:"kinds"`
	Scan  inner             `yaml:"scan"`
	List  []entry           `yaml:"list"`
	Map   map[string]inner  `yaml:"map"`
	Words map[string]string `yaml:"words"`
	Items []map[string]any  `yaml:"items"`
}

func defaults() config {
	return config{Dir: "/d", Kinds: []kind{"a", "b"}, Scan: inner{Timeout: time.Minute, Count: 2, Memory: 1 << 30}}
}

func readText(text string) (config, *Document) {
	c := defaults()
	d := New(&c)
	d.ReadFile("c.yaml", strings.NewReader(text))
	return c, d
}

// lines are problems as they are printed.
func lines(list []Problem) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Error())
	}
	return out
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	got, d := readText(`
dir: /x
kinds: [c]
scan: {timeout: 90s, count: 0x10, memory: 2GiB, deep: {on: true}}
list:
- {name: one}
- &second {name: two, jobs: 1e3, hosts: [h]}
- <<: *second
  name: three
map: {a: {count: }, "b.c": {timeout: 0}}
words: {1: one, yes: "two"}
items: [{x: [1, {y: z}]}]
`)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	want := config{
		Dir: "/x", Kinds: []kind{"c"}, Scan: inner{Timeout: 90 * time.Second, Count: 16, Memory: 2 << 30},
		List:  []entry{{base: base{"one", 4}}, {base{"two", 1000}, []string{"h"}}, {base{"three", 1000}, []string{"h"}}},
		Map:   map[string]inner{"a": {}, "b.c": {}},
		Words: map[string]string{"1": "one", "yes": "two"},
		Items: []map[string]any{{"x": []any{1, map[string]any{"y": "z"}}}},
	}
	want.Scan.Deep.On = true
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "null", "scan:\nkinds: null\n", "\ufeff{}"} {
		got, d := readText(empty)
		if diff := cmp.Diff(defaults(), got); diff != "" || d.Err() != nil {
			t.Errorf("%q: %v, not the defaults (-want +got):\n%s", empty, d.Err(), diff)
		}
	}
}

// TestEveryProblemAtOnce: each with its line and path, in the order of the file.
func TestEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, d := readText(`dir: 5
scan:
  tiemout: 5m
  count: 2.5
  memory: lots
  deep: on
kinds: a, b
list:
- nmae: x
  hosts: [h, null, [i]]
- word
count: 3
scan.timeout: 5m
map: {a: {timeout: 5 minutes}}
dir: /twice
whatever: 1
`)
	d.Add("list[0].name", "missing") // the misspelt key is enough
	d.Add("list[1].name", "missing") // the element could not be read
	d.Add("map.a.count", "too small")
	d.Add("elsewhere", "said last")
	want := []string{
		`c.yaml:1: dir: 5 is a number, not a text; if it is meant as one, put it in quotes: "5"`,
		`c.yaml:3: scan.tiemout: unknown key; did you mean timeout?`,
		`c.yaml:4: scan.count: want a whole number, got the number "2.5"`,
		`c.yaml:5: scan.memory: "lots" is not a size; want a whole number with a unit, such as 512MiB`,
		`c.yaml:6: scan.deep: want keys below it (on), not the text "on"`,
		`c.yaml:7: kinds: want a list, such as [a, b]; got the text "a, b"`,
		`c.yaml:9: list[0].nmae: unknown key; did you mean name?`,
		`c.yaml:10: list[0].hosts[1]: the element has no value; give it one or remove it`,
		`c.yaml:10: list[0].hosts[2]: want one text, got a list`,
		`c.yaml:11: list[1]: want keys below it (name, jobs, hosts), not the text "word"`,
		`c.yaml:12: count: unknown key; did you mean scan.count or map.NAME.count? (look at the indentation)`,
		`c.yaml:13: "scan.timeout": unknown key; nested keys are written below each other, as in scan: {timeout: …}`,
		`c.yaml:14: map.a.count: too small`,
		`c.yaml:14: map.a.timeout: "5 minutes" is not a duration; want a duration with a unit, such as 30s, 10m or 6h`,
		`c.yaml:15: dir: the key is given twice, first in line 1; keep one`,
		`c.yaml:16: whatever: unknown key; the keys here are dir, kinds, scan, list, map, words, items`,
		`elsewhere: said last`,
	}
	if diff := cmp.Diff(want, lines(d.Problems())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// goWords are what a person who writes YAML cannot know.
var goWords = regexp.MustCompile(`(?i)\b(map\[|int64|int\b|struct|interface|unmarshal|reflect|time\.Duration|!!|config\.|slice|mapping values)`)

func TestScalars(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"scan: {timeout: 600}":                "600 has no unit",
		"scan: {timeout: 7d}":                 "write 168h",
		"scan: {timeout: 2 weeks}":            "write 336h",
		"scan: {timeout: [5m]}":               "got a list",
		"scan: {timeout: {a: b}}":             "got keys with values",
		"scan: {timeout: .inf}":               "has no unit",
		"scan: {count: '4'}":                  `"4" is in quotes; want a whole number: 4`,
		"scan: {count: four}":                 `want a whole number, got the text "four"`,
		"scan: {count: 99999999999999999999}": "want a whole number",
		"scan: {count: true}":                 `got the truth value "true"`,
		"scan: {count: [1]}":                  "got a list",
		"scan: {deep: {on: yes}}":             `want true or false, got the text "yes"`,
		"scan: {deep: {on: 1}}":               `got the number "1"`,
		"scan: {memory: 1.5}":                 "is not a size",
		"scan: {memory: {}}":                  "got keys with values",
		"scan: {memory: !!binary aGk=}":       "is not a size",
		"dir: {a: b}":                         "want one text, got keys with values",
		"dir: true":                           "put it in quotes",
		"dir: !secret x":                      `the tag "!secret" has no meaning here`,
		"scan: []":                            "want keys below it (timeout, count, memory, deep), not a list",
		"map: [a]":                            "want names with values below it",
		"map: {a: 5}":                         "want keys below it",
		"kinds: {a: b}":                       "want a list, each of its elements on a line",
		"list: {name: x}":                     "want a list",
		"[a, b]":                              "the configuration must be keys with values",
		"text":                                "the configuration must be keys with values",
		"{[a]: b}":                            "a key must be a word",
		"scan: {<<: 5}":                       "<< merges a mapping",
		"dir: /x\n---\ndir: /y\n":             "c.yaml:2: a second document begins here",
		"dir: /x\n\tscan: {}\n":               "c.yaml:2: the line is indented with a tab",
		"dir: [\n":                            "this is not YAML",
		"dir: x: y":                           "a colon and a space inside a value",
		"dir: \x00":                           "this is not YAML",
		"scan: &a\n  deep: *a\n":              "an alias contains itself",
		"dir: " + strings.Repeat("[", 1000) + strings.Repeat("]", 1000): "nested more than 64 deep",
		"dir: " + strings.Repeat("[", 100_000):                          "",
	} {
		_, d := readText(text)
		got := strings.Join(lines(d.Problems()), "\n")
		if got == "" || !strings.Contains(got, want) {
			t.Errorf("%.60q: got %q, want %q in it", text, got, want)
		}
		if m := goWords.FindString(got); m != "" {
			t.Errorf("%.60q: %q says %q", text, got, m)
		}
		if strings.ContainsRune(got, 0) || len(got) > 400 {
			t.Errorf("%.60q: %q is not fit to be shown", text, got)
		}
	}
}

// TestOtherCase: versions before this one took a key in any case.
func TestOtherCase(t *testing.T) {
	t.Parallel()
	c, d := readText("DIR: /x\nscan: {Timeout: 5m}\n")
	want := []string{
		"c.yaml:1: dir: it is written DIR and was accepted; write dir",
		"c.yaml:2: scan.timeout: it is written Timeout and was accepted; write timeout",
	}
	if diff := cmp.Diff(want, lines(d.Warnings())); diff != "" || d.Err() != nil || c.Dir != "/x" || c.Scan.Timeout != 5*time.Minute {
		t.Errorf("got %+v, %v; warnings (-want +got):\n%s", c, d.Err(), diff)
	}
	if _, d := readText("dir: /x\nDir: /y\n"); !strings.Contains(fmt.Sprint(d.Err()), "Dir: unknown key; did you mean dir?") {
		t.Errorf("both: got %v", d.Err())
	}
}

func TestReadValue(t *testing.T) {
	t.Parallel()
	c, d := readText("scan: {timeout: 5m, count: 7}\nkinds: [x]\nmap: {a: {count: 1}}\nlist: [{name: n, hosts: [a]}]\n")
	d.ReadValue("X_COUNT", "scan.count", "9")
	d.ReadValue("X_KINDS", "kinds", "[]")
	d.ReadValue("--set", "map", "{b: {count: many}}")
	d.ReadValue("--set", "scan.timeout", "null")
	d.ReadValue("--set", "scan.memory", "{")
	d.ReadValue("--set", "list", "[{name: m}]")
	d.Add("scan.count", "too many")
	d.Add("list[0].hosts", "missing")
	if c := *d.target.Addr().Interface().(*config); c.Scan.Count != 9 || len(c.Kinds) != 0 || len(c.Map) != 2 || c.Scan.Timeout != time.Minute {
		t.Errorf("got %+v", c)
	}
	_ = c
	want := []string{
		"X_COUNT: scan.count: too many",
		`--set: map.b.count: want a whole number, got the text "many"`,
		`--set: scan.memory: "{" is not YAML: a bracket or a brace is not closed, or a comma is missing`,
		"--set: list[0].hosts: missing",
	}
	if diff := cmp.Diff(want, lines(d.Problems())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// endless is a file that has no end, as /dev/zero.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	e.read += len(p)
	return len(p), nil
}

// TestBounded: what reading costs is bounded by what is written, and that is
// bounded too.
func TestBounded(t *testing.T) {
	t.Parallel()
	c := defaults()
	d, file := New(&c), &endless{}
	d.ReadFile("zero", file)
	if !strings.Contains(fmt.Sprint(d.Err()), "zero: the file is larger than 1 MiB") || file.read > 4*MaxBytes || !d.Unread() {
		t.Errorf("a file without end: %d bytes were read: %v", file.read, d.Err())
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 30; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	d = New(&c)
	d.ReadFile("bomb", strings.NewReader(bomb))
	if got := fmt.Sprint(d.Err()); !strings.Contains(got, "more than 250000 values") {
		t.Errorf("aliases of aliases: got %.200s", got)
	}
	d = New(&c)
	d.ReadValue("--set", "kinds", strings.ReplaceAll("{"+strings.TrimSuffix(bomb, "\n")+"}", "\n", ", "))
	if got := fmt.Sprint(d.Err()); !strings.Contains(got, "--set: kinds: with its aliases written out") {
		t.Errorf("aliases of aliases in a value: got %.200s", got)
	}
	var many strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&many, "key%d: 1\n", i)
	}
	d = New(&c)
	d.ReadFile("many", strings.NewReader(many.String()))
	got := strings.Split(fmt.Sprint(d.Err()), "\n")
	if len(got) != maxProblems+1 || got[maxProblems] != "and 49900 more" {
		t.Errorf("50,000 unknown keys: got %d lines, the last %q", len(got), got[len(got)-1])
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	want := []string{"dir", "kinds", "scan.timeout", "scan.count", "scan.memory", "scan.deep.on", "list", "map", "words", "items"}
	if diff := cmp.Diff(want, Paths(reflect.TypeFor[config]())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{"a": "", "a.b": "a", "a[1]": "a", "a[1].b": "a[1]", `a["x.y"].b`: `a["x.y"]`, `a["x.y"]`: "a"} {
		if got := parent(path); got != want {
			t.Errorf("parent(%q): got %q, want %q", path, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"timeout", "concurrency", "host", "aliases", "url"}
	for name, want := range map[string]string{
		"tiemout": "timeout", "timeouts": "timeout", "concurency": "concurrency", "Host": "host", "hots": "host", "alias": "aliases",
		"uri": "url", "x": "", "memory": "", "": "", strings.Repeat("h", 1000): "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("Nearest(%.20q): got %q, want %q", name, got, want)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{"dir: /x", "list: [{name: a, <<: {jobs: 1}}]", "a: &a [*a]", "? {a: b}\n: c", "scan: {timeout: 7d}\n---\n", "map: {a.b: {count: 1}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, d := readText(text)
		for _, p := range append(d.Problems(), d.Warnings()...) {
			if strings.ContainsAny(p.Error(), "\n\x00\x1b") {
				t.Errorf("%q is not fit to be shown", p.Error())
			}
		}
	})
}
