package advisory_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestBundleWithItsIndex: the index of Java archives goes with the generation that a server
// keeps, signed or not, and a manager at the two directories has the generation that it was.
func TestBundleWithItsIndex(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	java := &mirror{t: t, own: true, java: true, known: map[gate.Digest]string{}}
	java.offer(indexOf(t, 24, 100))
	n := p.node("", true)
	n.withIndex(java)
	n.turn(t)
	g := n.m.Status().Generation
	dir, err := advisory.NewestKept(n.dir)
	if err != nil || !strings.HasSuffix(dir, g.Content.Hex()) {
		t.Fatalf("got %s, %v, want that of %s, which has the index", dir, err, g.Content)
	}
	index, ok, err := advisory.JavaDir(dir)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for name, sign := range map[string]func([]byte) ([]byte, error){"signed": sealed("ours"), "unsigned": nil} {
		t.Run(name, func(t *testing.T) {
			var open func([]byte) ([]byte, error)
			if sign != nil {
				open = opened("ours")
			}
			var bundle bytes.Buffer
			db, err := advisory.Exported{Dir: dir, Java: index, Sign: sign, Now: clock}.Write(t.Context(), &bundle)
			if err != nil || db.Content != g.Content || db.Manifest.Java == nil {
				t.Fatalf("got %+v, %v", db, err)
			}
			in := advisory.Imported{Out: filepath.Join(t.TempDir(), "db"), JavaOut: filepath.Join(t.TempDir(), "java"), Open: open, Now: clock}
			got, err := in.Read(t.Context(), bytes.NewReader(bundle.Bytes()))
			if err != nil || got.Content != g.Content || got.Manifest.Java.Indices != 100 {
				t.Fatalf("got %+v, %v", got, err)
			}
			m := newManager(in.Out, t.TempDir(), nil, &loader{}, func(o *advisory.Options) { o.Config.Java.Path = in.JavaOut })
			if err := m.Open(t.Context()); err != nil || m.Status().Generation.Content != g.Content || m.Status().Java == nil {
				t.Errorf("a manager uses %+v, %v", m.Status(), err)
			}
			// Without a directory for it the index stays in the bundle.
			in.Out, in.JavaOut = filepath.Join(t.TempDir(), "db"), ""
			if got, err := in.Read(t.Context(), bytes.NewReader(bundle.Bytes())); err != nil || got.Manifest.Java == nil {
				t.Errorf("got %+v, %v", got, err)
			}
			m = newManager(in.Out, t.TempDir(), nil, &loader{})
			if err := m.Open(t.Context()); err != nil || m.Status().Generation.Content != got.Manifest.Sources[0].Digest {
				t.Errorf("a manager uses %+v, %v", m.Status(), err)
			}
			in.JavaOut = in.Out
			if _, err := in.Read(t.Context(), bytes.NewReader(bundle.Bytes())); !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("one directory for both: got %v", err)
			}
		})
	}
}

