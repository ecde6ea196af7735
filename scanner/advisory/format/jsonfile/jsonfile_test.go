package jsonfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format/jsonfile"
)

// TestRead: what a file is, and its parts in their order.
func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"b":[1,{"c":2}],"a":null}`: "a b a; a=1 b=[1,{\"c\":2}] a=null",
		`[{"x":1}, 2 ,"s"]`:                `list; 0={"x":1} 1=2 2="s"`,
		`{}`:                               "; ",
		`[]`:                               "list; ",
	} {
		h, err := jsonfile.Look(strings.NewReader(text), jsonfile.Limits{})
		if err != nil {
			t.Errorf("Look(%s): %v", text, err)
			continue
		}
		got, parts := strings.Join(h.Keys, " "), []string{}
		if h.List {
			got = "list"
			err = jsonfile.Elements(strings.NewReader(text), jsonfile.Limits{}, func(i int, e json.RawMessage) error {
				parts = append(parts, fmt.Sprintf("%d=%s", i, e))
				return nil
			})
		} else {
			err = jsonfile.Members(strings.NewReader(text), jsonfile.Limits{}, func(k string, v json.RawMessage) error {
				parts = append(parts, k+"="+string(v))
				return nil
			})
		}
		if diff := cmp.Diff(want, got+"; "+strings.Join(parts, " ")); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

// endless is JSON without an end, which counts what is read of it.
type endless struct {
	head, more string
	n          int
}

func (e *endless) Read(p []byte) (int, error) {
	from := e.more
	if e.n == 0 {
		from = e.head
	}
	n := copy(p, from)
	e.n += n
	return n, nil
}

// TestRead_hostile: what is damaged is refused, and of what is too large or too deep no
// more is read than the limits allow.
func TestRead_hostile(t *testing.T) {
	limits := jsonfile.Limits{Value: 1 << 20, Depth: 50}
	all := func(text io.Reader) (errs [3]error) {
		whole, _ := io.ReadAll(io.LimitReader(text, 4<<20))
		_, errs[0] = jsonfile.Look(bytes.NewReader(whole), limits)
		errs[1] = jsonfile.Elements(bytes.NewReader(whole), limits, func(int, json.RawMessage) error { return nil })
		errs[2] = jsonfile.Members(bytes.NewReader(whole), limits, func(string, json.RawMessage) error { return nil })
		return errs
	}
	for _, text := range []string{"", "x", "1", `"s"`, "{", `{"a"`, `{"a":}`, `{"a":1`, "[1", "[1,]", "[1}", `{"a":1} x`, `[] []`, "\x00"} {
		for i, err := range all(strings.NewReader(text)) {
			if !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("%q, reader %d: got %v, want ErrInvalid", text, i, err)
			}
		}
	}
	for name, e := range map[string]*endless{
		"a long word":      {head: `{"a":"`, more: strings.Repeat("x", 4096)},
		"a long key":       {head: `{"`, more: strings.Repeat("x", 4096)},
		"a long number":    {head: `[`, more: strings.Repeat("1", 4096)},
		"a deep value":     {head: `{"a":`, more: strings.Repeat("[", 4096)},
		"a long list in a": {head: `[[`, more: strings.Repeat("1,", 2048)},
	} {
		list := strings.HasPrefix(e.head, "[")
		read := func(r io.Reader) error {
			if list {
				return jsonfile.Elements(r, limits, func(int, json.RawMessage) error { return nil })
			}
			return jsonfile.Members(r, limits, func(string, json.RawMessage) error { return nil })
		}
		if err := read(e); !errors.Is(err, gate.ErrTooLarge) && !errors.Is(err, gate.ErrInvalid) || e.n > 4<<20 {
			t.Errorf("%s: got %v after %d bytes", name, err, e.n)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}]}`, `[{"id":"X"},2]`, `{"a":1}{`, `[`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := jsonfile.Look(bytes.NewReader(b), jsonfile.Limits{Value: 1 << 16})
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Errorf("%q is taken", b)
		}
		if h.List {
			err = jsonfile.Elements(bytes.NewReader(b), jsonfile.Limits{}, func(_ int, e json.RawMessage) error {
				if !json.Valid(e) {
					t.Errorf("%q has the element %q", b, e)
				}
				return nil
			})
		} else {
			err = jsonfile.Members(bytes.NewReader(b), jsonfile.Limits{}, func(_ string, e json.RawMessage) error {
				if !json.Valid(e) {
					t.Errorf("%q has the member %q", b, e)
				}
				return nil
			})
		}
		if err != nil {
			t.Errorf("%q: %v", b, err)
		}
	})
}
