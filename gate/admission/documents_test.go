package admission

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// repeated is a text, one unit n times and an end, without being in memory. It counts
// what was read.
type repeated struct {
	unit []byte
	left int
	now  []byte
	end  string
	read int
}

func repeat(begin, unit string, n int, end string) *repeated {
	return &repeated{unit: []byte(unit), left: n, now: []byte(begin), end: end}
}

func (r *repeated) Read(p []byte) (int, error) {
	for len(r.now) == 0 {
		switch {
		case r.left > 0:
			r.now = bytes.Repeat(r.unit, min(r.left, 1000))
			r.left -= min(r.left, 1000)
		case r.end == "":
			return 0, io.EOF
		default:
			r.now, r.end = []byte(r.end), ""
		}
	}
	n := copy(p, r.now)
	r.now = r.now[n:]
	r.read += n
	return n, nil
}

// What is held does not grow with the number of documents, in any writing.
func TestEachObject_holds_one_document(t *testing.T) {
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"x"}]}}`
	for name, in := range map[string]*repeated{
		"yaml":        repeat("", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n", 4_000, ""),
		"passed_over": repeat("", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n", 4_000, pod),
		"json_lines":  repeat("", pod+"\n", 4_000, ""),
		"one_line":    repeat("", pod, 4_000, ""),
		"comments":    repeat("", "# a comment\n", 500_000, pod),
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			var first, most uint64
			passed, err := EachObject(in, func(WrappedReview) error {
				if n++; n%1000 == 1 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					if most = max(most, m.HeapAlloc); first == 0 {
						first = m.HeapAlloc
					}
				}
				return nil
			})
			if err != nil || n+passed["Service"] < 1 {
				t.Fatalf("EachObject: got %d reviews, %v", n, err)
			}
			if most > first+4<<20 {
				t.Errorf("%d MiB are held at the first review, %d MiB later", first>>20, most>>20)
			}
		})
	}
}

// A document over a limit is refused before it is parsed: the file is not read to its
// end, and little more memory is used than the document may have bytes.
func TestEachObject_bounds_a_document(t *testing.T) {
	const head = "apiVersion: v1\nkind: Service\n---\n"
	for name, c := range map[string]struct {
		in   *repeated
		want string
		most uint64 // bytes allocated
	}{
		"flow_list":   {repeat(head+"\na: [", "1,", 64<<20, "1]"), "reading document 2, which begins at line 5: it has more than 500000 keys and values", 100 << 20},
		"json_list":   {repeat(head+`{"a":[`, "1,", 64<<20, "1]}"), "reading document 2, which begins at line 4: it has more than 500000 keys and values", 100 << 20},
		"block_list":  {repeat(head, "- 1\n", 32<<20, ""), "document 2, which begins at line 4: it has more than 500000", 100 << 20},
		"lines":       {repeat(head, "k: v\n", 32<<20, ""), "it has more than 500000", 100 << 20},
		"one_line":    {repeat(head+"a: ", "x", 128<<20, ""), "it is larger than 16MiB", 200 << 20},
		"json_text":   {repeat(head+`{"a":"`, "x", 128<<20, `"}`), "it is larger than 16MiB", 200 << 20},
		"deep_json":   {repeat(head+`{"a":`, "[", 64<<20, ""), "it nests deeper than 1000 levels", 100 << 20},
		"deep_yaml":   {repeat(head+"a: ", "[", 5_000, strings.Repeat("]", 5_000)), "it nests deeper than 1000 levels", 100 << 20},
		"equal_keys":  {repeat(head, "k: v\n", 5_000, ""), "line 5: key \"k\" is already there at line 4; remove one", 200 << 20},
		"after_value": {repeat(`{"apiVersion":"v1","kind":"Service"} #`, "x", 32<<20, "\n{]"), "this is not JSON", 200 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := EachObject(c.in, func(WrappedReview) error { return nil })
			runtime.ReadMemStats(&after)
			if !errors.Is(err, gate.ErrReviewInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("EachObject: got %.300v, want %q", err, c.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > c.most {
				t.Errorf("%d MiB were allocated", used>>20)
			}
			if c.in.read > maxDocumentBytes+4*chunkBytes && name != "after_value" {
				t.Errorf("%d bytes were read", c.in.read)
			}
		})
	}
}

func TestEachObject_bounds_aliases_and_keys(t *testing.T) {
	var keys, bomb strings.Builder
	bomb.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 10 {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	for i := range maxKeys + 1 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	for name, c := range map[string]struct{ in, want string }{
		"bomb":  {bomb.String(), "document 1, which begins at line 1: it has more than 500000 keys and values"},
		"cycle": {"a: &a [*a]", "an alias contains itself"},
		"keys":  {"\n\n" + keys.String(), "line 3: this mapping has more than 10000 keys"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := eachObject(c.in)
			if !errors.Is(err, gate.ErrReviewInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("EachObject: got %.300v, want %q", err, c.want)
			}
		})
	}
}

// Lines are counted from the beginning of the file.
func TestEachObject_names_the_line(t *testing.T) {
	const pod = `{"apiVersion":"v1","kind":"Pod"}`
	for in, want := range map[string]string{
		"# a\n---\nkind: Pod\napiVersion: v1\n---\na: 1\nb: 2\nc: d: e\n": "reading document 2, which begins at line 6: yaml: line 8: mapping values",
		pod + "\n" + pod + "\n\n{\"a\":\n\n}":                             "reading document 3, which begins at line 4: line 6: this is not JSON",
		pod + "\n" + pod + "\nfoo":                                        "reading document 3, which begins at line 3: this follows a JSON value",
		pod + "\n# a\n...\n---\n# b\nfoo":                                 "reading document 2, which begins at line 6: want an object of Kubernetes, not a text",
		"a: 1\na: 2\n":                                                    `line 2: key "a" is already there at line 1; remove one`,
	} {
		if _, _, err := eachObject(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("EachObject(%q): got %v, want %q", in, err, want)
		}
	}
}

// A review is given out before the next document is read, and an error of visit
// ends the reading.
func TestEachObject_stops(t *testing.T) {
	in := repeat("", `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod"},{"apiVersion":"v1","kind":"Pod"}]}`, 1_000_000, "{")
	enough := errors.New("enough")
	n := 0
	_, err := EachObject(in, func(WrappedReview) error { n++; return enough })
	if err != enough || n != 1 || in.read > 4*chunkBytes {
		t.Errorf("EachObject: got %v after %d reviews and %d bytes", err, n, in.read)
	}
	_, err = EachObject(io.MultiReader(strings.NewReader("a: 1\n"), brokenReader{enough}), nil)
	if !errors.Is(err, enough) || errors.Is(err, gate.ErrReviewInvalid) {
		t.Errorf("EachObject of a broken reader: got %v", err)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

// The kinds that are passed over are hostile text.
func TestEachObject_bounds_what_is_counted(t *testing.T) {
	var in strings.Builder
	for i := range 3 * maxPassed {
		fmt.Fprintf(&in, `{"apiVersion":"v1","kind":"K%d%s"}`, i, strings.Repeat("x", 1000))
	}
	_, passed, err := eachObject(in.String())
	if err != nil || len(passed) != maxPassed+1 || passed[otherKinds] != 2*maxPassed {
		t.Errorf("EachObject: got %d kinds, %d others, %v", len(passed), passed[otherKinds], err)
	}
}

// A file of many lines is read in one pass.
func TestDocuments_is_linear(t *testing.T) {
	for name, unit := range map[string]string{"comments": "# a comment\n", "yaml": "apiVersion: v1\nkind: A\n---\n", "json_on_one_line": `{"apiVersion":"v1","kind":"A"}`} {
		cost := func(n int) time.Duration {
			best := time.Duration(math.MaxInt64)
			for range 3 {
				start := time.Now()
				if _, err := EachObject(repeat("", unit, n, `{"apiVersion":"v1","kind":"A"}`), nil); err != nil {
					t.Fatal(err)
				}
				best = min(best, time.Since(start))
			}
			return best
		}
		if small, large := cost(3_000), cost(30_000); large > 40*small {
			t.Errorf("%s: 10 times the lines take %v instead of %v", name, large, small)
		}
	}
}

func FuzzEachObject(f *testing.F) {
	for _, seed := range []string{twoDocuments, manifests, "{}{}", "--- {a: '{'}\n---\n[", "\xff\xfe{\x00}\x00", `{"a":"\""}#`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := EachObject(bytes.NewReader(data), func(r WrappedReview) error {
			if !bytes.HasPrefix(r.Body, []byte("{")) {
				t.Errorf("review %.80q", r.Body)
			}
			return nil
		})
		if err != nil && !errors.Is(err, gate.ErrReviewInvalid) {
			t.Errorf("EachObject: got %v", err)
		}
	})
}
