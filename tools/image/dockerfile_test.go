package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestDockerfile: docker build gives the same files, owners, modes and configuration as
// "make image". The last stage of the Dockerfile is played: its COPY instructions on what
// "image tree" writes, which is the last command of the stage before.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	m := build(t)
	for platform, img := range m.images(t) {
		dir := t.TempDir()
		m.run(t, "tree", "-platform", platform, "-out", dir)
		before, last := stages(t)
		if command := before[len(before)-1]; !strings.Contains(command.rest, "go run . tree ") || !strings.HasSuffix(command.rest, "-out /image") {
			t.Fatalf("the stage before the last does not end with image tree: %q", command)
		}
		files, config := play(t, last, dir, map[string]string{
			"VERSION": testVersion, "REVISION": testRevision, "CREATED": time.Unix(testCreated, 0).UTC().Format(time.RFC3339),
		})
		if diff := cmp.Diff(described(flatten(t, img)), described(files)); diff != "" {
			t.Errorf("%s: files (-make image +Dockerfile):\n%s", platform, diff)
		}
		file, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(file.Config, config); diff != "" {
			t.Errorf("%s: configuration (-make image +Dockerfile):\n%s", platform, diff)
		}
	}
}

// described is a tree in words that can be compared.
func described(files tree) map[string]string {
	d := map[string]string{}
	for name, e := range files {
		mode := e.mode
		if mode&fs.ModeSymlink != 0 {
			mode = fs.ModeSymlink // its permissions mean nothing
		}
		d[name] = fmt.Sprintf("%v %d:%d %s %d bytes %x", mode, e.uid, e.gid, e.link, len(e.content), sha256.Sum256(e.content))
	}
	return d
}

// instruction is one of the Dockerfile, with its flags.
type instruction struct {
	name, rest string
	flags      map[string]string
}

// stages are the last two stages of the Dockerfile.
func stages(t *testing.T) (before, last []instruction) {
	t.Helper()
	raw, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(string(raw), "")
	text = strings.ReplaceAll(text, "\\\n", "")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		i := instruction{name, strings.TrimSpace(rest), map[string]string{}}
		for strings.HasPrefix(i.rest, "--") {
			var flag string
			flag, i.rest, _ = strings.Cut(i.rest, " ")
			key, value, _ := strings.Cut(flag, "=")
			i.flags[key] = value
		}
		if name == "FROM" {
			before, last = last, nil
		}
		last = append(last, i)
	}
	return before, last
}

// play does what a builder does with a stage from scratch. An instruction that it does not
// know fails the test.
func play(t *testing.T, stage []instruction, dir string, args map[string]string) (tree, v1.Config) {
	t.Helper()
	if stage[0].name != "FROM" || stage[0].rest != "scratch" {
		t.Fatalf("the Dockerfile ends with %q, want FROM scratch", stage[0])
	}
	files := tree{}
	config := v1.Config{Labels: map[string]string{}, ExposedPorts: map[string]struct{}{}, Volumes: map[string]struct{}{}}
	words := func(s string) (list []string) {
		if err := json.Unmarshal([]byte(s), &list); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		return list
	}
	for _, i := range stage[1:] {
		switch i.name {
		case "ARG":
			if name, _, _ := strings.Cut(i.rest, "="); args[name] == "" {
				t.Errorf("the Dockerfile has an argument %s that this test does not know", name)
			}
		case "LABEL":
			for _, m := range regexp.MustCompile(`(\S+)="([^"]*)"`).FindAllStringSubmatch(i.rest, -1) {
				config.Labels[m[1]] = os.Expand(m[2], func(name string) string { return args[name] })
			}
		case "COPY":
			from, to, _ := strings.Cut(i.rest, " ")
			within, ok := strings.CutPrefix(from, "/image/")
			if !ok || i.flags["--from"] != "build" || !strings.HasSuffix(from, "/") || !strings.HasSuffix(to, "/") {
				t.Fatalf("COPY %q is not of a folder of the stage build", i.rest)
			}
			copyFolder(t, files, filepath.Join(dir, within), cleanPath(to), i.flags["--chown"])
		case "ENV":
			config.Env = append(config.Env, i.rest)
		case "WORKDIR":
			config.WorkingDir = i.rest
		case "USER":
			config.User = i.rest
		case "VOLUME":
			config.Volumes[i.rest] = struct{}{}
		case "EXPOSE":
			for port := range strings.FieldsSeq(i.rest) {
				config.ExposedPorts[port] = struct{}{}
			}
		case "ENTRYPOINT":
			config.Entrypoint = words(i.rest)
		case "CMD":
			config.Cmd = words(i.rest)
		default:
			t.Errorf("this test does not know %s of a Dockerfile", i.name)
		}
	}
	return files, config
}

// copyFolder is COPY of a folder: what is in it gets one owner and keeps its mode. Builders
// differ in what a folder becomes that they make themselves, so that it has to be there.
func copyFolder(t *testing.T, files tree, from, to, owner string) {
	t.Helper()
	var id int
	if owner != "" {
		if _, err := fmt.Sscanf(owner, "%d:", &id); err != nil || owner != fmt.Sprintf("%d:%d", id, id) {
			t.Fatalf("owner %q is not a number twice", owner)
		}
	}
	copied := tree{}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		within, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		name := cleanPath(filepath.Join(to, within))
		if within == "." {
			if name != "" && !files[name].mode.IsDir() {
				t.Errorf("COPY to /%s, which is not there yet: its mode is the choice of the builder", name)
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode(), uid: id, gid: id}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			e.link, err = os.Readlink(path)
		case info.Mode().IsRegular():
			e.content, err = os.ReadFile(path)
		}
		copied[name] = e
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range copied {
		if files[name].mode.IsDir() && e.mode.IsDir() {
			delete(copied, name)
		}
	}
	maps.Copy(files, copied)
}
