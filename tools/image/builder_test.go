package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestBuilder: a real builder makes the files of "make image" from the last stage of the
// Dockerfile. The stages before it need the network and are played; see TestDockerfile.
func TestBuilder(t *testing.T) {
	t.Parallel()
	buildah, err := exec.LookPath("buildah")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("this test needs buildah, and root: apt-get install buildah")
	}
	m := build(t)
	raw, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(raw), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the Dockerfile has no stage from scratch")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(file, []byte("FROM scratch\n"+last), 0o644); err != nil {
		t.Fatal(err)
	}
	store := []string{"--storage-driver", "vfs", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run")}
	for platform, img := range m.images(t) {
		stage := filepath.Join(dir, strings.ReplaceAll(platform, "/", "-"))
		m.run(t, "tree", "-platform", platform, "-out", filepath.Join(stage, "image"))
		archive := stage + ".tar"
		for _, args := range [][]string{
			{"bud", "--isolation", "chroot", "--build-context", "build=" + stage, "--platform", platform, "-t", "digestgate:test", "-f", file, stage},
			{"push", "digestgate:test", "docker-archive:" + archive},
		} {
			if out, err := exec.Command(buildah, append(append([]string{}, store...), args...)...).CombinedOutput(); err != nil {
				t.Fatalf("buildah %q: %v\n%s", args, err, out)
			}
		}
		built, err := tarball.ImageFromPath(archive, nil)
		if err != nil {
			t.Fatal(err)
		}
		files := flatten(t, built)
		for name := range maps.Clone(files) { // what the builder mounts on
			if name == "proc" || name == "dev" || name == "sys" || name == "run" {
				delete(files, name)
			}
		}
		if diff := cmp.Diff(described(flatten(t, img)), described(files)); diff != "" {
			t.Errorf("%s: files (-make image +buildah):\n%s", platform, diff)
		}
	}
}
