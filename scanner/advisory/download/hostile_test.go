package download

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestHostileContent: what a mirror may serve instead. None of it is handed on or stays on
// the disk, the reason is told, and the next mirror serves.
func TestHostileContent(t *testing.T) {
	meta := entry{name: "metadata.json", content: []byte("{}")}
	db := entry{name: "trivy.db", content: []byte("content")}
	many := []entry{db, meta}
	for range 20 {
		many = append(many, entry{name: "./", header: tar.Header{Typeflag: tar.TypeDir}})
	}
	good := packed(t, db, meta)
	type served struct {
		put  func(r *fake.Registry)
		want string
		is   error
	}
	archive := func(entries ...entry) func(*fake.Registry) {
		return func(r *fake.Registry) { put(t, r, "2", packed(t, entries...)) }
	}
	layer := func(b []byte) func(*fake.Registry) { return func(r *fake.Registry) { put(t, r, "2", b) } }
	raw := func(manifest string) func(*fake.Registry) {
		return func(r *fake.Registry) {
			if _, err := r.PutManifest("trivy-db", "2", "application/vnd.oci.image.manifest.v1+json", []byte(manifest)); err != nil {
				t.Fatal(err)
			}
		}
	}
	descriptor := func(size int64, digest gate.Digest, mediaType string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`, mediaType, digest, size)
	}
	kind := Database().LayerType
	for name, c := range map[string]served{
		"other_type":       {raw(descriptor(10, fake.DigestOf(good), "application/vnd.oci.image.layer.v1.tar+gzip")), "media type", gate.ErrInvalid},
		"java_type":        {raw(descriptor(10, fake.DigestOf(good), JavaIndex().LayerType)), "media type", gate.ErrInvalid},
		"two_layers":       {func(r *fake.Registry) { put(t, r, "2", good, good) }, "2 layers", gate.ErrInvalid},
		"no_layers":        {func(r *fake.Registry) { put(t, r, "2") }, "0 layers", gate.ErrInvalid},
		"an_index":         {raw(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}`), "an index", gate.ErrInvalid},
		"not_json":         {raw("hello"), "parsing the manifest", gate.ErrInvalid},
		"huge":             {raw(descriptor(1<<40, fake.DigestOf(good), kind)), "at most", gate.ErrInvalid},
		"negative":         {raw(descriptor(-1, fake.DigestOf(good), kind)), "at most", gate.ErrInvalid},
		"no_digest":        {raw(descriptor(10, "sha512:00", kind)), "has the digest", gate.ErrInvalid},
		"absent_layer":     {raw(descriptor(10, fake.DigestOf([]byte("absent")), kind)), "404", gate.ErrNotFound},
		"longer_than_said": {func(r *fake.Registry) { _, _ = r.PutBlob(good); raw(descriptor(10, fake.DigestOf(good), kind))(r) }, "size", gate.ErrIntegrity},
		"shorter_than_said": {func(r *fake.Registry) {
			_, _ = r.PutBlob(good)
			raw(descriptor(int64(len(good))+9, fake.DigestOf(good), kind))(r)
		}, "size", gate.ErrIntegrity},
		"other_bytes": {func(r *fake.Registry) {
			_ = r.PutBlobAs(fake.DigestOf(good), bytes.Repeat([]byte("x"), len(good)))
			raw(descriptor(int64(len(good)), fake.DigestOf(good), kind))(r)
		}, "digest", gate.ErrIntegrity},
		"not_gzip":        {layer([]byte("hello, this is not gzip")), "not gzip", gate.ErrInvalid},
		"not_tar":         {layer(zipped(t, bytes.Repeat([]byte("x"), 5000))), "archive", gate.ErrInvalid},
		"gzip_cut":        {layer(good[:len(good)-10]), "archive", gate.ErrInvalid},
		"empty":           {archive(), "no metadata.json and no trivy.db", gate.ErrInvalid},
		"no_metadata":     {archive(db), "no metadata.json", gate.ErrInvalid},
		"another_file":    {archive(db, meta, entry{name: "x", content: []byte("x")}), `"x"`, gate.ErrInvalid},
		"twice":           {archive(db, db, meta), "twice", gate.ErrInvalid},
		"many":            {archive(many...), "more than 16", gate.ErrInvalid},
		"traversal":       {archive(entry{name: "../trivy.db", content: []byte("x")}, meta), "../trivy.db", gate.ErrInvalid},
		"deep_traversal":  {archive(entry{name: "./../../trivy.db", content: []byte("x")}, meta), "trivy.db", gate.ErrInvalid},
		"absolute":        {archive(entry{name: "/trivy.db", content: []byte("x")}, meta), "/trivy.db", gate.ErrInvalid},
		"symbolic_link":   {archive(entry{name: "trivy.db", header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, meta), "not a plain file", gate.ErrInvalid},
		"hard_link":       {archive(meta, entry{name: "trivy.db", header: tar.Header{Typeflag: tar.TypeLink, Linkname: "metadata.json"}}), "not a plain file", gate.ErrInvalid},
		"device":          {archive(entry{name: "trivy.db", header: tar.Header{Typeflag: tar.TypeBlock}}, meta), "not a plain file", gate.ErrInvalid},
		"a_directory":     {archive(entry{name: "trivy.db/", header: tar.Header{Typeflag: tar.TypeDir}}, meta), "does not belong", gate.ErrInvalid},
		"sparse":          {layer(zipped(t, sparseArchive())), "not a plain file", gate.ErrInvalid},
		"sparse_today":    {layer(zipped(t, paxSparseArchive())), "not a plain file", gate.ErrInvalid},
		"metadata_large":  {archive(db, entry{name: "metadata.json", content: make([]byte, 70<<10)}), "at most 64", gate.ErrInvalid},
		"bomb":            {archive(entry{name: "trivy.db", content: make([]byte, 100<<20)}, meta), "times the size of the layer", gate.ErrInvalid},
		"bomb_behind":     {layer(zipped(t, append(unzipped(t, good), make([]byte, 80<<20)...))), "archive", gate.ErrInvalid},
		"garbage_behind":  {layer(append(bytes.Clone(good), "garbage"...)), "archive", gate.ErrInvalid},
		"another_archive": {layer(append(bytes.Clone(good), zipped(t, make([]byte, 3<<20))...)), "more follows", gate.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			bad, fine := start(t, fake.Options{}), start(t, fake.Options{})
			c.put(bad)
			alone := newDownloader(t, Options{Repositories: []Repository{at(bad)}})
			got, err := alone.Fetch(t.Context(), Request{})
			if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %v, %v, want %q", got, err, c.want)
			}
			if left := leftovers(t, alone.dir); len(left) != 0 {
				t.Errorf("left on the disk: %v", left)
			}
			if s := alone.Mirrors()[0]; s.State != MirrorResting || s.Problem == "" || strings.Contains(s.Problem, "\n") {
				t.Errorf("status %+v", s)
			}
			put(t, fine, "2", good)
			both := newDownloader(t, Options{Repositories: []Repository{at(bad), at(fine)}})
			if got, err := both.Fetch(t.Context(), Request{}); err != nil || got.Layer != fake.DigestOf(good) {
				t.Errorf("with another mirror: got %v, %v", got, err)
			}
		})
	}
}

