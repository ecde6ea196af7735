package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const (
	testVersion  = "1.2.3+build"
	testRevision = "0123456789abcdef0123456789abcdef01234567"
	testCreated  = 1790000000
)

// made are the files that build writes. Its programs are those that
// DIGESTGATE_IMAGE_PROGRAMS names ("make image-test"), and otherwise this test itself, which
// is a program of Go like them.
type made struct {
	dir, programs string
	platforms     []string
	real          bool // the programs are digestgate's
}

func build(t *testing.T) made {
	t.Helper()
	m := made{dir: t.TempDir(), programs: os.Getenv("DIGESTGATE_IMAGE_PROGRAMS"), real: true}
	if m.programs == "" {
		m.programs, m.real = t.TempDir(), false
		if runtime.GOOS != "linux" {
			t.Skip("this test stands for the programs, and is not one of Linux")
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(self); err != nil || runsOn(raw, "linux/"+runtime.GOARCH) != nil {
			t.Fatalf("this test stands for the programs, and is linked dynamically, %v: run it with CGO_ENABLED=0", err)
		}
		at := filepath.Join(m.programs, "linux-"+runtime.GOARCH)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, p := range programs {
			if err := os.Symlink(self, filepath.Join(at, p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for platform := range machines {
		if _, err := os.Stat(filepath.Join(m.programs, strings.ReplaceAll(platform, "/", "-"))); err == nil {
			m.platforms = append(m.platforms, platform)
		}
	}
	m.run(t, "build", "-out", m.dir, "-platforms", strings.Join(m.platforms, ","),
		"-version", testVersion, "-revision", testRevision, "-created", fmt.Sprint(testCreated))
	return m
}

// packagesDir keeps the packages between runs.
func packagesDir() string {
	if dir := os.Getenv("DIGESTGATE_IMAGE_CACHE"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "digestgate-packages")
}

func (m made) run(t *testing.T, command string, args ...string) {
	t.Helper()
	args = append([]string{command, "-programs", m.programs, "-license", "../../LICENSE", "-cache", packagesDir()}, args...)
	if err := run(t.Context(), args, io.Discard); err != nil {
		if strings.Contains(err.Error(), "no source has it") && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
}

// index is the index of the layout, and all that its index.json names.
func (m made) index(t *testing.T) (v1.ImageIndex, v1.ImageIndex) {
	t.Helper()
	all, err := layout.ImageIndexFromPath(filepath.Join(m.dir, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := all.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	index, err := all.ImageIndex(list.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index, all
}

// images are those of the platforms.
func (m made) images(t *testing.T) map[string]v1.Image {
	t.Helper()
	index, _ := m.index(t)
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]v1.Image{}
	for _, d := range list.Manifests {
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		images[d.Platform.OS+"/"+d.Platform.Architecture] = img
	}
	if len(images) != len(m.platforms) {
		t.Fatalf("got images for %d platforms, want %q", len(images), m.platforms)
	}
	return images
}

// TestSameBytes: two builds at other times and places, with platforms in any order, give the
// same files.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	first, second := build(t), build(t)
	sums := func(dir string) map[string]string {
		list := map[string]string{}
		err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(filepath.Join(dir, path))
			list[path] = fmt.Sprintf("%x", sha256.Sum256(raw))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	got := sums(first.dir)
	if diff := cmp.Diff(got, sums(second.dir)); diff != "" {
		t.Errorf("two builds differ (-first +second):\n%s", diff)
	}
	if len(got) < 8 {
		t.Errorf("only %d files were written: %v", len(got), got)
	}
}

// TestImageFacts: what a cluster and a registry see of the image.
func TestImageFacts(t *testing.T) {
	t.Parallel()
	m := build(t)
	index, _ := m.index(t)
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "org.opencontainers.image."
	want := map[string]string{
		prefix + "version": testVersion, prefix + "revision": testRevision, prefix + "licenses": "Apache-2.0", prefix + "base.name": "scratch",
		prefix + "created": time.Unix(testCreated, 0).UTC().Format(time.RFC3339), prefix + "source": source,
	}
	says := func(what string, got map[string]string) {
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s: %s is %q, want %q", what, key, got[key], value)
			}
		}
	}
	says("index", list.Annotations)
	for platform, img := range m.images(t) {
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		file, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		says(platform+" manifest", manifest.Annotations)
		says(platform+" labels", file.Config.Labels)
		if file.Config.User != "65532:65532" || file.OS+"/"+file.Architecture != platform {
			t.Errorf("%s: user %q, platform %s/%s", platform, file.Config.User, file.OS, file.Architecture)
		}
		files := flatten(t, img)
		for _, path := range []string{"etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Berlin", "usr/share/zoneinfo/Asia/Shanghai",
			"etc/passwd", "etc/group", "usr/local/bin/digestgate", "usr/local/bin/digestgate-analyzer", "var/lib/dpkg/status.d/tzdata"} {
			if len(files[path].content) == 0 && files[path].link == "" {
				t.Errorf("%s: %s is missing or empty", platform, path)
			}
		}
		for path, e := range files {
			own := ownDirs[path] != ""
			if e.mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 || e.mode.IsRegular() && e.mode&0o022 != 0 || (e.uid == user) != own || e.uid != e.gid {
				t.Errorf("%s: %s has mode %v, owner %d:%d", platform, path, e.mode, e.uid, e.gid)
			}
		}
		for path, mode := range map[string]fs.FileMode{"tmp": fs.ModeDir | fs.ModeSticky | 0o777, "var/lib/digestgate": fs.ModeDir | 0o700} {
			if files[path].mode != mode {
				t.Errorf("%s: %s has mode %v, want %v", platform, path, files[path].mode, mode)
			}
		}
		for _, p := range programs {
			if err := runsOn(files[programsDir+p].content, platform); err != nil {
				t.Errorf("%s: %s: %v", platform, p, err)
			}
		}
	}
}

// flatten is the root that a runtime unpacks the layers to.
func flatten(t *testing.T, img v1.Image) tree {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := tree{}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		files, err := readTar(r)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(all, files)
	}
	return all
}

// TestArchives: docker load gets the image of its platform with a tag, and the other
// archive is the layout.
func TestArchives(t *testing.T) {
	t.Parallel()
	m := build(t)
	for platform, img := range m.images(t) {
		file := filepath.Join(m.dir, "digestgate-"+strings.ReplaceAll(platform, "/", "-")+".tar")
		tag, err := name.NewTag("digestgate:1.2.3-build")
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := tarball.ImageFromPath(file, &tag)
		if err != nil {
			t.Fatal(err)
		}
		want, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := loaded.ConfigName(); err != nil || got != want {
			t.Errorf("%s holds %v, %v, want %v", file, got, err, want)
		}
	}
	f, err := os.Open(filepath.Join(m.dir, "digestgate-oci.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed := map[string]bool{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packed[h.Name] = true
	}
	digest, err := os.ReadFile(filepath.Join(m.dir, "digest"))
	if err != nil {
		t.Fatal(err)
	}
	hex := strings.TrimPrefix(strings.TrimSpace(string(digest)), "sha256:")
	for _, path := range []string{"oci-layout", "index.json", "blobs/sha256/" + hex} {
		if !packed[path] {
			t.Errorf("the archive lacks %s", path)
		}
	}
}

// TestPush: a registry gets the index under its tag, and tells by its referrers API which
// SBOM belongs to which platform; one without that API gets the fallback tag.
func TestPush(t *testing.T) {
	t.Parallel()
	m := build(t)
	for _, referrers := range []bool{true, false} {
		server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
		defer server.Close()
		to := strings.TrimPrefix(server.URL, "http://") + "/digestgate/digestgate:1.2.3"
		if err := run(t.Context(), []string{"push", "-layout", filepath.Join(m.dir, "layout"), "-to", to, "-plain-http"}, io.Discard); err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(to)
		if err != nil {
			t.Fatal(err)
		}
		pulled, err := remote.Index(ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(pulled); err != nil {
			t.Error(err)
		}
		for platform, img := range m.images(t) {
			digest, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			list, err := remote.Referrers(ref.Context().Digest(digest.String()))
			if err != nil {
				t.Fatal(err)
			}
			about, err := list.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			// ggcr's registry names the type of the configuration here; the manifest is checked too.
			if len(about.Manifests) != 1 || !referrers && about.Manifests[0].ArtifactType != sbomType {
				t.Fatalf("%s (referrers API: %t): got %+v, want one SBOM", platform, referrers, about.Manifests)
			}
			got := readAttachment(t, ref.Context().Digest(about.Manifests[0].Digest.String()))
			checkSBOM(t, m, platform, digest, got)
		}
	}
}

func readAttachment(t *testing.T, ref name.Digest) []byte {
	t.Helper()
	d, err := remote.Get(ref)
	if err != nil {
		t.Fatal(err)
	}
	var a artifact
	if err := json.Unmarshal(d.Manifest, &a); err != nil {
		t.Fatal(err)
	}
	if a.ArtifactType != sbomType {
		t.Errorf("%s is of type %q, want %q", ref, a.ArtifactType, sbomType)
	}
	layer, err := remote.Layer(ref.Context().Digest(a.Layers[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// checkSBOM looks for what is known to be in the image.
func checkSBOM(t *testing.T, m made, platform string, image v1.Hash, raw []byte) {
	t.Helper()
	var b cdx.BOM
	if err := cdx.NewBOMDecoder(strings.NewReader(string(raw)), cdx.BOMFileFormatJSON).Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.Metadata.Component.Version != image.String() {
		t.Errorf("%s: the SBOM is of %s, want %s", platform, b.Metadata.Component.Version, image)
	}
	has := map[string]bool{}
	for _, c := range *b.Components {
		has[c.BOMRef] = true
	}
	want := []string{"file:/usr/local/bin/digestgate", "file:/usr/local/bin/digestgate-analyzer",
		"pkg:deb/debian/tzdata@2026f-0%2Bdeb12u1?arch=all&distro=debian-12", "pkg:golang/stdlib@v" + strings.TrimPrefix(runtime.Version(), "go")}
	if m.real {
		want = append(want, "pkg:golang/github.com/aquasecurity/trivy@v0.74.0", "pkg:golang/github.com/labstack/echo/v4@v4.16.0")
	} else {
		want = append(want, "pkg:golang/github.com/google/go-containerregistry@v0.22.1")
	}
	for _, ref := range want {
		if !has[ref] {
			t.Errorf("%s: the SBOM lacks %s", platform, ref)
		}
	}
	for _, d := range *b.Dependencies {
		for _, ref := range *d.Dependencies {
			if !has[ref] {
				t.Errorf("%s: %s depends on %s, which is not in the SBOM", platform, d.Ref, ref)
			}
		}
	}
}

// TestFetch: the checksum decides, and a version that left the mirror comes from the next
// source.
func TestFetch(t *testing.T) {
	t.Parallel()
	content := "a package"
	p := debianPackage{"debian", "pool/main/p/p", "p", "1.0+x~y", fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
	const path = "/debian/pool/main/p/p/p_1.0%2bx%7ey_all.deb"
	serve := func(bodies ...string) (string, *int) {
		asked := new(int)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*asked++
			if r.URL.EscapedPath() != path || len(bodies) == 0 {
				http.NotFound(w, r)
				return
			}
			_, _ = io.WriteString(w, bodies[0])
		}))
		t.Cleanup(s.Close)
		return s.URL, asked
	}
	gone, _ := serve()
	other, _ := serve("another package")
	large, _ := serve(strings.Repeat("x", maxPackage+1))
	good, asked := serve(content)
	f := fetcher{cache: filepath.Join(t.TempDir(), "packages"), mirrors: []string{gone, other, large}}
	_, err := f.fetch(t.Context(), p)
	for _, part := range []string{"404", "its SHA-256 is", "larger than", "put the file into"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q in it", err, part)
		}
	}
	f.mirrors = append(f.mirrors, good)
	for range 2 {
		if raw, err := f.fetch(t.Context(), p); err != nil || string(raw) != content {
			t.Errorf("got %q, %v", raw, err)
		}
	}
	if *asked != 1 {
		t.Errorf("the mirror was asked %d times, want once", *asked)
	}
	if err := os.WriteFile(filepath.Join(f.cache, p.file()), []byte("spoilt"), 0o644); err != nil {
		t.Fatal(err)
	}
	if raw, err := f.fetch(t.Context(), p); err != nil || string(raw) != content || *asked != 2 {
		t.Errorf("after the cached file was spoilt: got %q, %v, asked %d times", raw, err, *asked)
	}
	if got, want := debianPackages[1].url(snapshot), "https://snapshot.debian.org/archive/debian-security/"+snapshotTime+"/pool/updates/main/t/tzdata/tzdata_2026f-0%2bdeb12u1_all.deb"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRefusesPrograms: an image with a program that cannot run in it is not made.
func TestRefusesPrograms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, platform, want string }{
		"script":   {"#!/bin/sh\n", "linux/amd64", "it is not an ELF file"},
		"platform": {"", "linux/riscv64", "is not one of"},
	} {
		if err := runsOn([]byte(c.content), c.platform); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	other := map[string]string{"amd64": "linux/arm64", "arm64": "linux/amd64"}[runtime.GOARCH]
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := runsOn(self, other); err == nil || !strings.Contains(err.Error(), "it is for") {
		t.Errorf("got %v, want a refusal of another processor", err)
	}
	if shell, err := os.ReadFile("/bin/sh"); err == nil {
		if err := runsOn(shell, "linux/"+runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "linked dynamically") {
			t.Errorf("/bin/sh: got %v, want a refusal of a dynamic program", err)
		}
	}
}
