package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// What operations.md tells operators to give: 384 MiB for the server, and the
// memory of each child.
const (
	limitChildren = 2
	limitChild    = 512 << 20
	limitServer   = 384 << 20
)

// TestStaysWithinItsMemory: under the limit that is documented nothing is killed,
// whatever is in the layers, and an image beside them is judged meanwhile.
func TestStaysWithinItsMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("analyses layers that are made to take memory, half a minute")
	}
	group := newMemoryGroup(t, limitServer+limitChildren*limitChild)
	s := newServer(t, fmt.Sprintf("scan: {concurrency: %d, childMemory: %d}\n", limitChildren, limitChild))
	s.within = group
	s.start()
	peak := s.watchMemory(group)

	const repo = "team/hostile"
	good := s.pushDebian("team/app", "v1", demo.Released, nil)
	s.pushDebian(repo, "", demo.Released, nil) // the same, for the index
	hostile := map[string]struct {
		digest gate.Digest
		state  gate.State
		says   string // of what is unassessable
	}{
		"whiteouts":   {s.pushLayers(repo, "whiteouts", demo.Root(demo.Released, "amd64"), whiteouts(t, 1_500_000)), gate.StateScanned, ""},
		"packages":    {s.pushLayers(repo, "packages", debianOf(500_000, "p%d", "1")), gate.StateScanned, ""},
		"findings":    {s.pushLayers(repo, "findings", debianOf(8_000, "libexpat1", "2.5.0-1~%d")), gate.StateScanned, ""},
		"findings2":   {s.pushLayers(repo, "findings2", debianOf(30_000, "libexpat1", "2.5.0-1~%d")), gate.StateUnassessable, "the inventory takes"},
		"secrets":     {s.pushLayers(repo, "secrets", demo.Root(demo.Released, "amd64"), keys(3_000)), gate.StateScanned, ""},
		"large_index": {s.pushLargeIndex(repo, "large_index", good), gate.StateUnassessable, "more than 200 descriptors"},
	}
	for name, h := range hostile {
		if status, answer := s.deliver(hookSecret, repo, name, h.digest); status != http.StatusAccepted {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if status, answer := s.deliver(hookSecret, "team/app", "v1", good); status != http.StatusAccepted {
		t.Errorf("%d %s", status, answer)
	}
	start := time.Now()
	if v := s.until(good, 3*time.Minute, scanned); v.Verdict.Decision != gate.OutcomeDeny || v.Counts.Critical != 2 {
		t.Errorf("the image beside them: %+v, %+v", v.Verdict, v.Counts)
	}
	t.Logf("the image beside them after %s", time.Since(start).Round(time.Millisecond))
	for name, h := range hostile {
		v := s.until(h.digest, 4*time.Minute, func(v view.ImageDetail) bool {
			return v.State == gate.StateScanned || v.State == gate.StateUnassessable || v.State == gate.StateFailed
		})
		t.Logf("%s after %s: %s, %+v, counts %+v", name, time.Since(start).Round(time.Millisecond), v.State, v.Unassessable, v.Counts)
		if v.State != h.state || !strings.Contains(v.Unassessable, h.says) {
			t.Errorf("%s: got %s %q, want %s %q", name, v.State, v.Unassessable, h.state, h.says)
		}
	}
	server, all := peak()
	t.Logf("the server took %d MiB of %d, all together %d MiB of %d, at the limit %d times", server>>20, limitServer>>20, all>>20, (limitServer+limitChildren*limitChild)>>20, group.refused(t))
	if most := int64(limitServer + limitChildren*limitChild); all > most {
		t.Errorf("all together took %d MiB, want %d at most", all>>20, most>>20)
	}
	if n := group.kills(t); n > 0 {
		t.Errorf("the kernel has killed %d processes for want of memory", n)
	}
	if server > limitServer {
		t.Errorf("the server took %d MiB, want %d at most", server>>20, limitServer>>20)
	}
	if log := s.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "signal: killed") {
		t.Error("a process was killed or has panicked")
	}
}

var residentPeak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// watchMemory looks at what the server and its group take until the function that it
// returns is called, which gives the most of both, in bytes.
func (s *server) watchMemory(group *memoryGroup) func() (server, all int64) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var watching sync.WaitGroup
	var all int64
	watching.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			all = max(all, group.used(s.t))
			<-tick.C
		}
	})
	return func() (int64, int64) {
		s.t.Helper()
		cancel()
		watching.Wait()
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
		if err != nil {
			s.t.Fatal(err)
		}
		m := residentPeak.FindSubmatch(status)
		if m == nil {
			s.t.Fatalf("no peak in %s", status)
		}
		kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
		return kb << 10, all
	}
}

// pushLayers pushes an image of layers as they are, or in gzip.
func (s *server) pushLayers(repo, tag string, layers ...[]byte) gate.Digest {
	s.t.Helper()
	img, err := fake.NewImage(fake.ImageOptions{}, layers...)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.registry.Push(repo, tag, img)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// whiteouts is a layer of n removals, in gzip.
func whiteouts(t *testing.T, n int) []byte {
	t.Helper()
	var blob bytes.Buffer
	z, err := gzip.NewWriterLevel(&blob, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for i := range n {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("d%d/.wh.f%d", i%1000, i), Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return blob.Bytes()
}

// debianOf is a root of Debian 12 with n packages; %d in a name or version counts
// them.
func debianOf(n int, name, version string) []byte {
	numbered := func(format string, i int) string { return strings.ReplaceAll(format, "%d", strconv.Itoa(i)) }
	var status strings.Builder
	for i := range n {
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nSource: expat\nVersion: %s\n\n", numbered(name, i), numbered(version, i))
	}
	return fake.Tar(map[string]string{"etc/os-release": demo.OSRelease, "var/lib/dpkg/status": status.String()})
}

// keys is a layer of n files that each hold what looks like an access key.
func keys(n int) []byte {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("app/k%d.env", i)] = fmt.Sprintf("AWS_ACCESS_KEY_ID=AKIA%016X\nGITHUB=ghp_%036d\n", i, i)
	}
	return fake.Tar(files)
}

// pushLargeIndex pushes an index with one image, and as many children beside it as
// fit into a manifest.
func (s *server) pushLargeIndex(repo, tag string, image gate.Digest) gate.Digest {
	s.t.Helper()
	children := []any{map[string]any{"mediaType": ociManifest, "digest": image, "size": 1, "platform": map[string]any{"os": "linux", "architecture": "amd64"}}}
	for i := range 15_000 {
		children = append(children, map[string]any{"mediaType": ociManifest, "digest": fmt.Sprintf("sha256:%064x", i), "size": 1,
			"platform": map[string]any{"os": "plan9", "architecture": fmt.Sprint("a", i)}})
	}
	// As another type: the registry of the tests wants all children of an index.
	d, _ := s.put(repo, tag, "application/json", map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": children})
	return d
}
