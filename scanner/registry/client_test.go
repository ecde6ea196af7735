package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

var _ gate.Source = (*Client)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a registry with a client for it.
type rig struct {
	*fake.Registry
	client *Client
	loc    gate.Location
}

// patient are timeouts for tests: they retry at once, and a machine that stalls
// is no registry that does. A test of slowness shortens the one that it is about.
func patient() timeouts {
	o := defaultTimeouts()
	o.backoff = time.Millisecond
	return o
}

func start(t *testing.T, o fake.Options) *fake.Registry {
	t.Helper()
	r, err := fake.Start(o)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// file writes a file for a configuration.
func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// configFor is the configuration that suits a test registry.
func configFor(t *testing.T, r *fake.Registry, o fake.Options) Config {
	t.Helper()
	c := DefaultConfig()
	c.Name, c.Type, c.Host, c.PlainHTTP = "test", "distribution", r.Host, !o.TLS
	if o.TLS {
		c.CAFile = file(t, string(r.CAPEM()))
	}
	if o.Username != "" {
		c.Username, c.PasswordFile = o.Username, file(t, o.Password+"\n")
	}
	return c
}

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	if o.timeouts == (timeouts{}) {
		o.timeouts = patient()
	}
	c, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func newRig(t *testing.T, o fake.Options, change ...func(*Config, *Options)) rig {
	t.Helper()
	r := start(t, o)
	cfg, opts := configFor(t, r, o), Options{}
	for _, f := range change {
		f(&cfg, &opts)
	}
	opts.Registries = []Config{cfg}
	return rig{Registry: r, client: newClient(t, opts), loc: gate.Location{Registry: "test", Repository: "team/app"}}
}

// push stores a small image and returns its digest.
func (r rig) push(t *testing.T, tag string, sizes ...int) (gate.Digest, v1.Image) {
	t.Helper()
	img, err := fake.RandomImage(1, v1.Platform{}, sizes...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Push(r.loc.Repository, tag, img)
	if err != nil {
		t.Fatal(err)
	}
	return d, img
}

func TestReadsAnImage(t *testing.T) {
	for name, o := range map[string]fake.Options{
		"plain":        {},
		"tls":          {TLS: true},
		"basic":        {TLS: true, Auth: fake.AuthBasic, Username: "robot$gate", Password: "s3cret:with colon"},
		"bearer":       {TLS: true, Auth: fake.AuthBearer, Username: "robot$gate", Password: "s3cret", ExpiresIn: "300"},
		"plain_bearer": {Auth: fake.AuthBearer, Username: "u", Password: "p"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, o)
			want, img := r.push(t, "1.0", 1000, 200_000)
			ctx := t.Context()

			if got, err := r.client.Head(ctx, r.loc, "1.0"); err != nil || got != want {
				t.Fatalf("Head: got %q, %v, want %q", got, err, want)
			}
			for _, ref := range []string{"1.0", string(want)} {
				m, err := r.client.Resolve(ctx, r.loc, ref)
				if err != nil {
					t.Fatalf("Resolve(%q): %v", ref, err)
				}
				if m.Digest != want || m.Kind != gate.KindImage || m.Platform.String() != "linux/amd64" || m.Unassessable != "" || m.Size < 201_000 {
					t.Errorf("Resolve(%q): got %+v", ref, m)
				}
			}
			got, err := r.client.Image(ctx, r.loc, want)
			if err != nil {
				t.Fatalf("Image: %v", err)
			}
			rawManifest, _ := img.RawManifest()
			rawConfig, _ := img.RawConfigFile()
			if !bytes.Equal(got.Manifest, rawManifest) || !bytes.Equal(got.Config, rawConfig) || len(got.Layers) != 2 {
				t.Errorf("Image: got %+v", got)
			}
			layers, _ := img.Layers()
			for i, l := range got.Layers {
				checkLayer(t, r, l, layers[i])
			}
		})
	}
}

