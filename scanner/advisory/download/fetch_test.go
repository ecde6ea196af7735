package download

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		victim()
	}
	goleak.VerifyTestMain(m)
}

// clock is set by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// entry is one of an archive.
type entry struct {
	name    string
	content []byte
	header  tar.Header // what differs from a plain file
}

func packed(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, e := range entries {
		h := e.header
		h.Name, h.Mode = e.name, 0o600
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(t, raw.Bytes())
}

func zipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// data is an archive with content that does not compress.
func data(t testing.TB, seed uint64, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(content)
	return packed(t, entry{name: "trivy.db", content: content}, entry{name: "metadata.json", content: []byte(`{"Version":2}`)})
}

func put(t testing.TB, r *fake.Registry, tag string, layers ...[]byte) gate.Digest {
	t.Helper()
	a := fake.Artifact{Config: fake.Blob{MediaType: "application/vnd.aquasec.trivy.config.v1+json", Content: []byte("{}")}}
	for _, l := range layers {
		a.Layers = append(a.Layers, fake.Blob{MediaType: Database().LayerType, Content: l, Annotations: map[string]string{"org.opencontainers.image.title": "db.tar.gz"}})
	}
	d, err := r.PutArtifact("trivy-db", tag, a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func start(t testing.TB, o fake.Options) *fake.Registry {
	t.Helper()
	r, err := fake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// at is a repository of a registry that speaks http.
func at(r *fake.Registry) Repository {
	return Repository{Repository: r.Host + "/trivy-db:2", Insecure: true}
}

const plenty = 1 << 50

func newDownloader(t testing.TB, o Options) *Downloader {
	t.Helper()
	if o.Artifact.Name == "" {
		o.Artifact = Database()
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.free == nil {
		o.free = func(string) (int64, error) { return plenty, nil }
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// leftovers are the files that a download without a result has left.
func leftovers(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".lock") {
			names = append(names, e.Name())
		}
	}
	return names
}

const blobPath = "/v2/trivy-db/blobs/*"

func TestFetch(t *testing.T) {
	r := start(t, fake.Options{})
	layer := data(t, 1, 3<<20)
	want := put(t, r, "2", layer)
	var phases []Phase
	d := newDownloader(t, Options{Repositories: []Repository{at(r)}, KeepLayer: true, Progress: func(p Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
	}})
	judged := 0
	c, err := d.Fetch(t.Context(), Request{InForce: fake.DigestOf([]byte("before")), Accept: func(_ context.Context, c *Candidate) error {
		judged++
		_, err := os.Stat(filepath.Join(c.Dir, "trivy.db"))
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Manifest != want || c.Layer != fake.DigestOf(layer) || c.LayerBytes != int64(len(layer)) || c.Repository != r.Host+"/trivy-db:2" || judged != 1 {
		t.Errorf("got %+v, judged %d times", c.Source, judged)
	}
	for _, name := range []string{"trivy.db", "metadata.json", "source.json", "manifest.json"} {
		info, err := os.Stat(filepath.Join(c.Dir, name))
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(c.Dir, "manifest.json"))
	if err != nil || fake.DigestOf(raw) != want {
		t.Errorf("the manifest kept is another one: %v", err)
	}
	if got := fmt.Sprint(phases); got != "[asking downloading unpacking judging]" {
		t.Errorf("phases %s", got)
	}
	for _, q := range r.Requests() {
		if strings.Contains(q.Path, "/manifests/") && q.Method == http.MethodGet && !strings.Contains(q.Path, string(want)) {
			t.Errorf("the manifest was read by %s, and not by its digest", q.Path)
		}
	}
	r.Reset()
	if c, err := d.Fetch(t.Context(), Request{InForce: want}); c != nil || err != nil {
		t.Errorf("nothing new is offered: got %v, %v", c, err)
	}
	if n := r.Count("GET", "/blobs/") + r.Count("GET", "/manifests/"); n != 0 {
		t.Errorf("%d things were read, although the manifest is in force", n)
	}
	if s := d.Mirrors()[0]; s.State != MirrorOK || s.Offered != want {
		t.Errorf("status %+v", s)
	}
	if err := c.Discard(); err != nil || len(leftovers(t, d.dir)) != 0 {
		t.Errorf("left: %v, %v", leftovers(t, d.dir), err)
	}
}

// TestFetch_digest: an exact manifest, whatever the tag names, and a reference by digest.
func TestFetch_digest(t *testing.T) {
	r := start(t, fake.Options{})
	older := put(t, r, "2", data(t, 1, 1000))
	put(t, r, "2", data(t, 2, 1000))
	d := newDownloader(t, Options{Repositories: []Repository{at(r)}})
	c, err := d.Fetch(t.Context(), Request{Digest: older})
	if err != nil || c.Manifest != older {
		t.Errorf("got %v, %v", c, err)
	}
	pinned := at(r)
	pinned.Repository = r.Host + "/trivy-db@" + string(older)
	d = newDownloader(t, Options{Repositories: []Repository{pinned}})
	if c, err = d.Fetch(t.Context(), Request{}); err != nil || c.Manifest != older {
		t.Errorf("by digest: got %v, %v", c, err)
	}
	untagged := at(r)
	untagged.Repository = r.Host + "/trivy-db"
	d = newDownloader(t, Options{Repositories: []Repository{untagged}})
	if c, err = d.Fetch(t.Context(), Request{}); err != nil || c.Manifest == older {
		t.Errorf("without a tag: got %v, %v", c, err)
	}
}

// TestFetch_away: the first of two mirrors is down. The second serves, and the first is
// not asked again before its rest is over.
func TestFetch_away(t *testing.T) {
	away, good := start(t, fake.Options{}), start(t, fake.Options{})
	put(t, away, "2", data(t, 1, 1000))
	want := put(t, good, "2", data(t, 1, 1000))
	away.Fail(fake.Fault{Status: http.StatusBadGateway})
	now := newClock()
	d := newDownloader(t, Options{Repositories: []Repository{at(away), at(good)}, Now: now.time})
	c, err := d.Fetch(t.Context(), Request{})
	if err != nil || c.Manifest != want {
		t.Fatalf("got %v, %v", c, err)
	}
	s := d.Mirrors()
	if s[0].State != MirrorResting || s[0].Failures != 1 || !strings.Contains(s[0].Problem, "502") || s[1].State != MirrorOK {
		t.Errorf("status %+v", s)
	}
	away.Reset()
	if c, err := d.Fetch(t.Context(), Request{InForce: want}); c != nil || err != nil || len(away.Requests()) != 0 {
		t.Errorf("got %v, %v; the resting mirror was asked %d times", c, err, len(away.Requests()))
	}
	now.add(2 * time.Minute) // the first rest has one at most, and a half
	if c, err := d.Fetch(t.Context(), Request{InForce: want}); c != nil || err != nil || len(away.Requests()) == 0 {
		t.Errorf("got %v, %v; the mirror was asked %d times after its rest", c, err, len(away.Requests()))
	}
	if s := d.Mirrors()[0]; s.State != MirrorOK || s.Failures != 0 || s.Problem != "" {
		t.Errorf("it answers again: %+v", s)
	}
}

// TestFetch_limited: a mirror that wants to be asked later is, and not before, also when
// it is the only one; the error says when.
func TestFetch_limited(t *testing.T) {
	r := start(t, fake.Options{})
	want := put(t, r, "2", data(t, 1, 1000))
	r.Fail(fake.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7200"}}})
	now := newClock()
	d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Now: now.time})
	_, err := d.Fetch(t.Context(), Request{})
	var later *gate.RetryAfterError
	if !errors.As(err, &later) || later.After < 2*time.Hour || later.After > 2*time.Hour+12*time.Minute || !errors.Is(err, gate.ErrRegistryUnavailable) {
		t.Fatalf("got %v, want it asked again in two hours and a little", err)
	}
	asked := len(r.Requests())
	for range 3 {
		now.add(10 * time.Minute)
		if _, err := d.Fetch(t.Context(), Request{}); !errors.As(err, &later) {
			t.Errorf("got %v", err)
		}
	}
	if n := len(r.Requests()); n != asked {
		t.Errorf("it was asked %d times while it rests", n-asked)
	}
	if s := d.Mirrors()[0]; s.State != MirrorResting || !s.RestsUntil.After(now.time()) || !strings.Contains(s.Problem, "429") {
		t.Errorf("status %+v", s)
	}
	r.Reset()
	now.add(2 * time.Hour)
	if c, err := d.Fetch(t.Context(), Request{}); err != nil || c.Manifest != want {
		t.Errorf("after the rest: got %v, %v", c, err)
	}
}

func TestMirror_rests(t *testing.T) {
	m := &mirror{state: Mirror{Repository: "x"}}
	now := newClock().time()
	var last time.Duration
	for n := range 20 {
		until, _ := m.fails(fmt.Errorf("away: %w", gate.ErrRegistryUnavailable), now)
		rest := until.Sub(now)
		want := min(time.Minute<<min(n, 10), time.Hour)
		if rest < want/2 || rest > want*3/2 {
			t.Errorf("failure %d: rests %v, want about %v", n, rest, want)
		}
		last = rest
	}
	if last > 90*time.Minute {
		t.Errorf("rests %v in the end", last)
	}
	different := map[time.Duration]bool{}
	for range 20 {
		m := &mirror{}
		until, _ := m.fails(&gate.RetryAfterError{After: time.Minute, Asked: 30 * time.Minute, Err: gate.ErrRegistryUnavailable}, now)
		if rest := until.Sub(now); rest < 30*time.Minute || rest > 33*time.Minute {
			t.Errorf("it wanted 30 minutes and rests %v", rest)
		}
		different[until.Sub(now)] = true
	}
	if len(different) < 10 {
		t.Errorf("the rests are spread over %d times only", len(different))
	}
}

// TestFetch_refused: what Accept refuses is not downloaded again, and another mirror is
// asked; a person may want it again.
func TestFetch_refused(t *testing.T) {
	hollow, good := start(t, fake.Options{}), start(t, fake.Options{})
	refused, want := put(t, hollow, "2", data(t, 1, 1000)), put(t, good, "2", data(t, 2, 1000))
	d := newDownloader(t, Options{Repositories: []Repository{at(hollow), at(good)}})
	accept := func(_ context.Context, c *Candidate) error {
		if c.Manifest == refused {
			return fmt.Errorf("hollow: %w", gate.ErrInvalid)
		}
		return nil
	}
	for range 2 {
		c, err := d.Fetch(t.Context(), Request{Accept: accept})
		if err != nil || c.Manifest != want {
			t.Fatalf("got %v, %v", c, err)
		}
	}
	if n := hollow.Count("GET", "/blobs/"); n != 1 {
		t.Errorf("the refused data was downloaded %d times", n)
	}
	if s := d.Mirrors()[0]; s.State != MirrorFailing || !strings.Contains(s.Problem, "hollow") {
		t.Errorf("status %+v", s)
	}
	c, err := d.Fetch(t.Context(), Request{Again: true})
	if err != nil || c.Manifest != refused {
		t.Errorf("again: got %v, %v", c, err)
	}
	failure := errors.New("the judge has no time")
	if _, err := d.Fetch(t.Context(), Request{Digest: want, Accept: func(context.Context, *Candidate) error { return failure }}); !errors.Is(err, failure) {
		t.Errorf("got %v, want the error of Accept", err)
	}
}

// TestFetch_busy: two processes do not write to one directory.
func TestFetch_busy(t *testing.T) {
	r := start(t, fake.Options{})
	put(t, r, "2", data(t, 1, 1000))
	dir := t.TempDir()
	other := newDownloader(t, Options{Repositories: []Repository{at(r)}, Dir: dir})
	d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Dir: dir})
	c, err := d.Fetch(t.Context(), Request{Accept: func(context.Context, *Candidate) error {
		_, err := other.Fetch(t.Context(), Request{})
		if !errors.Is(err, gate.ErrBusy) {
			t.Errorf("at the same time: got %v", err)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Fetch(t.Context(), Request{InForce: c.Manifest}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTake(t *testing.T) {
	r := start(t, fake.Options{})
	layer := data(t, 1, 100_000)
	want := put(t, r, "2", layer)
	c, err := newDownloader(t, Options{Repositories: []Repository{at(r)}, KeepLayer: true}).Fetch(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	origin, source, err := Kept(c.Dir)
	if err != nil || source.Manifest != want {
		t.Fatalf("got %+v, %v", source, err)
	}
	d := newDownloader(t, Options{})
	got, err := d.Take(t.Context(), origin, want, nil)
	if err != nil || got.Manifest != want || got.Layer != fake.DigestOf(layer) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := d.Take(t.Context(), origin, fake.DigestOf([]byte("x")), nil); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("another manifest: got %v", err)
	}
	path := filepath.Join(c.Dir, "blobs", source.Layer.Hex())
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Take(t.Context(), origin, want, nil); !errors.Is(err, gate.ErrIntegrity) {
		t.Errorf("with a layer that has changed: got %v", err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "manifest.json"), []byte(`{"schemaVersion":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Take(t.Context(), origin, want, nil); !errors.Is(err, gate.ErrIntegrity) {
		t.Errorf("with a manifest that has changed: got %v", err)
	}
	if _, _, err := Kept(t.TempDir()); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("an empty directory: got %v", err)
	}
}

func TestSource_json(t *testing.T) {
	b, err := json.Marshal(Source{Artifact: "a", Repository: "r", Manifest: "m", Layer: "l", LayerBytes: 1, FetchedAt: newClock().time()})
	want := `{"artifact":"a","repository":"r","manifest":"m","layer":"l","layerBytes":1,"fetchedAt":"2026-11-30T12:00:00Z"}`
	if err != nil || string(b) != want {
		t.Errorf("got %s, %v", b, err)
	}
}
