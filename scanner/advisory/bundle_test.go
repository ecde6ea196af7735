package advisory_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestBundle: what is exported here has the same content there, and a manager at that
// directory uses it.
func TestBundle(t *testing.T) {
	from := data(t, 24, map[string]string{"12": "1"})
	var bundle bytes.Buffer
	db, err := advisory.Export(t.Context(), from, &bundle, clock)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "offline", "current")
	got, err := advisory.Import(t.Context(), bytes.NewReader(bundle.Bytes()), out, clock)
	if err != nil || got.Content != db.Content || !got.UpdatedAt.Equal(db.UpdatedAt) {
		t.Fatalf("got %+v, %v, want %s", got, err, db.Content)
	}
	m := newManager(out, t.TempDir(), nil, &loader{})
	if err := m.Open(t.Context()); err != nil || m.Status().Generation.Content != db.Content {
		t.Errorf("a manager uses %+v, %v", m.Status().Generation, err)
	}
	var later bytes.Buffer
	if _, err := advisory.Export(t.Context(), data(t, 30, map[string]string{"12": "2"}), &later, clock); err != nil {
		t.Fatal(err)
	}
	if _, err := advisory.Import(t.Context(), &later, out, clock); err != nil {
		t.Fatal(err)
	}
	refresh(t, m, true)
}

// TestBundleOfAComposedGeneration: the manifest travels, so that the age of held rows does.
func TestBundleOfAComposedGeneration(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"11": "1", "12": "1"}))
	n := p.node("", true)
	n.turn(t)
	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	p.clock.move(6 * 3600e9)
	n.turn(t)
	g := n.m.Status().Generation
	dir, _ := n.m.Dir(g.Content)
	var bundle bytes.Buffer
	if db, err := advisory.Export(t.Context(), dir, &bundle, clock); err != nil || db.Content != g.Content {
		t.Fatalf("got %+v, %v", db, err)
	}
	out := filepath.Join(t.TempDir(), "current")
	if db, err := advisory.Import(t.Context(), &bundle, out, clock); err != nil || db.Content != g.Content || len(db.Manifest.Held) != 1 {
		t.Fatalf("got %+v, %v", db, err)
	}
	m := newManager(out, t.TempDir(), nil, &loader{})
	if err := m.Open(t.Context()); err != nil || m.Status().Generation.Content != g.Content || len(m.Status().Held) != 1 {
		t.Errorf("a manager uses %+v, %v", m.Status(), err)
	}
}

// TestHostileBundle: a bundle that is cut, changed, too large or holds other files leaves
// what is at the directory.
func TestHostileBundle(t *testing.T) {
	var good bytes.Buffer
	if _, err := advisory.Export(t.Context(), data(t, 24, map[string]string{"12": "1"}), &good, clock); err != nil {
		t.Fatal(err)
	}
	type entry struct {
		h       tar.Header
		content []byte
	}
	rewrite := func(change func([]entry) []entry) []byte {
		zip, err := gzip.NewReader(bytes.NewReader(good.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		r := tar.NewReader(zip)
		var list []entry
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			content, err2 := io.ReadAll(r)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			list = append(list, entry{*h, content})
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for _, e := range change(list) {
			e.h.Size = int64(len(e.content))
			if err := w.WriteHeader(&e.h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(e.content); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	last := func(l []entry) *entry { return &l[len(l)-1] }
	for name, bundle := range map[string][]byte{
		"empty":      nil,
		"no_gzip":    []byte("hello"),
		"cut":        good.Bytes()[:good.Len()/2],
		"other_byte": rewrite(func(l []entry) []entry { last(l).content[len(last(l).content)-1] ^= 1; return l }),
		"larger":     rewrite(func(l []entry) []entry { last(l).content = append(last(l).content, 0); return l }),
		"escapes":    rewrite(func(l []entry) []entry { last(l).h.Name = "../trivy.db"; return l }),
		"link": rewrite(func(l []entry) []entry {
			e := last(l)
			e.h.Typeflag, e.h.Linkname, e.content = tar.TypeSymlink, "/etc/passwd", nil
			return l
		}),
		"missing": rewrite(func(l []entry) []entry { return l[:len(l)-1] }),
		"more": rewrite(func(l []entry) []entry {
			return append(l, entry{tar.Header{Name: "x", Typeflag: tar.TypeReg}, []byte("x")})
		}),
		"format_2": rewrite(func(l []entry) []entry {
			l[0].content = bytes.Replace(l[0].content, []byte(`"format": 1`), []byte(`"format": 2`), 1)
			return l
		}),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "current")
			before := place(t, out, debianRelease("12", "0"))
			_, err := advisory.Import(t.Context(), bytes.NewReader(bundle), out, clock)
			if !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrTooLarge) {
				t.Errorf("got %v, want ErrInvalid or ErrTooLarge", err)
			}
			if db, err := advisory.Inspect(t.Context(), out, clock); err != nil || db.Content != before {
				t.Errorf("the directory has %+v, %v", db, err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}
