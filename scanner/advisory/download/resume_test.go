package download

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestResume: a download that was interrupted continues where it ended, also at another
// mirror; what is there may be of no use, and is then read again.
func TestResume(t *testing.T) {
	r := start(t, fake.Options{})
	layer := data(t, 1, 8<<20)
	want := put(t, r, "2", layer)
	ranges := func() (list []string) {
		for _, q := range r.Requests() {
			if strings.Contains(q.Path, "/blobs/") {
				list = append(list, q.Range)
			}
		}
		return list
	}
	interrupted := func(t *testing.T, dir string) string {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Dir: dir, Now: steps()})
		d.progress = func(p Progress) {
			if p.Phase == PhaseDownloading && p.Done > 3<<20 {
				cancel()
			}
		}
		if _, err := d.Fetch(ctx, Request{}); !errors.Is(err, gate.ErrTimeout) {
			t.Fatalf("interrupted: got %v", err)
		}
		if s := d.Mirrors()[0]; s.Failures != 0 {
			t.Errorf("the mirror is blamed: %+v", s)
		}
		left := leftovers(t, dir)
		if len(left) != 1 || !strings.HasSuffix(left[0], ".part") {
			t.Fatalf("left: %v", left)
		}
		r.Reset()
		return filepath.Join(dir, left[0])
	}
	t.Run("continues", func(t *testing.T) {
		dir := t.TempDir()
		have := sizeOf(interrupted(t, dir))
		d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Dir: dir})
		c, err := d.Fetch(t.Context(), Request{})
		if err != nil || c.Manifest != want {
			t.Fatalf("got %v, %v", c, err)
		}
		if got := ranges(); len(got) != 1 || got[0] != fmt.Sprintf("bytes=%d-%d", have, len(layer)-1) || have < 3<<20 {
			t.Errorf("asked for %q, %d bytes were there", got, have)
		}
	})
	t.Run("beginning_is_damaged", func(t *testing.T) {
		dir := t.TempDir()
		path := interrupted(t, dir)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("damage"), 1000); err != nil {
			t.Fatal(err)
		}
		f.Close()
		d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Dir: dir})
		if c, err := d.Fetch(t.Context(), Request{}); err != nil || c.Layer != fake.DigestOf(layer) {
			t.Fatalf("got %v, %v", c, err)
		}
		if got := ranges(); len(got) != 2 || got[1] != "" {
			t.Errorf("asked for %q", got)
		}
	})
	t.Run("longer_than_the_layer", func(t *testing.T) {
		dir := t.TempDir()
		path := interrupted(t, dir)
		if err := os.Truncate(path, int64(len(layer))+5); err != nil {
			t.Fatal(err)
		}
		d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Dir: dir})
		if c, err := d.Fetch(t.Context(), Request{}); err != nil || c.Layer != fake.DigestOf(layer) {
			t.Fatalf("got %v, %v", c, err)
		}
	})
	t.Run("other_data_is_offered", func(t *testing.T) {
		dir := t.TempDir()
		interrupted(t, dir)
		other := start(t, fake.Options{})
		put(t, other, "2", data(t, 2, 1000))
		d := newDownloader(t, Options{Repositories: []Repository{at(other)}, Dir: dir})
		c, err := d.Fetch(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		if left := leftovers(t, dir); len(left) != 1 || left[0] != filepath.Base(c.Dir) {
			t.Errorf("left: %v", left)
		}
	})
	t.Run("broken_connections", func(t *testing.T) {
		r.Reset()
		r.Fail(fake.Fault{Path: blobPath, After: 5 << 20, Reset: true, Times: 1})
		d := newDownloader(t, Options{Repositories: []Repository{at(r)}})
		if c, err := d.Fetch(t.Context(), Request{}); err != nil || c.Layer != fake.DigestOf(layer) {
			t.Fatalf("got %v, %v", c, err)
		}
		if got := ranges(); len(got) != 2 || !strings.HasPrefix(got[1], "bytes=") {
			t.Errorf("asked for %q", got)
		}
	})
	t.Run("cut_short_by_each", func(t *testing.T) {
		r.Reset()
		r.Fail(fake.Fault{Path: blobPath, Status: http.StatusOK, Body: layer[:1000]})
		good := start(t, fake.Options{})
		put(t, good, "2", layer)
		d := newDownloader(t, Options{Repositories: []Repository{at(r), at(good)}})
		if c, err := d.Fetch(t.Context(), Request{}); err != nil || c.Repository != good.Host+"/trivy-db:2" {
			t.Fatalf("got %v, %v", c, err)
		}
	})
}

// steps is a clock that runs a second with each look, so that all progress is told.
func steps() func() time.Time {
	c := newClock()
	return func() time.Time { c.add(time.Second); return c.time() }
}

// victimEnv makes the test program a process that downloads and is killed.
const victimEnv = "DIGESTGATE_TEST_DOWNLOAD"

func victim() {
	host, dir, _ := strings.Cut(os.Getenv(victimEnv), " ")
	d, err := New(Options{
		Artifact: Database(), Dir: dir, Repositories: []Repository{{Repository: host + "/trivy-db:2", Insecure: true}}, Now: steps(),
		Progress: func(p Progress) { fmt.Println(p.Phase, p.Done) },
	})
	if err == nil {
		_, err = d.Fetch(context.Background(), Request{Accept: func(context.Context, *Candidate) error { select {} }})
	}
	fmt.Println("ended", err)
	os.Exit(1)
}

// TestKilled: a process that is killed leaves nothing that the next one cannot use or
// remove, wherever it was.
func TestKilled(t *testing.T) {
	r := start(t, fake.Options{})
	layer := data(t, 1, 8<<20)
	want := put(t, r, "2", layer)
	for name, at := range map[string]func(line string) bool{
		"while_downloading": func(line string) bool { var n int; return scan(line, PhaseDownloading, &n) && n > 2<<20 },
		"while_unpacking":   func(line string) bool { var n int; return scan(line, PhaseUnpacking, &n) && n > 2<<20 },
		"while_judging":     func(line string) bool { var n int; return scan(line, PhaseJudging, &n) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			kill(t, r, dir, at)
			r.Reset()
			d := newDownloader(t, Options{Repositories: []Repository{{Repository: r.Host + "/trivy-db:2", Insecure: true}}, Dir: dir})
			c, err := d.Fetch(t.Context(), Request{})
			if err != nil || c.Manifest != want {
				t.Fatalf("got %v, %v", c, err)
			}
			if left := leftovers(t, dir); len(left) != 1 || left[0] != filepath.Base(c.Dir) {
				t.Errorf("left: %v", left)
			}
			if whole := r.Count("GET", "/blobs/"); name == "while_unpacking" && whole != 0 {
				t.Errorf("a layer that was complete was asked for %d times", whole)
			}
		})
	}
}

func scan(line string, phase Phase, n *int) bool {
	var got string
	_, err := fmt.Sscan(line, &got, n)
	return err == nil && got == string(phase)
}

// kill runs a process until a line of what it prints says that it is time.
func kill(t *testing.T, r *fake.Registry, dir string, now func(line string) bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+r.Host+" "+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if now(lines.Text()) && !killed {
			killed = true
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err == nil || !killed {
		t.Fatalf("the process was not killed: %v", err)
	}
}
