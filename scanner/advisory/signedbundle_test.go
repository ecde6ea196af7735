package advisory_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// sealed stands for signing: an envelope is the content with a word before it.
func sealed(word string) func([]byte) ([]byte, error) {
	return func(content []byte) ([]byte, error) { return append([]byte(word), content...), nil }
}

func opened(word string) func([]byte) ([]byte, error) {
	return func(envelope []byte) ([]byte, error) {
		content, ok := bytes.CutPrefix(envelope, []byte(word))
		if !ok {
			return nil, errors.Join(errors.New("another word"), gate.ErrInvalid)
		}
		return content, nil
	}
}

// repacked changes the files of a bundle; change returns nil for one that goes.
func repacked(t *testing.T, bundle []byte, change func(name string, content []byte) []byte) []byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	r, w := tar.NewReader(zip), tar.NewWriter(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		content, err2 := io.ReadAll(r)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if content = change(h.Name, content); content == nil {
			continue
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSignedBundle: with keys only a bundle that is signed as a whole is taken: its ages
// too, which are no part of its content.
func TestSignedBundle(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"11": "1", "12": "1"}))
	n := p.node("", true)
	n.turn(t)
	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	p.clock.move(6 * 3600e9)
	n.turn(t)
	dir, _ := n.m.Dir(n.m.Status().Generation.Content)
	var unsigned, good bytes.Buffer
	if _, err := advisory.Export(t.Context(), dir, &unsigned, clock); err != nil {
		t.Fatal(err)
	}
	db, err := advisory.ExportSigned(t.Context(), dir, &good, clock, sealed("ours"))
	if err != nil {
		t.Fatal(err)
	}
	change := func(file, from, to string) []byte {
		return repacked(t, good.Bytes(), func(name string, content []byte) []byte {
			if name != file {
				return content
			}
			changed := strings.Replace(string(content), from, to, 1)
			if changed == string(content) {
				t.Fatalf("%s has no %q:\n%s", file, from, content)
			}
			return []byte(changed)
		})
	}
	for name, c := range map[string]struct {
		bundle []byte
		open   func([]byte) ([]byte, error)
		want   string
	}{
		"signed":              {good.Bytes(), opened("ours"), ""},
		"signed, no key here": {good.Bytes(), nil, ""},
		"unsigned":            {unsigned.Bytes(), opened("ours"), "it is not signed"},
		"by another":          {good.Bytes(), opened("theirs"), "another word"},
		"no signature":        {repacked(t, good.Bytes(), func(name string, c []byte) []byte { return map[bool][]byte{false: c}[name == "bundle.sig"] }), opened("ours"), "where bundle.sig is expected"},
		"said to be unsigned": {change("bundle.json", `"format": 2`, `"format": 1`), opened("ours"), "it is not signed"},
		"another head":        {change("bundle.json", `"madeAt": "`, `"madeAt":  "`), opened("ours"), "what was signed is not its bundle.json"},
		"younger rows":        {change("generation.json", `"reason": "`, `"reason": "really, `), opened("ours"), `"generation.json" is not the one that was signed`},
		"younger, no key":     {change("generation.json", `"reason": "`, `"reason": "really, `), nil, "not the one that was signed"},
		"metadata":            {change("metadata.json", `{`, `{ `), opened("ours"), `"metadata.json" is not the one that was signed`},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "current")
			got, err := advisory.ImportSigned(t.Context(), bytes.NewReader(c.bundle), out, clock, c.open)
			if c.want != "" {
				if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
				}
				return
			}
			if err != nil || got.Content != db.Content || len(got.Manifest.Held) != 1 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