func checkLayer(t *testing.T, r rig, got Layer, want v1.Layer) {
	t.Helper()
	diffID, _ := want.DiffID()
	if string(got.DiffID) != diffID.String() {
		t.Errorf("DiffID: got %s, want %s", got.DiffID, diffID)
	}
	rc, err := r.client.Blob(t.Context(), r.loc, got.Digest, got.Size)
	if err != nil {
		t.Fatalf("Blob: %v", err)
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	compressed, _ := want.Compressed()
	wanted, _ := io.ReadAll(compressed)
	if !bytes.Equal(content, wanted) {
		t.Errorf("layer %s: got %d bytes, want %d", got.Digest, len(content), len(wanted))
	}
}

// blob reads a blob whole.
func (r rig) blob(ctx context.Context, d gate.Digest, size int64) ([]byte, error) {
	rc, err := r.client.Blob(ctx, r.loc, d, size)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(rc)
	return b, errors.Join(err, rc.Close())
}

func TestConcurrentUse(t *testing.T) {
	r := newRig(t, fake.Options{TLS: true, Auth: fake.AuthBearer, Username: "u", Password: "p", ExpiresIn: "1"})
	want, _ := r.push(t, "1", 1000, 200_000)
	r.Fail(fake.Fault{Path: anyBlob, After: 5000, Reset: true, Times: 3})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m, err := r.client.Resolve(t.Context(), r.loc, "1")
			if err != nil || m.Digest != want {
				t.Errorf("Resolve: %+v, %v", m, err)
				return
			}
			img, err := r.client.Image(t.Context(), r.loc, m.Digest)
			if err != nil {
				t.Errorf("Image: %v", err)
				return
			}
			for _, l := range img.Layers {
				if _, err := r.blob(t.Context(), l.Digest, l.Size); err != nil {
					t.Errorf("Blob: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkBlob(b *testing.B) {
	const size = 64 << 20
	r, err := fake.Start(fake.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	d, err := r.PutBlob(randomBytes(size))
	if err != nil {
		b.Fatal(err)
	}
	c, err := New(Options{Registries: []Config{{Name: "test", Type: "distribution", Host: r.Host, PlainHTTP: true}}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		rc, err := c.Blob(b.Context(), gate.Location{Registry: "test", Repository: "app"}, d, size)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, rc); err != nil || n != size {
			b.Fatal(n, err)
		}
		rc.Close()
	}
}

// TestReplace: a client serves the registries of another from then on; what is
// open stays open, and what has not changed keeps what was learnt.
func TestReplace(t *testing.T) {
	o := fake.Options{Username: "robot", Password: "secret"}
	r := newRig(t, o)
	d, _ := r.push(t, "v1", 100_000)
	if _, err := r.client.Head(t.Context(), r.loc, "v1"); err != nil {
		t.Fatal(err)
	}
	old, _ := r.client.named("test")
	other := start(t, fake.Options{})
	added := configFor(t, other, fake.Options{})
	added.Name = "added"
	r.client.Replace(newClient(t, Options{Registries: []Config{old.cfg, added}}))
	if kept, _ := r.client.named("test"); kept != old {
		t.Error("an unchanged registry lost its logins")
	}
	if _, err := r.client.Head(t.Context(), gate.Location{Registry: "added", Repository: "team/app"}, "v1"); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("the added registry: got %v, want its own ErrNotFound", err)
	}
	changed := old.cfg
	changed.Concurrency++
	r.client.Replace(newClient(t, Options{Registries: []Config{changed}}))
	if now, _ := r.client.named("test"); now == old {
		t.Error("a changed registry is served as before")
	}
	if got, err := r.client.Head(t.Context(), r.loc, "v1"); err != nil || got != d {
		t.Errorf("the changed registry: got %s, %v", got, err)
	}
	if _, err := r.client.Head(t.Context(), gate.Location{Registry: "added", Repository: "team/app"}, "v1"); !errors.Is(err, gate.ErrRegistryNotTrusted) {
		t.Errorf("the removed registry: got %v, want ErrRegistryNotTrusted", err)
	}
	tlsOptions := fake.Options{TLS: true}
	withFile := configFor(t, start(t, tlsOptions), tlsOptions)
	r.client.Replace(newClient(t, Options{Registries: []Config{withFile}}))
	first, _ := r.client.named("test")
	r.client.Replace(newClient(t, Options{Registries: []Config{withFile}}))
	if now, _ := r.client.named("test"); now == first {
		t.Error("a registry whose certificate file may have changed is served as before")
	}
}
