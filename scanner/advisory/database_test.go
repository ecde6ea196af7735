package advisory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
)

// debianRelease is a source with one advisory.
func debianRelease(release, fixed string) fstest.MapFS {
	return fstest.MapFS{"a.yaml": file(fmt.Sprintf(
		"distribution: debian\nrelease: %q\nupdatedAt: 2026-11-23T00:00:00Z\nadvisories:\n- {package: openssl, id: CVE-2025-9230, fixedVersion: %q}\n", release, fixed))}
}

// place builds a database and puts its files into dir one by one, as cp does.
func place(t *testing.T, dir string, from fstest.MapFS) gate.Digest {
	t.Helper()
	out, r := build(t, from)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"trivy.db", "metadata.json"} {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r.Content
}

func TestInspect_metadata(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"later_schema": {`{"Version":3,"UpdatedAt":"2026-11-01T00:00:00Z"}`, "field Version is 3"},
		"no_schema":    {`{"UpdatedAt":"2026-11-01T00:00:00Z"}`, "field Version is 0"},
		"no_time":      {`{"Version":2}`, "field UpdatedAt is missing"},
		"future":       {`{"Version":2,"UpdatedAt":"2027-11-01T00:00:00Z"}`, "is in the future"},
		"garbage":      {`hello`, "parsing advisory metadata"},
		"huge":         {strings.Repeat(" ", 70<<10), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			place(t, dir, debianRelease("12", "3"))
			if err := os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := advisory.Inspect(t.Context(), dir, clock)
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}
}

func TestInspect_content(t *testing.T) {
	dir := t.TempDir()
	want := place(t, dir, debianRelease("12", "3"))
	rewrite := func(change func(m map[string]any)) gate.Digest {
		t.Helper()
		path := filepath.Join(dir, "metadata.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err = json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := advisory.Inspect(t.Context(), dir, clock)
		if err != nil {
			t.Fatal(err)
		}
		return db.Content
	}
	if got := rewrite(func(m map[string]any) { m["DownloadedAt"] = "2020-01-01T00:00:00Z" }); got != want {
		t.Errorf("another time of download makes another content")
	}
	if got := rewrite(func(m map[string]any) { m["UpdatedAt"] = "2020-01-01T00:00:00Z" }); got == want {
		t.Errorf("another time of the data makes no other content")
	}
}

// TestInspect_damage: whatever happens to the file, checking it answers with an
// error and never ends the process, and a file cut short is never taken.
func TestInspect_damage(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "good")
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: os.DirFS("testdata/sources"), Out: out, Now: now}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(out, "trivy.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inspect := func(content []byte) error {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := advisory.Inspect(t.Context(), out, clock)
		if err != nil && !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
		return err
	}
	if err := inspect(good); err != nil {
		t.Fatalf("the good file: %v", err)
	}
	used := bytes.TrimRight(good, "\x00")
	for n := 0; n < len(used); n += 4096 {
		if inspect(good[:n]) == nil {
			t.Errorf("cut to %d of %d bytes: got no error", n, len(good))
		}
	}
	if inspect([]byte("hello")) == nil {
		t.Error("garbage: got no error")
	}
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 200 {
		damaged := bytes.Clone(good)
		page := 4096 * (2 + random.IntN(len(used)/4096-2))
		for range 64 {
			damaged[page+random.IntN(4096)] = byte(random.Uint32())
		}
		if inspect(damaged) != nil {
			refused++
		}
	}
	if refused < 50 {
		t.Errorf("only %d of 200 damaged files were refused", refused)
	}
}

func TestInspect_buckets(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(tx *bolt.Tx) error
		want string
	}{
		"empty": {func(*bolt.Tx) error { return nil }, `bucket "vulnerability" is missing`},
		"no_details": {func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket([]byte("debian 12"))
			return err
		}, `bucket "vulnerability" is missing`},
		"no_advisories": {func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket([]byte("vulnerability"))
			return err
		}, "no bucket with advisories"},
		"no_object": {func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("vulnerability"))
			if err != nil {
				return err
			}
			return b.Put([]byte("CVE-2020-1"), []byte("\x00\x00\x00"))
		}, `key "CVE-2020-1": the value is not a JSON object`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			meta := fmt.Sprintf(`{"Version":2,"UpdatedAt":%q}`, clock.Format(time.RFC3339))
			if err := os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(meta), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Update(c.fill); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			_, err = advisory.Inspect(t.Context(), dir, clock)
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}
}

func TestInspect_missing(t *testing.T) {
	dir := t.TempDir()
	if _, err := advisory.Inspect(t.Context(), dir, clock); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("looking made files: %v %v", entries, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	place(t, dir, debianRelease("12", "3"))
	if _, err := advisory.Inspect(ctx, dir, clock); !errors.Is(err, gate.ErrTimeout) {
		t.Errorf("cancelled: got %v, want ErrTimeout", err)
	}
}

func TestConfig_Validate(t *testing.T) {
	if err := advisory.Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	c := advisory.Config{Stale: "maybe", MaxAge: -1, Repositories: download.Repositories("https://x")}
	err := c.Validate()
	for _, want := range []string{"stale: ", "maxAge: ", "refresh: ", "repositories[0]: "} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("got %v, want a line that starts with %q", err, want)
		}
	}
}
