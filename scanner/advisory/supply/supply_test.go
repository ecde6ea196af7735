package supply_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/source"
	"github.com/digestgate/digestgate/scanner/advisory/supply"
)

var clock = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func entry(id string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-05-30T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}]}]}`, id)
}

func newSupply(t *testing.T, change func(c *source.Config, o *supply.Options)) *supply.Supply {
	t.Helper()
	o := supply.Options{Config: source.Default(), Dir: filepath.Join(t.TempDir(), "acme"), Now: func() time.Time { return clock }}
	o.Config.Name = "acme"
	change(&o.Config, &o)
	return supply.New(o)
}

func fetch(t *testing.T, s *supply.Supply, settled gate.Digest) (*advisory.Download, *advisory.Database, error) {
	t.Helper()
	var db *advisory.Database
	d, err := s.Fetch(t.Context(), advisory.MirrorRequest{Settled: settled, Accept: func(ctx context.Context, d advisory.Download) (err error) {
		db, err = advisory.Inspect(ctx, d.Dir, clock)
		return err
	}})
	if d != nil {
		t.Cleanup(d.Discard)
	}
	return d, db, err
}

// TestFeed: a feed is downloaded and built; one that is settled is neither.
func TestFeed(t *testing.T) {
	text, bodies := entry("X-1"), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(text)))
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		bodies++
		fmt.Fprint(w, text)
	}))
	t.Cleanup(server.Close)
	dir := ""
	s := newSupply(t, func(c *source.Config, o *supply.Options) {
		c.Feed, o.Client, dir = server.URL+"/all.json", server.Client(), o.Dir
	})
	d, db, err := fetch(t, s, "")
	if err != nil || db.Summary.Advisories() != 1 || !db.UpdatedAt.Equal(time.Date(2026, 5, 30, 0, 0, 0, 0, time.UTC)) || d.Repository != server.URL+"/all.json" || !d.Own {
		t.Fatalf("got %+v, %v", d, err)
	}
	if again, _, err := fetch(t, s, d.Manifest); err != nil || again != nil || bodies != 1 {
		t.Errorf("settled: got %+v, %v, %d bodies", again, err, bodies)
	}
	text = entry("X-2")
	newer, _, err := fetch(t, s, d.Manifest)
	if err != nil || newer == nil || newer.Manifest == d.Manifest {
		t.Errorf("changed: got %+v, %v", newer, err)
	}
	text = `{"id":"X-3"`
	if _, _, err := fetch(t, s, ""); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("cut short: got %v", err)
	}
	server.Close()
	if _, _, err := fetch(t, s, ""); !errors.Is(err, gate.ErrRegistryUnavailable) {
		t.Errorf("away: got %v", err)
	}
	offline := supply.New(supply.Options{Config: source.Config{Name: "acme", Feed: "https://gone.example.com/all.json", Epochs: true}, Dir: dir, Offline: true, Now: func() time.Time { return clock }})
	if _, _, err := fetch(t, offline, ""); !errors.Is(err, gate.ErrInvalid) { // the file of "cut short"
		t.Errorf("offline: got %v", err)
	}
	pinned := supply.New(supply.Options{Config: source.Config{Name: "acme", Feed: "https://gone.example.com/all.json", SHA256: strings.Repeat("a", 64), Epochs: true}, Dir: dir, Offline: true, Now: func() time.Time { return clock }})
	if _, _, err := fetch(t, pinned, ""); !errors.Is(err, gate.ErrIntegrity) {
		t.Errorf("offline with another checksum: got %v", err)
	}
	if _, err := s.Fetch(t.Context(), advisory.MirrorRequest{Digest: d.Manifest}); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("by digest: got %v", err)
	}
}

// TestPath: a directory with a database, one with files, and a bundle.
func TestPath(t *testing.T) {
	root := t.TempDir()
	built := filepath.Join(root, "db")
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{"a.json": &fstest.MapFile{Data: []byte(entry("X-1"))}}, Out: built, Now: func() time.Time { return clock }}); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(root, "files")
	if err := errors.Join(os.Mkdir(files, 0o700), os.WriteFile(filepath.Join(files, "a.json"), []byte(entry("X-1")), 0o600)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := advisory.Export(t.Context(), built, &b, clock); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(root, "acme.bundle")
	if err := os.WriteFile(bundle, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{built, files, bundle} {
		s := newSupply(t, func(c *source.Config, _ *supply.Options) { c.Path = path })
		d, db, err := fetch(t, s, "")
		if err != nil || db.Summary.Advisories() != 1 || d.Repository != "" {
			t.Errorf("%s: got %+v, %v", path, d, err)
			continue
		}
		if again, _, err := fetch(t, s, d.Manifest); err != nil || again != nil {
			t.Errorf("%s, settled: got %+v, %v", path, again, err)
		}
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
	for name, c := range map[string]struct {
		path, sum string
		want      error
	}{
		"right_sum": {bundle, sum, nil}, "wrong_sum": {bundle, fmt.Sprintf("%064d", 0), gate.ErrIntegrity}, "missing": {filepath.Join(root, "no"), "", gate.ErrNotFound},
		"not_a_bundle": {filepath.Join(files, "a.json"), "", gate.ErrInvalid}, "no_advisories": {t.TempDir(), "", gate.ErrInvalid},
	} {
		s := newSupply(t, func(in *source.Config, _ *supply.Options) { in.Path, in.SHA256 = c.path, c.sum })
		if _, _, err := fetch(t, s, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
