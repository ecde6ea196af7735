package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
)

// fleet is several processes of the program that share a Redis, a registry,
// policies and advisory data; each has a data directory of its own.
type fleet struct {
	t          *testing.T
	dir        string
	registry   *fake.Registry
	advisories string // a link
	policy     string
	store      store.Config
	data       string // the key advisories; "" is the link
	extra      string
}

// fleetPolicy denies what has a critical vulnerability with a fix.
const fleetPolicy = `package digestgate

deny contains {"rule": "fixable-critical", "msg": v.id} if {
	some v in input.findings.vulnerabilities
	v.severity == "CRITICAL"
	v.fixedVersion != ""
}
`

// newFleet prepares processes on the Redis at url; extra is YAML of them all.
func newFleet(t *testing.T, url, extra string) *fleet {
	t.Helper()
	reg, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	f := &fleet{t: t, dir: t.TempDir(), registry: reg, extra: extra}
	f.advisories, f.policy = filepath.Join(f.dir, "advisories"), filepath.Join(f.dir, "policy.rego")
	f.store = store.Config{URL: url, Prefix: "fleet", MACKeyFile: filepath.Join(f.dir, "mac.key")}
	f.write(f.policy, fleetPolicy)
	f.write(f.store.MACKeyFile, strings.Repeat("0123456789abcdef", 4)+"\n")
	f.write(filepath.Join(f.dir, "secret"), hookSecret)
	for _, release := range []string{"without-expat", "complete"} {
		sources := fstest.MapFS{}
		for _, name := range []string{"bookworm.yaml", "nvd.yaml"} {
			text := read(t, "demo/advisories/"+name)
			if release == "without-expat" {
				var lines []string
				for line := range strings.SplitSeq(text, "\n") {
					if !strings.Contains(line, "package: expat") {
						lines = append(lines, line)
					}
				}
				text = strings.Join(lines, "\n")
			}
			sources[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: sources, Out: filepath.Join(f.dir, release)}); err != nil {
			t.Fatal(err)
		}
	}
	f.use("without-expat")
	return f
}

func (f *fleet) write(file, text string) {
	f.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// use swaps the advisory data as operations.md says.
func (f *fleet) use(release string) {
	f.t.Helper()
	if err := os.Symlink(release, f.advisories+".new"); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.advisories+".new", f.advisories); err != nil {
		f.t.Fatal(err)
	}
}

// process prepares a process; url is its way to Redis, "" for the fleet's.
func (f *fleet) process(url string, listeners int, args ...string) *server {
	f.t.Helper()
	if url == "" {
		url = f.store.URL
	}
	s := &server{t: f.t, dir: f.t.TempDir(), registry: f.registry, listeners: listeners, args: args,
		env: []string{"DIGESTGATE_ANALYZER=" + programtest.AnalyzerPath(f.t)}}
	s.config = filepath.Join(s.dir, "config.yaml")
	f.write(s.config, fmt.Sprintf(`
dataDir: %[1]s/data
listen: {http: "127.0.0.1:0", admission: "127.0.0.1:0", private: "127.0.0.1:0"}
store: {url: %[2]q, prefix: fleet, macKeyFile: %[3]s/mac.key}
registries:
  - {name: hub, type: harbor, host: %[4]q, plainHTTP: true, webhook: {auth: header, secretFiles: [%[3]s/secret]}}
advisories: %[6]s
policy: {paths: [%[3]s/policy.rego]}
%[5]s`, s.dir, url, f.dir, f.registry.Host, f.extra, cmp.Or(f.data, fmt.Sprintf("{path: %s, stale: allow}", f.advisories))))
	return s
}

// settings is the store without any process.
func (f *fleet) settings() *redis.Store {
	f.t.Helper()
	s, err := redis.Open(f.t.Context(), f.store, redis.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return s
}

// rewrite changes a setting as if somebody else had, or time had passed.
func (f *fleet) rewrite(s *redis.Store, name string, change func(map[string]any)) {
	f.t.Helper()
	state := map[string]any{}
	value, version, err := s.Setting(f.t.Context(), name)
	if err == nil {
		err = json.Unmarshal(value, &state)
	}
	if err != nil && version != 0 {
		f.t.Fatal(err)
	}
	change(state)
	if value, err = json.Marshal(state); err != nil {
		f.t.Fatal(err)
	}
	if _, err := s.PutSetting(f.t.Context(), name, value, version); err != nil {
		f.t.Fatal(err)
	}
}

// answer is what admission said.
type answer struct {
	allowed bool
	code    string
	text    string
	took    time.Duration
	err     error
}

func (a answer) String() string {
	return fmt.Sprintf("allowed %t, code %q, %q after %s, %v", a.allowed, a.code, a.text, a.took.Round(time.Millisecond), a.err)
}

// reviewer asks a replica as an API server does that trusts the authority of
// the process ca.
func (s *server) reviewer(ca *server) func(image string) answer {
	s.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(read(s.t, filepath.Join(ca.dir, "data", "tls", "ca.crt")))) {
		s.t.Fatal("no authority")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	s.t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	url := s.urls["admission"] + "/admission/validate?timeout=10s"
	return func(image string) answer {
		body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c",
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"namespace":"default","operation":"CREATE",
"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"default"},"spec":{"containers":[{"name":"a","image":%q}]}}}}`, image)
		began := time.Now()
		res, err := client.Post(url, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			return answer{err: err, took: time.Since(began)}
		}
		defer res.Body.Close()
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(res.Body).Decode(&review); err != nil || review.Response == nil {
			return answer{err: fmt.Errorf("status %s: %v", res.Status, err)}
		}
		a := answer{allowed: review.Response.Allowed, took: time.Since(began)}
		if r := review.Response.Result; r != nil {
			a.code, a.text = string(r.Reason), r.Message
		}
		return a
	}
}

// image is a reference by digest.
func (f *fleet) image(d gate.Digest) string { return f.registry.Host + "/team/app@" + string(d) }

// eventually polls until ok and returns how long that took.
func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, limit)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return time.Since(began)
}

// ready is what /readyz says.
func (s *server) ready() (status int, text string, took time.Duration) {
	s.t.Helper()
	began := time.Now()
	res, err := http.Get(s.urls["private"] + "/readyz")
	if err != nil {
		return 0, err.Error(), time.Since(began)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(res.Body)
	return res.StatusCode, b.String(), time.Since(began)
}