// TestHostileIndexOfABundle: a bundle whose index is damaged or another one leaves both
// directories as they were.
func TestHostileIndexOfABundle(t *testing.T) {
	from, index := data(t, 24, map[string]string{"12": "1"}), indexOf(t, 24, 100)
	other, err := os.ReadFile(filepath.Join(indexOf(t, 24, 101), "trivy-java.db"))
	if err != nil {
		t.Fatal(err)
	}
	var signed, plain bytes.Buffer
	for b, sign := range map[*bytes.Buffer]func([]byte) ([]byte, error){&signed: sealed("ours"), &plain: nil} {
		if _, err := (advisory.Exported{Dir: from, Java: index, Sign: sign, Now: clock}).Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	changed := func(bundle []byte, file string, change func([]byte) []byte) []byte {
		return repacked(t, bundle, func(name string, content []byte) []byte {
			if name != file {
				return content
			}
			next := change(bytes.Clone(content))
			if bytes.Equal(next, content) {
				t.Fatalf("%s is unchanged", file)
			}
			return next
		})
	}
	replaced := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
	}
	flipped := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	for name, c := range map[string]struct {
		bundle []byte
		open   func([]byte) ([]byte, error)
	}{
		"cut":             {plain.Bytes()[:plain.Len()-200], nil},
		"another_byte":    {changed(plain.Bytes(), "trivy-java.db", flipped), nil},
		"another_index":   {changed(plain.Bytes(), "trivy-java.db", func([]byte) []byte { return other }), nil},
		"no_index":        {repacked(t, plain.Bytes(), func(name string, c []byte) []byte { return map[bool][]byte{false: c}[name == "trivy-java.db"] }), nil},
		"another_time":    {changed(plain.Bytes(), "java-metadata.json", replaced(`"UpdatedAt":"2026`, `"UpdatedAt":"2025`)), nil},
		"another_digest":  {changed(plain.Bytes(), "bundle.json", replaced(`"artifacts": 100`, `"artifacts": 100, "digest": "sha256:`+strings.Repeat("0", 64)+`"`)), nil},
		"too_large":       {changed(plain.Bytes(), "bundle.json", replaced(`"artifacts": 100`, `"artifacts": 100, "bytes": 99999999999999`)), nil},
		"said_not_to_be":  {changed(plain.Bytes(), "bundle.json", replaced(`"format": 3`, `"format": 1`)), nil},
		"unsigned":        {plain.Bytes(), opened("ours")},
		"said_unsigned":   {changed(signed.Bytes(), "bundle.json", replaced(`"signed": true`, `"signed": false`)), opened("ours")},
		"signed_metadata": {changed(signed.Bytes(), "java-metadata.json", replaced(`{`, `{ `)), opened("ours")},
		"signed_index":    {changed(signed.Bytes(), "trivy-java.db", flipped), opened("ours")},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			in := advisory.Imported{Out: filepath.Join(root, "db"), JavaOut: filepath.Join(root, "java"), Open: c.open, Now: clock}
			before := place(t, in.Out, debianRelease("12", "0"))
			if err := os.CopyFS(in.JavaOut, os.DirFS(indexOf(t, 0, 7))); err != nil {
				t.Fatal(err)
			}
			got, err := in.Read(t.Context(), bytes.NewReader(c.bundle))
			if !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrTooLarge) {
				t.Errorf("got %+v, %v, want ErrInvalid or ErrTooLarge", got, err)
			}
			if db, err := advisory.Inspect(t.Context(), in.Out, clock); err != nil || db.Content != before {
				t.Errorf("the database is %+v, %v", db, err)
			}
			if x, err := advisory.InspectJava(t.Context(), in.JavaOut, clock); err != nil || x.Indices != 7 {
				t.Errorf("the index is %+v, %v", x, err)
			}
			if left, err := os.ReadDir(root); err != nil || len(left) != 2 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// TestIndexGetsOld: an index has a limit of age of its own, which is said and decides
// nothing.
func TestIndexGetsOld(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	java := &mirror{t: t, own: true, java: true, known: map[gate.Digest]string{}}
	java.offer(indexOf(t, 24, 100))
	n := p.nodeWith("", true, func(c *advisory.Config) { c.MaxAge, c.Java.MaxAge = 0, 72*time.Hour })
	n.withIndex(java)
	n.turn(t)
	seen := func() (stale bool, note string) {
		t.Helper()
		d := p.desk()
		d.Compose(advisory.Config{Java: advisory.JavaConfig{MaxAge: 72 * time.Hour}})
		v, err := d.Status(t.Context())
		if err != nil || v.InForce.Java == nil || v.InForce.Java.Stale != n.java().Stale {
			t.Fatalf("the desk says %+v, %v; the process %+v", v.InForce.Java, err, n.java())
		}
		return n.java().Stale, strings.Join(n.m.Status().Notes, "\n")
	}
	if stale, note := seen(); stale || strings.Contains(note, "java.maxAge") {
		t.Errorf("of a day: stale %v, %q", stale, note)
	}
	p.clock.move(49 * time.Hour)
	stale, note := seen()
	if !stale || !strings.Contains(note, "older than advisories.java.maxAge (72h0m0s): archives that were published later stay gaps") {
		t.Errorf("of three days: stale %v, %q", stale, note)
	}
	if f := n.m.Status().Freshness; f != advisory.Fresh {
		t.Errorf("the data is %s because of its index", f)
	}
}