// sparseArchive has a file of 10 GiB of which nothing is stored, as old GNU tar writes it.
func sparseArchive() []byte {
	h := rawHeader("trivy.db", tar.TypeGNUSparse, 0)
	copy(h[257:], "ustar  \x00")                    // magic of GNU
	copy(h[386:], "00000000000\x0000000000000\x00") // one piece, empty
	copy(h[483:], "120000000000\x00")               // real size, 10 GiB
	return append(summed(h), make([]byte, 1024)...)
}

// paxSparseArchive is likewise, as tar writes it today: a plain file with records.
func paxSparseArchive() []byte {
	var records []byte
	for _, r := range []string{"GNU.sparse.major=0", "GNU.sparse.minor=1", "GNU.sparse.size=10737418240", "GNU.sparse.numblocks=1", "GNU.sparse.map=10737418240,0"} {
		n := len(r) + 2
		for len(fmt.Sprintf("%d %s\n", n, r)) != n {
			n++
		}
		records = fmt.Appendf(records, "%d %s\n", n, r)
	}
	block := make([]byte, 512)
	copy(block, records)
	archive := append(summed(rawHeader("pax", tar.TypeXHeader, len(records))), block...)
	archive = append(archive, summed(rawHeader("trivy.db", tar.TypeReg, 0))...)
	return append(archive, make([]byte, 1024)...)
}

