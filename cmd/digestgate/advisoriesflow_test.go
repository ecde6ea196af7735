package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// databaseArtifact pushes a database as Trivy's project publishes it.
func databaseArtifact(t *testing.T, reg *fake.Registry, dir string) gate.Digest {
	t.Helper()
	return dataArtifact(t, reg, dir, "trivy.db", "mirror/trivy-db", "2", "db")
}

// javaArtifact pushes an index of Java archives, likewise.
func javaArtifact(t *testing.T, reg *fake.Registry, dir string) gate.Digest {
	t.Helper()
	return dataArtifact(t, reg, dir, javaindex.File, "mirror/trivy-java-db", "1", "javadb")
}

// dataArtifact pushes a file of a directory with its metadata; kind is its word in the
// names of media types.
func dataArtifact(t *testing.T, reg *fake.Registry, dir, file, repository, tag, kind string) gate.Digest {
	t.Helper()
	var layer bytes.Buffer
	zip := gzip.NewWriter(&layer)
	archive := tar.NewWriter(zip)
	for _, name := range []string{file, "metadata.json"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg})
		}
		if err == nil {
			_, err = archive.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := reg.PutArtifact(repository, tag, fake.Artifact{
		ArtifactType: "application/vnd.aquasec.trivy.config.v1+json",
		Config:       fake.Blob{MediaType: "application/vnd.aquasec.trivy.config.v1+json", Content: []byte("{}")},
		Layers: []fake.Blob{{
			MediaType: "application/vnd.aquasec.trivy." + kind + ".layer.v1.tar+gzip", Content: layer.Bytes(),
			Annotations: map[string]string{"org.opencontainers.image.title": kind + ".tar.gz"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// datedDatabase builds the demo's advisories as of some hours ago, without those that
// leave says.
func datedDatabase(t *testing.T, hoursAgo int, leave func(line string) bool) string {
	t.Helper()
	sources := fstest.MapFS{}
	for _, name := range []string{"bookworm.yaml", "nvd.yaml"} {
		var lines []string
		for line := range strings.SplitSeq(read(t, "demo/advisories/"+name), "\n") {
			if !leave(line) {
				lines = append(lines, line)
			}
		}
		sources[name] = &fstest.MapFile{Data: []byte(strings.Join(lines, "\n"))}
	}
	out := filepath.Join(t.TempDir(), "db")
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: sources, Out: out, UpdatedAt: time.Now().Add(-time.Duration(hoursAgo) * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAdvisoryReachesAdmission plays the whole way of an advisory: a repository has
// generation A, two processes serve; one advisory is new in B; B is downloaded by one of
// them, compared with A, one image of several is decided again, and the other replica
// refuses it. Nothing is pulled, nothing is charged. A rollback admits it again.
func TestAdvisoryReachesAdmission(t *testing.T) {
	t.Parallel()
	mirror, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mirror.Close() })
	a := databaseArtifact(t, mirror, datedDatabase(t, 3, func(line string) bool { return strings.Contains(line, "package: expat") }))
	f := newFleet(t, redistest.Plain(t, redistest.Options{}).URL(), "")
	chat := newChat(t)
	f.extra = fmt.Sprintf("notifications: [{name: chat, type: webhook, urlFile: %q, secretFile: %q, caFile: %q, events: [verdicts], gather: 2s}]\n", chat.urlFile, chat.secretFile, chat.caFile)
	f.data = fmt.Sprintf("{repositories: [{repository: %q, insecure: true, own: true}], stale: allow}", mirror.Host+"/mirror/trivy-db:2")
	one, other := f.process("", 3, "serve"), f.process("", 3, "serve")
	one.start()
	other.start()

	standing := func(s *server) (v gate.AdvisoryData) {
		t.Helper()
		if err := s.client().Call(t.Context(), http.MethodGet, "/advisories", nil, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	uses := func(s *server, number int64) bool {
		return strings.Contains(s.log.String(), fmt.Sprintf(`msg="advisory data is in use" generation=%d `, number))
	}
	eventually(t, "generation A in both", time.Minute, func() bool { return uses(one, 1) && uses(other, 1) })
	if v := standing(other); v.InForce.Number != 1 || !strings.HasSuffix(v.InForce.Sources[0].From, string(a)) || v.Waiting != "" {
		t.Fatalf("status: %+v", v)
	}
	if n := mirror.Count(http.MethodGet, "/blobs/"); n > 2 { // the layer, and the configuration
		t.Errorf("%d blobs were read from the mirror by two processes", n)
	}

	affected := one.pushDebian("team/app", "v1", demo.Released, nil)
	without := slices.DeleteFunc(slices.Clone(demo.Updated), func(p [3]string) bool { return p[1] == "expat" })
	images := []gate.Digest{affected}
	for i := range 4 {
		images = append(images, one.pushDebian("team/app", fmt.Sprint("u", i), without, map[string]string{"n": fmt.Sprint(i)}))
	}
	for i, d := range images {
		one.deliver(hookSecret, "team/app", fmt.Sprint("t", i), d)
	}
	onOne, onOther := one.reviewer(one), other.reviewer(one)
	for _, d := range images {
		other.until(d, time.Minute, scanned)
		if got := onOther(f.image(d)); !got.allowed {
			t.Fatalf("with generation A: %s", got)
		}
	}
	charged, pulled := one.quota().Used, f.registry.Count(http.MethodGet, "/blobs/")

	databaseArtifact(t, mirror, datedDatabase(t, 2, func(string) bool { return false }))
	token := one.tokenFile()
	if code, _, errs := command(t, "advisories", "update", "--server", one.urls["http"], "--token-file", token); code != 0 {
		t.Fatalf("advisories update: exit %d: %s", code, errs)
	}
	eventually(t, "generation B in both", time.Minute, func() bool { return uses(one, 2) && uses(other, 2) })
	eventually(t, "both replicas refuse the image", time.Minute, func() bool {
		return onOne(f.image(affected)).code == "POLICY" && onOther(f.image(affected)).code == "POLICY"
	})
	logs := func() string { return one.log.String() + other.log.String() }
	eventually(t, "the difference is known, and concerns one image of several", time.Minute, func() bool {
		return strings.Contains(logs(), fmt.Sprintf(`msg="advisory data compared with the former" generation=2 former=1 images=%d unchanged=%d `, len(images), len(images)-1))
	})
	other.until(affected, time.Minute, func(v view.ImageDetail) bool { return v.Verdict != nil && v.Verdict.Decision == gate.OutcomeDeny })
	// A sweep matches it unless a review was faster; nobody matches another one.
	for _, m := range regexp.MustCompile(`msg="stored images matched again".* matched=(\d+)`).FindAllStringSubmatch(logs(), -1) {
		if m[1] != "1" {
			t.Errorf("%s images were matched again, want one", m[1])
		}
	}
	for _, d := range images[1:] {
		if got := onOther(f.image(d)); !got.allowed {
			t.Errorf("an image without the package: %s", got)
		}
	}
	eventually(t, "the flip is notified", time.Minute, func() bool { return len(chat.taken()) == 1 })
	flip := func(m notify.Message, before, after gate.Outcome) {
		t.Helper()
		if len(m.Items) != 1 || m.Items[0].Digest != affected || m.Items[0].Before != before || m.Items[0].After != after || m.Totals.Denied+m.Totals.Flipped != 1 {
			t.Errorf("notified: %+v, want one flip of %s from %s to %s", m, affected, before, after)
		}
	}
	flip(chat.taken()[0], gate.OutcomeAllow, gate.OutcomeDeny)
	unpulled := func(when string) {
		t.Helper()
		if now := f.registry.Count(http.MethodGet, "/blobs/"); now != pulled {
			t.Errorf("%s: %d blobs were pulled", when, now-pulled)
		}
		if now := one.quota().Used; now != charged {
			t.Errorf("%s: %d were charged", when, now-charged)
		}
	}
	unpulled("after B")

	code, out, errs := command(t, "advisories", "rollback", "--reason", "a test", "--server", other.urls["http"], "--token-file", other.tokenFile())
	if code != 0 || !strings.Contains(out, "generation 3") {
		t.Fatalf("advisories rollback: exit %d: %s%s", code, out, errs)
	}
	eventually(t, "both replicas admit the image again", time.Minute, func() bool {
		return onOne(f.image(affected)).allowed && onOther(f.image(affected)).allowed
	})
	before := standing(one).CheckedAt
	if code, _, errs := command(t, "advisories", "update", "--server", one.urls["http"], "--token-file", token); code != 0 {
		t.Fatalf("advisories update: exit %d: %s", code, errs)
	}
	eventually(t, "the repository was asked again", time.Minute, func() bool { return standing(one).CheckedAt.After(before) })
	if v := standing(other); v.InForce.Number != 3 || v.RolledBack == nil || v.RolledBack.Number != 2 || v.RolledBack.Reason != "a test" {
		t.Errorf("after the rollback: %+v", v)
	}
	eventually(t, "the flip back is notified", time.Minute, func() bool { return len(chat.taken()) == 2 })
	flip(chat.taken()[1], gate.OutcomeDeny, gate.OutcomeAllow)
	unpulled("after the rollback")
	for _, s := range []*server{one, other} {
		if strings.Contains(s.log.String(), chat.secret) {
			t.Error("the log tells the address of the chat")
		}
	}
}
