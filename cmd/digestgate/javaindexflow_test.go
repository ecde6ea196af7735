package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha1" //nolint:gosec // what Java archives are known by
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex/javaindextest"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestJavaIndexReachesAdmission plays the whole way of an index of Java archives: a registry
// serves the database and, later, the index; two processes serve. An archive that does not
// say what it is is a gap first; with the index it has a name on both, without a pull. The
// index is downloaded once: the other process has it from the first, by its private
// listener. An index that names the archive otherwise names it otherwise.
func TestJavaIndexReachesAdmission(t *testing.T) {
	t.Parallel()
	mirror, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mirror.Close() })
	databaseArtifact(t, mirror, datedDatabase(t, 3, func(string) bool { return false }))
	var jar bytes.Buffer
	archive := zip.NewWriter(&jar)
	w, err := archive.Create("acme/Widget.class")
	if err == nil {
		_, err = w.Write([]byte("\xca\xfe\xba\xbe"))
	}
	if err != nil || archive.Close() != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha1.Sum(jar.Bytes())) //nolint:gosec // as above
	index := func(hoursAgo int, artifact string) {
		t.Helper()
		javaArtifact(t, mirror, javaindextest.Make(t, time.Now().Add(-time.Duration(hoursAgo)*time.Hour), javaindextest.Row{Group: "acme", Artifact: artifact, Version: "1.2.3", SHA1: sum}))
	}

	f := newFleet(t, redistest.Plain(t, redistest.Options{}).URL(), "")
	f.data = fmt.Sprintf(`{repositories: [{repository: "%[1]s/mirror/trivy-db:2", insecure: true, own: true}], java: {repositories: [{repository: "%[1]s/mirror/trivy-java-db:1", insecure: true, own: true}]}, stale: allow}`, mirror.Host)
	one, other := f.process("", 3, "serve"), f.process("", 3, "serve")
	one.start()
	other.start()
	both := []*server{one, other}
	standing := func(s *server) (v gate.AdvisoryData) {
		t.Helper()
		if err := s.client().Call(t.Context(), http.MethodGet, "/advisories", nil, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	eventually(t, "the database in force, and why there is no index", time.Minute, func() bool {
		v := standing(one)
		return v.InForce.Number == 1 && v.InForce.Java == nil && v.JavaRefresh != nil && v.JavaRefresh.Problem != ""
	})
	app := one.pushDebian("team/app", "v1", demo.Updated, map[string]string{"app/widget.jar": jar.String()})
	one.deliver(hookSecret, "team/app", "v1", app)
	one.until(app, time.Minute, scanned)
	if v := findingsOf(t, one, app); !unnamedArchive(v) || len(v.NamedArchives) != 0 {
		t.Fatalf("without an index the archive is no gap: %+v", v)
	}
	pulled := f.registry.Count(http.MethodGet, "/blobs/")

	token := one.tokenFile()
	bring := func(hoursAgo int, artifact string, number int64) {
		t.Helper()
		index(hoursAgo, artifact)
		if code, _, errs := command(t, "advisories", "update", "--server", one.urls["http"], "--token-file", token); code != 0 {
			t.Fatalf("advisories update: exit %d: %s", code, errs)
		}
		for _, s := range both {
			eventually(t, "the index in use", time.Minute, func() bool {
				v := standing(s)
				return v.InForce.Number == number && v.InForce.Java != nil && v.InForce.Java.Archives == 1 && !v.InForce.Java.Stale
			})
			eventually(t, "the archive has the name "+artifact, time.Minute, func() bool {
				v := findingsOf(t, s, app)
				return !unnamedArchive(v) && len(v.NamedArchives) == 1 && v.NamedArchives[0].Name == "acme:"+artifact && v.NamedArchives[0].Version == "1.2.3"
			})
		}
	}
	bring(2, "widget", 2)
	bring(1, "gadget", 3)
	if now := f.registry.Count(http.MethodGet, "/blobs/"); now != pulled {
		t.Errorf("%d blobs were pulled for a name", now-pulled)
	}
	if n := mirror.Count(http.MethodGet, "trivy-java-db/blobs/"); n > 4 { // two indices, with their configurations
		t.Errorf("%d blobs of two indices were read by two processes", n)
	}
}

// findingsOf is what a process says of an image.
func findingsOf(t *testing.T, s *server, d gate.Digest) (v view.FindingsDetail) {
	t.Helper()
	if err := s.client().Call(t.Context(), http.MethodGet, "/images/"+string(d)+"/findings", nil, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// unnamedArchive reports whether the archive of the test is one that nothing names.
func unnamedArchive(v view.FindingsDetail) bool {
	return slices.ContainsFunc(v.Errors, func(e gate.AnalyzerError) bool { return strings.Contains(fmt.Sprint(e), "app/widget.jar") })
}