func rawHeader(name string, kind byte, size int) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000600\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", size))
	copy(h[136:], "00000000000\x00") // time
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	return h
}

// summed is a header with its checksum.
func summed(h []byte) []byte {
	sum := 0
	copy(h[148:], "        ")
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

func unzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for name, content := range map[string]string{"trivy.db": "content", "metadata.json": "{}"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || len(b) == 0 {
		t.Fatal(err)
	}
	return raw.Bytes()
}

// TestDiskFull: too little space is noticed before anything is transferred and while it
// is, the space is given back, and no mirror is blamed.
func TestDiskFull(t *testing.T) {
	r := start(t, fake.Options{})
	layer := data(t, 1, 40<<20)
	put(t, r, "2", layer)
	for name, c := range map[string]struct {
		free  func() func(string) (int64, error)
		blobs int
	}{
		"before": {func() func(string) (int64, error) {
			return func(string) (int64, error) { return reserve + int64(len(layer)), nil }
		}, 0},
		"during": {func() func(string) (int64, error) {
			n := 0
			return func(string) (int64, error) {
				if n++; n > 3 {
					return reserve - 1, nil
				}
				return plenty, nil
			}
		}, 1},
		"while_unpacking": {func() func(string) (int64, error) {
			n := 0
			return func(string) (int64, error) {
				if n++; n > 8 {
					return reserve - 1, nil
				}
				return plenty, nil
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r.Reset()
			d := newDownloader(t, Options{Repositories: []Repository{at(r)}, free: c.free()})
			_, err := d.Fetch(t.Context(), Request{})
			if !errors.Is(err, gate.ErrResource) || !strings.Contains(err.Error(), "make room") || !strings.Contains(err.Error(), d.dir) {
				t.Errorf("got %v", err)
			}
			if left := leftovers(t, d.dir); len(left) != 0 {
				t.Errorf("left on the disk: %v", left)
			}
			if s := d.Mirrors()[0]; s.State != MirrorUnasked || s.Failures != 0 {
				t.Errorf("the mirror is blamed: %+v", s)
			}
			if n := r.Count("GET", "/blobs/"); n != c.blobs {
				t.Errorf("the layer was asked for %d times, want %d", n, c.blobs)
			}
		})
	}
}

// TestDiskFull_really: the disk itself refuses, on a file system of 16 MiB.
func TestDiskFull_really(t *testing.T) {
	dir := smallDisk(t, 16<<20)
	r := start(t, fake.Options{})
	put(t, r, "2", data(t, 1, 40<<20))
	d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Dir: filepath.Join(dir, "advisories")})
	if _, err := d.Fetch(t.Context(), Request{}); !errors.Is(err, gate.ErrResource) {
		t.Errorf("got %v", err)
	}
	if left := leftovers(t, d.dir); len(left) != 0 {
		t.Errorf("left on the disk: %v", left)
	}
	put(t, r, "2", data(t, 2, 1<<20))
	if c, err := d.Fetch(t.Context(), Request{}); err != nil {
		t.Errorf("with less data: got %v, %v", c, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o600); err != nil {
		t.Errorf("the disk stays full: %v", err)
	}
}
