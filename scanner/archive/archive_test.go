package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

var (
	amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = v1.Platform{OS: "linux", Architecture: "arm64"}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func testImage(seed uint64, p v1.Platform) v1.Image {
	return must(fake.RandomImage(seed, p, 3000, 5000))
}

// saved is what docker save writes.
func saved(t *testing.T, images map[string]v1.Image) []byte {
	t.Helper()
	refs := map[name.Reference]v1.Image{}
	for n, img := range images {
		refs[must(name.ParseReference(n))] = img
	}
	var b bytes.Buffer
	if err := tarball.MultiRefWrite(refs, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// laidOut is an image layout in a directory.
func laidOut(t *testing.T, add func(p layout.Path) error) string {
	t.Helper()
	dir := t.TempDir()
	p := must(layout.Write(dir, empty.Index))
	if err := add(p); err != nil {
		t.Fatal(err)
	}
	return dir
}

func packed(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *Archive {
	t.Helper()
	a, err := Open(t.Context(), path, nil, Options{TempDir: t.TempDir(), MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return a
}

// readAll reads an image through a registry client, which checks every byte. The
// type of each layer is what its first bytes say.
func readAll(t *testing.T, a *Archive, root gate.Digest, platforms ...gate.Platform) gate.Manifest {
	t.Helper()
	config := registry.DefaultConfig()
	config.Name, config.Type, config.Host = "local", "distribution", "localhost"
	c := must(registry.New(registry.Options{Registries: []registry.Config{config}, Local: map[string]http.RoundTripper{"local": a.Transport(root)}, Platforms: platforms}))
	loc := gate.Location{Registry: "local", Repository: "any"}
	m, err := c.Resolve(t.Context(), loc, "latest")
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	if head, err := c.Head(t.Context(), loc, "latest"); err != nil || head != m.Digest || head != root {
		t.Errorf("Head: got %s, %v, want %s", head, err, root)
	}
	images := []gate.Digest{}
	if m.Kind == gate.KindImage {
		images = append(images, m.Digest)
	}
	for _, child := range m.Children {
		if child.Judged {
			images = append(images, child.Digest)
		}
	}
	for _, d := range images {
		img, err := c.Image(t.Context(), loc, d)
		if err != nil {
			t.Fatalf("Image: %v", err)
		}
		for _, l := range img.Layers {
			r, err := c.Blob(t.Context(), loc, l.Digest, l.Size)
			var content []byte
			if err == nil {
				content, err = io.ReadAll(r)
				r.Close()
			}
			if zipped := bytes.HasPrefix(content, []byte{0x1f, 0x8b}); err != nil || zipped != strings.HasSuffix(l.MediaType, "gzip") {
				t.Errorf("layer %s of type %s: %v", l.Digest, l.MediaType, err)
			}
		}
	}
	return m
}

func TestForms(t *testing.T) {
	img := testImage(1, amd64)
	docker := saved(t, map[string]v1.Image{"registry.example.com/team/app:1.0": img})
	dir := laidOut(t, func(p layout.Path) error {
		return p.AppendImage(img, layout.WithAnnotations(map[string]string{annotationContainerd: "registry.example.com/team/app:1.0", annotationRefName: "1.0"}))
	})
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	must(zw.Write(docker))
	zw.Close()
	zs := must(zstd.NewWriter(nil))
	plainLayers := func() []byte { // as docker writes them
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		raw := must(img.RawConfigFile())
		put := func(h *tar.Header, content []byte) {
			h.Mode, h.Size = 0o644, int64(len(content))
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			must(w.Write(content))
		}
		var names []string
		for i, l := range must(img.Layers()) {
			r := must(l.Uncompressed())
			n := strings.Repeat("a", i+1) + "/layer.tar"
			put(&tar.Header{Name: n, Typeflag: tar.TypeReg}, must(io.ReadAll(r)))
			names = append(names, n)
		}
		put(&tar.Header{Name: "again/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../aa/layer.tar"}, nil)
		names[1] = "again/layer.tar"
		put(&tar.Header{Name: "config.json", Typeflag: tar.TypeReg}, raw)
		put(&tar.Header{Name: "./manifest.json", Typeflag: tar.TypeReg}, must(json.Marshal([]savedImage{{"config.json", []string{"registry.example.com/team/app:1.0"}, names}})))
		w.Close()
		return b.Bytes()
	}()
	for name, path := range map[string]string{
		"docker_save":         file(t, docker),
		"docker_save_gzip":    file(t, zipped.Bytes()),
		"docker_save_zstd":    file(t, zs.EncodeAll(docker, nil)),
		"docker_plain_layers": file(t, plainLayers),
		"layout_directory":    dir,
		"layout_tar":          file(t, packed(t, dir)),
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, path)
			d, ref, err := a.Choose(gate.Reference{})
			if err != nil || ref.String() != "registry.example.com/team/app:1.0" {
				t.Fatalf("Choose: got %s, %v", ref, err)
			}
			if _, err := a.Contents(d); err != nil {
				t.Errorf("Contents: %v", err)
			}
			m := readAll(t, a, d)
			if m.Kind != gate.KindImage || m.Platform.String() != "linux/amd64" || m.Unassessable != "" {
				t.Errorf("Resolve: got %+v", m)
			}
			if want := gate.Digest(must(img.Digest()).String()); strings.HasPrefix(name, "layout") && d != want {
				t.Errorf("digest: got %s, want %s", d, want)
			}
		})
	}
	t.Run("standard_input", func(t *testing.T) {
		tmp := t.TempDir()
		a, err := Open(t.Context(), "-", bytes.NewReader(docker), Options{TempDir: tmp, MaxBytes: 1 << 20})
		if err != nil || len(a.Images()) != 1 {
			t.Fatalf("Open: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestPlatforms(t *testing.T) {
	one, two := testImage(1, amd64), testImage(2, arm64)
	index := fake.NewIndex(fake.Child{Add: one, Platform: &amd64}, fake.Child{Add: two, Platform: &arm64})
	whole := laidOut(t, func(p layout.Path) error { return p.AppendIndex(index) })
	flat := laidOut(t, func(p layout.Path) error { // as crane and Bazel write it
		return errors.Join(p.AppendImage(one, layout.WithPlatform(amd64)), p.AppendImage(two, layout.WithPlatform(arm64)))
	})
	pulled := laidOut(t, func(p layout.Path) error { return p.AppendIndex(index) })
	layer := must(must(two.Layers())[0].Digest())
	if err := os.Remove(filepath.Join(pulled, "blobs/sha256", layer.Hex)); err != nil {
		t.Fatal(err)
	}
	manifestless := laidOut(t, func(p layout.Path) error { return p.AppendIndex(index) })
	if err := os.Remove(filepath.Join(manifestless, "blobs/sha256", must(two.Digest()).Hex)); err != nil {
		t.Fatal(err)
	}
	x64, a64 := gate.Platform{OS: "linux", Architecture: "amd64"}, gate.Platform{OS: "linux", Architecture: "arm64"}
	for name, c := range map[string]struct {
		dir  string
		want Contents
	}{
		"whole":            {whole, Contents{Whole: []gate.Platform{x64, a64}}},
		"flat":             {flat, Contents{Whole: []gate.Platform{x64, a64}}},
		"lacks_a_layer":    {pulled, Contents{Whole: []gate.Platform{x64}, Lacking: []gate.Platform{a64}}},
		"lacks_a_manifest": {manifestless, Contents{Whole: []gate.Platform{x64}, Lacking: []gate.Platform{a64}}},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, c.dir)
			d, _, err := a.Choose(gate.Reference{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Contents(d)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("Contents: %v (-want +got):\n%s", err, diff)
			}
			if m := readAll(t, a, d, c.want.Whole...); m.Kind != gate.KindIndex || len(m.Children) != 2 {
				t.Errorf("Resolve: got %+v", m)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	one, two := testImage(1, amd64), testImage(2, amd64)
	several := file(t, saved(t, map[string]v1.Image{"registry.example.com/a:1": one, "b:2": two}))
	tagged := laidOut(t, func(p layout.Path) error {
		return errors.Join(p.AppendImage(one, layout.WithAnnotations(map[string]string{annotationRefName: "1.0"})),
			p.AppendImage(two, layout.WithAnnotations(map[string]string{annotationRefName: "2.0"})))
	})
	nameless := laidOut(t, func(p layout.Path) error { return p.AppendImage(one) })
	digest := must(one.Digest()).String()
	for name, c := range map[string]struct {
		path, want, called, problem string
	}{
		"several_by_name":       {several, "docker.io/library/b:2", "docker.io/library/b:2", ""},
		"several_by_short_name": {several, "b:2", "docker.io/library/b:2", ""},
		"several_unnamed":       {several, "", "", "it holds 2 images; say which: "},
		"several_other_name":    {several, "c:3", "", "it holds no image called docker.io/library/c:3, but "},
		"by_tag_alone":          {tagged, "registry.example.com/team/app:2.0", "registry.example.com/team/app:2.0", ""},
		"by_digest":             {tagged, "x@" + digest, "docker.io/library/x@" + digest, ""},
		"of_another_digest":     {nameless, "x@sha256:" + strings.Repeat("0", 64), "", "it does not hold sha256:"},
		"one_under_a_new_name":  {nameless, "registry.example.com/team/app:1", "registry.example.com/team/app:1", ""},
		"one_without_a_name":    {nameless, "", "localhost/archive:latest", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var want gate.Reference
			if c.want != "" {
				want = must(gate.ParseReference(c.want))
			}
			_, got, err := open(t, c.path).Choose(want)
			if c.problem != "" {
				if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("Choose: got %v, want %q", err, c.problem)
				}
				return
			}
			if err != nil || got.String() != c.called {
				t.Errorf("Choose: got %s, %v, want %s", got, err, c.called)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	img := testImage(1, amd64)
	lacking := laidOut(t, func(p layout.Path) error { return p.AppendImage(img) })
	if err := os.Remove(filepath.Join(lacking, "blobs/sha256", must(must(img.Layers())[1].Digest()).Hex)); err != nil {
		t.Fatal(err)
	}
	docker := saved(t, map[string]v1.Image{"a:1": img})
	bomb := must(zstd.NewWriter(nil)).EncodeAll(make([]byte, 2<<20), nil)
	for name, c := range map[string]struct{ path, problem string }{
		"nothing_there":  {filepath.Join(t.TempDir(), "none.tar"), "it cannot be read: no such file or directory"},
		"empty_file":     {file(t, nil), "it is empty"},
		"text":           {file(t, []byte("hello")), "it is not a tar archive"},
		"cut_short":      {file(t, docker[:len(docker)/2]), "it ends in the middle, or is damaged"},
		"other_tar":      {file(t, fake.Tar(map[string]string{"a": "b"})), "neither index.json nor manifest.json"},
		"empty_folder":   {t.TempDir(), "neither index.json nor manifest.json"},
		"xz":             {file(t, []byte("\xfd7zXZ\x00....")), "packed with xz"},
		"bzip2":          {file(t, []byte("BZh91AY&SY")), "packed with bzip2"},
		"too_large":      {file(t, bomb), "is larger than scan.maxImageBytes (1MiB)"},
		"damaged_gzip":   {file(t, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00abc")), "cannot be read to its end"},
		"no_image":       {laidOut(t, func(layout.Path) error { return nil }), "it holds no image"},
		"lacks_a_layer":  {lacking, "it lacks layer sha256:"},
		"lacks_a_file":   {file(t, fake.Tar(map[string]string{"manifest.json": `[{"Config":"c","Layers":["l"]}]`})), `it lacks the file "c"`},
		"damaged_list":   {file(t, fake.Tar(map[string]string{"manifest.json": `{}`})), "is not the JSON list that docker save writes"},
		"damaged_index":  {file(t, fake.Tar(map[string]string{"index.json": `[]`})), "is not the JSON of an index"},
		"damaged_digest": {file(t, fake.Tar(map[string]string{"index.json": `{"manifests":[{"digest":"../../etc"}]}`})), "not a digest"},
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			a, err := Open(t.Context(), c.path, nil, Options{TempDir: tmp, MaxBytes: 1 << 20})
			if err == nil {
				var d gate.Digest
				if d, _, err = a.Choose(gate.Reference{}); err == nil {
					_, err = a.Contents(d)
				}
				a.Close()
			}
			if !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrTooLarge) || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("got %v, want %q", err, c.problem)
			}
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Bytes that are not those of their digest are the reader's to refuse.
func TestChangedBytesAreRefused(t *testing.T) {
	img := testImage(1, amd64)
	dir := laidOut(t, func(p layout.Path) error { return p.AppendImage(img) })
	layer := filepath.Join(dir, "blobs/sha256", must(must(img.Layers())[0].Digest()).Hex)
	content := must(os.ReadFile(layer))
	content[len(content)-1] ^= 1
	if err := os.Chmod(layer, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(layer, content, 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	d, _, _ := a.Choose(gate.Reference{})
	config := registry.DefaultConfig()
	config.Name, config.Type, config.Host = "local", "distribution", "localhost"
	c := must(registry.New(registry.Options{Registries: []registry.Config{config}, Local: map[string]http.RoundTripper{"local": a.Transport(d)}}))
	r, err := c.Blob(t.Context(), gate.Location{Registry: "local", Repository: "any"}, gate.Digest("sha256:"+filepath.Base(layer)), int64(len(content)))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if !errors.Is(err, gate.ErrIntegrity) {
		t.Errorf("reading a changed layer: got %v, want ErrIntegrity", err)
	}
}

// An archive that is cut off anywhere is called cut off, not something that is no image.
func TestCutOff(t *testing.T) {
	whole := saved(t, map[string]v1.Image{"registry.example.com/team/app:1.0": testImage(1, amd64)})
	for n := 600; n < len(whole)-3*512; n += 100 {
		a, err := Open(t.Context(), file(t, whole[:n]), nil, Options{TempDir: t.TempDir(), MaxBytes: 1 << 20})
		if err == nil {
			if _, err = a.Contents(a.Images()[0].Digest); err == nil {
				err = errors.New("nothing: it is whole") // all that is cut is the end marker
				if n < len(whole)-4*512 {
					t.Errorf("cut off at %d of %d: got %v", n, len(whole), err)
				}
			}
			a.Close()
		}
		if text := err.Error(); !strings.Contains(text, "ends in the middle") && !strings.Contains(text, "it lacks") && !strings.Contains(text, "it is whole") {
			t.Errorf("cut off at %d of %d: got %v", n, len(whole), err)
		}
	}
}
