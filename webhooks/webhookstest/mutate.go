package webhookstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// malformed: bodies that are no JSON document, or one that two readers may
// read differently, are 400.
func (s Suite) malformed(t *testing.T) {
	rec := s.first(t)
	good := string(rec.Body)
	open := strings.Index(good, "{") + 1
	firstKey := good[open : open+strings.Index(good[open:], ":")] // with its quotes and white space
	name := strings.Trim(strings.TrimSpace(firstKey), `"`)
	for name, body := range map[string]string{
		"truncated":        good[:len(good)/2],
		"last_byte":        strings.TrimRight(good, "\n}"),
		"two_documents":    good + good,
		"trailing":         good + "x",
		"byte_order":       "\ufeff" + good,
		"not_utf8":         strings.Replace(good, `"`, "\"\xff", 1),
		"nan":              `{"` + name + `": NaN}`,
		"bare_string":      `"x"`,
		"bare_number":      `1`,
		"nested_arrays":    strings.Repeat("[", 100000) + strings.Repeat("]", 100000),
		"nested_objects":   strings.Repeat(`{"a":`, 100000) + "1" + strings.Repeat("}", 100000),
		"key_twice":        good[:open] + firstKey + ": null," + good[open:],
		"key_in_two_cases": good[:open] + `"` + strings.ToUpper(name) + `": null,` + good[open:],
	} {
		t.Run(name, func(t *testing.T) {
			e := s.endpoint(t, webhooks.Config{Auth: webhooks.AuthNone})
			got := e.post(t, webhooks.Recording{Header: rec.Header, Body: []byte(body)})
			if got.Status != http.StatusBadRequest {
				t.Errorf("POST: got %d %+v, want 400", got.Status, got.Answer)
			}
			if e.store.touched() {
				t.Error("the store was written to")
			}
		})
	}
}

// mutations replaces every value of every recording by every kind of wrong
// one: the answer is 202 or 400, and no job has a half reference.
func (s Suite) mutations(t *testing.T) {
	for _, c := range s.Cases {
		t.Run(subtest(c.File), func(t *testing.T) {
			rec := s.recording(t, c)
			var doc any
			if err := json.Unmarshal(rec.Body, &doc); err != nil {
				t.Skip("this recording is not JSON")
			}
			n := 0
			e := s.endpointWith(t, webhooks.Config{Auth: webhooks.AuthNone}, webhooks.Options{})
			mutate(doc, func(where string) {
				n++
				body, err := json.Marshal(doc)
				if err != nil {
					t.Fatal(err)
				}
				e.tryHostile(t, where, webhooks.Recording{Header: rec.Header, Body: body})
			})
			if n < 19 { // one key with one value
				t.Errorf("only %d mutations were tried", n)
			}
		})
	}
}

// tryHostile delivers bytes from anywhere.
func (e endpoint) tryHostile(t testing.TB, what string, rec webhooks.Recording) {
	t.Helper()
	if got := e.post(t, rec); got.Status != http.StatusAccepted && got.Status != http.StatusBadRequest {
		t.Errorf("%s: got %d %s, want 202 or 400", what, got.Status, got.Detail)
	}
	if wrong := e.store.misused(); wrong != "" {
		t.Fatalf("%s: the store was asked for %s", what, wrong)
	}
}

// mutate calls try with one value of doc changed at a time.
func mutate(doc any, try func(where string)) {
	values := []any{
		nil, "", "x", strings.Repeat("a", 5000), "../../etc/passwd", "\x00\x1b[2J", 0, -1, 1e300, true,
		[]any{}, []any{nil}, []any{[]any{}}, map[string]any{}, map[string]any{"digest": nil},
		"sha256:", "sha256:" + strings.Repeat("G", 64), "evil.example/x@sha256:" + strings.Repeat("0", 64),
	}
	var walk func(node any, where string, set func(any))
	walk = func(node any, where string, set func(any)) {
		if set != nil {
			for _, v := range values {
				set(v)
				try(fmt.Sprintf("%s = %.30q", where, fmt.Sprint(v)))
			}
			set(node)
		}
		switch node := node.(type) {
		case map[string]any:
			keys := make([]string, 0, len(node))
			for k := range node {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				kept := node[k]
				delete(node, k)
				try(where + "." + k + " left out")
				node[k] = kept
				walk(kept, where+"."+k, func(v any) { node[k] = v })
			}
		case []any:
			for i := range node {
				walk(node[i], fmt.Sprintf("%s[%d]", where, i), func(v any) { node[i] = v })
			}
		}
	}
	walk(doc, "$", nil)
}

// Fuzz is the body of a fuzz target, seeded with every recording.
func Fuzz(f *testing.F, s Suite) {
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.json*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("seeds in %q: %d files, %v", s.Dir, len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		f.Add(bytes.ReplaceAll(body, []byte("\n"), nil))
	}
	header := s.first(f).Header
	f.Fuzz(func(t *testing.T, body []byte) {
		// Parse itself, because the handler would turn a panic into a 400.
		pushes, err := s.Receiver.Parse(webhooks.Delivery{Header: header, Body: body})
		if err != nil && !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrDigestInvalid) {
			t.Errorf("Parse: %v wraps neither ErrInvalid nor ErrDigestInvalid", err)
		}
		if err == nil && len(pushes) == 0 {
			t.Error("Parse says nothing at all; an ignored event has a reason")
		}
		s.endpoint(t, webhooks.Config{Auth: webhooks.AuthNone}).
			tryHostile(t, "fuzz", webhooks.Recording{Header: header, Body: body})
	})
}
