package app

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate"
)

// bareApp is a process without worker that nothing has started.
func bareApp(t *testing.T, change func(*Config)) *App {
	t.Helper()
	c := DefaultConfig()
	c.DataDir = t.TempDir()
	c.Store.URL = "sqlite://" + filepath.Join(c.DataDir, "store.db")
	c.Roles = []string{roleWebhooks, roleAPI}
	c.Advisories.Repositories = nil
	change(&c)
	a, err := New(t.Context(), c, slog.New(slog.DiscardHandler), "dev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// TestDeliveriesAreEncryptedWhereverTheyArrive: with http.tls the listener of
// its own for webhooks does not speak plain HTTP.
func TestDeliveriesAreEncryptedWhereverTheyArrive(t *testing.T) {
	dir := t.TempDir()
	if _, err := certificate.New(certificate.Options{DataDir: dir, Names: []string{"localhost"}, Log: slog.New(slog.DiscardHandler), Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	pairs, err := filepath.Glob(filepath.Join(dir, "tls", "*"))
	if err != nil || len(pairs) == 0 {
		t.Fatalf("self-managed certificate: %v, %v", pairs, err)
	}
	a := bareApp(t, func(c *Config) {
		c.Listen.Webhooks = "127.0.0.1:0"
		c.HTTP.TLS = TLSConfig{CertFile: filepath.Join(dir, "tls", "serving.pem"), KeyFile: filepath.Join(dir, "tls", "serving.pem")}
	})
	list, err := a.handlers()
	if err != nil {
		t.Fatalf("%v (in %v)", err, pairs)
	}
	seen := 0
	for _, h := range list {
		if h.name == "webhooks" || h.name == "http" {
			seen++
			if h.tls == nil {
				t.Errorf("listener %s has no TLS", h.name)
			}
		}
	}
	if seen != 2 {
		t.Errorf("got %d of the two listeners", seen)
	}
}

// TestListsShowWhatIsStored: who reads a list after a job has ended sees what
// the job wrote, although nothing has followed the feed yet.
func TestListsShowWhatIsStored(t *testing.T) {
	a := bareApp(t, func(*Config) {})
	loc := gate.Location{Registry: "hub", Repository: "team/app"}
	lists := a.Catalog.Fresh()
	for n := range 3 {
		d := gate.Digest(fmt.Sprintf("sha256:%064d", n))
		now, err := a.Store.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Store.PutManifest(t.Context(), gate.Manifest{Digest: d, Kind: gate.KindImage}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Store.AddLocation(t.Context(), d, loc); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Store.PutTag(t.Context(), gate.TagKey{Location: loc, Tag: "v1"}, d, now, ""); err != nil {
			t.Fatal(err)
		}
		images, _, err := lists.Images(t.Context(), gate.ImageFilter{Keyword: "v1", Limit: 10})
		if err != nil || len(images) != 1 || images[0].Digest != d {
			t.Errorf("list after the tag moved to %s: got %+v, %v", d.Short(), images, err)
		}
		// And who has got a 202 finds the job.
		job, _, err := a.Store.Enqueue(t.Context(), gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: d, Trigger: gate.TriggerPush})
		if err != nil {
			t.Fatal(err)
		}
		if jobs, _, err := lists.Jobs(t.Context(), gate.JobFilter{Digest: d, Kind: gate.JobResolve}); err != nil || len(jobs) != 1 || jobs[0].ID != job.ID {
			t.Errorf("jobs after an ask: got %+v, %v, want %s", jobs, err, job.ID)
		}
	}
}
