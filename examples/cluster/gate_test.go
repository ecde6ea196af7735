package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/process"
)

//go:embed config.yaml
var configTemplate string

// gate is a running digestgate.
type gate struct {
	http, admission, private string // base URLs
	hook, token              string
	authority                []byte // PEM, what signed the certificate of the admission listener
	process                  *process.Process
}

// programs are the paths of the two programs. A relative one in the variables
// starts at the root of the repository; without them the results of `make
// build` are taken.
func programs(t *testing.T) (digestgate, analyzer string) {
	t.Helper()
	find := func(variable, name string) string {
		path := cmp.Or(os.Getenv(variable), filepath.Join("bin", name))
		if !filepath.IsAbs(path) {
			path = filepath.Join("..", "..", path)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s: %v; `make build` in the root of the repository makes it", variable, err)
		}
		return path
	}
	return find("DIGESTGATE_BIN", "digestgate"), find("DIGESTGATE_ANALYZER_BIN", "digestgate-analyzer")
}

// startGate builds the advisory database and starts `digestgate serve` with
// config.yaml and what env sets besides.
func startGate(t *testing.T, digestgate, analyzer, registryHost string, env ...string) *gate {
	t.Helper()
	dir := t.TempDir()
	g := &gate{hook: rand.Text(), token: rand.Text()}
	writeFiles(t, filepath.Join(dir, "secrets"), map[string]string{"hook": g.hook, "admin-token": g.token})
	buildAdvisories(t, digestgate, filepath.Join(dir, "advisories"))

	ports, err := process.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	g.http = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	g.admission = fmt.Sprintf("https://127.0.0.1:%d", ports[1])
	g.private = fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	config := expand(t, "config.yaml", configTemplate, map[string]string{
		"DATA": filepath.Join(dir, "data"), "SECRETS": filepath.Join(dir, "secrets"),
		"ADVISORIES": filepath.Join(dir, "advisories"), "REGISTRY": registryHost,
		"HTTP_PORT": strconv.Itoa(ports[0]), "ADMISSION_PORT": strconv.Itoa(ports[1]), "PRIVATE_PORT": strconv.Itoa(ports[2]),
	})
	writeFiles(t, dir, map[string]string{"config.yaml": config})
	g.process, err = process.Start("digestgate", digestgate, []string{"serve", "--config", filepath.Join(dir, "config.yaml")}, dir, append(env, "DIGESTGATE_ANALYZER="+analyzer)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("digestgate, %s", g.process.Tail())
		}
		if err := g.process.Stop(20 * time.Second); err != nil {
			t.Error(err)
		}
	})
	g.waitReady(t)
	g.authority = certificateIn(t, filepath.Join(dir, "data", "tls", "authority.pem"))
	return g
}

// certificateIn is the first certificate of a PEM file, without the key that
// stands beside it.
func certificateIn(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		t.Fatalf("%s does not begin with a certificate", file)
	}
	return pem.EncodeToMemory(block)
}

// buildAdvisories runs `digestgate advisories build` on real advisories.
func buildAdvisories(t *testing.T, digestgate, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), digestgate, "advisories", "build", "--from", "testdata/advisories", "--out", out)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("digestgate advisories build: %v\n%s", err, text)
	}
}

// waitReady polls /readyz: another process has no other signal.
func (g *gate) waitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		status, body, err := g.get(ctx, g.private+"/readyz")
		if err == nil && status == http.StatusOK {
			return
		}
		select {
		case <-g.process.Exited():
			t.Fatalf("digestgate serve ended: %v", g.process.Err())
		case <-ctx.Done():
			t.Fatalf("digestgate is not ready after a minute: %d %s %v", status, body, err)
		case <-tick.C:
		}
	}
}

// get reads a URL as the administrator.
func (g *gate) get(ctx context.Context, url string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, 4<<20))
	return res.StatusCode, body, err
}

// image is the part of GET /api/v1/images/{digest} that the test reads.
type image struct {
	State   string `json:"state"`
	Verdict struct {
		Decision string `json:"decision"`
	} `json:"verdict"`
}

// image asks the API; ok is false for a digest that digestgate has not heard of.
func (g *gate) image(t *testing.T, ctx context.Context, digest string) (got image, ok bool) {
	t.Helper()
	status, body, err := g.get(ctx, g.http+"/api/v1/images/"+digest)
	if err != nil || status != http.StatusOK && status != http.StatusNotFound {
		t.Fatalf("GET image %s: %d %s %v", digest, status, body, err)
	}
	if status == http.StatusNotFound {
		return image{}, false
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("GET image %s: %v in %s", digest, err, body)
	}
	return got, true
}

// waitScanned waits until the image is scanned and judged.
func (g *gate) waitScanned(t *testing.T, p pushed) image {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		got, _ := g.image(t, ctx, p.Digest)
		switch {
		case got.State == "scanned" && got.Verdict.Decision != "" && got.Verdict.Decision != "none":
			t.Logf("%s: %s after %s", p.Ref(), got.Verdict.Decision, time.Since(began).Round(time.Millisecond))
			return got
		case got.State == "failed" || got.State == "unassessable":
			t.Fatalf("%s: got %+v, want it scanned", p.Ref(), got)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: got %+v after two minutes, want it scanned", p.Ref(), got)
		case <-g.process.Exited():
			t.Fatalf("digestgate serve ended: %v", g.process.Err())
		case <-tick.C:
		}
	}
}

// deliver sends what Harbor sends after a push; goharbor/website,
// configure-webhooks.md, "Artifact pushed".
func (g *gate) deliver(t *testing.T, p pushed) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"type": "PUSH_ARTIFACT", "occur_at": time.Now().Unix(), "operator": "admin",
		"event_data": map[string]any{
			"resources": []any{map[string]any{
				"digest": p.Digest, "tag": p.Tag, "resource_url": p.Ref(),
			}},
			"repository": map[string]any{
				"date_created": time.Now().Unix(), "name": filepath.Base(p.Repository), "namespace": filepath.Dir(p.Repository),
				"repo_full_name": p.Repository, "repo_type": "private",
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.http+"/webhooks/harbor", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", g.hook)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)); res.StatusCode != http.StatusAccepted {
		t.Fatalf("delivery for %s: got %s %s, want 202", p.Ref(), res.Status, answer)
	}
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
