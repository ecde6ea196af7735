package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func TestProbe(t *testing.T) {
	login := fake.Options{TLS: true, Auth: fake.AuthBearer, Username: "u", Password: "p"}
	foreign := login
	foreign.Realm = "https://tokens.example.com/token"
	for name, c := range map[string]struct {
		o      fake.Options
		change func(*Config)
		want   string // results in the order of the steps; the test's certificate lives a day
		words  string // in a text or an advice
	}{
		"all_well":         {login, nil, "ok warning ok ok ok", "credentials are accepted"},
		"plain":            {fake.Options{}, nil, "ok warning ok ok ok", "plainHTTP"},
		"unknown_ca":       {login, func(c *Config) { c.CAFile = "" }, "ok failed skipped skipped skipped", "caFile"},
		"insecure":         {login, func(c *Config) { c.CAFile, c.InsecureSkipVerify = "", true }, "ok warning ok ok ok", "insecureSkipVerify"},
		"no_tls_there":     {fake.Options{}, func(c *Config) { c.PlainHTTP = false }, "ok failed skipped skipped skipped", "plainHTTP"},
		"wrong_password":   {login, func(c *Config) { c.Username = "other" }, "ok warning failed failed skipped", "robot$name"},
		"no_credentials":   {login, func(c *Config) { c.Username, c.PasswordFile = "", "" }, "ok warning failed failed skipped", "configure username"},
		"foreign_realm":    {foreign, nil, "ok warning failed failed skipped", "add it to tokenHosts"},
		"no_catalog":       {fake.Options{NoCatalog: true}, func(c *Config) { c.Include = []string{"team/app", "other/**"} }, "ok warning ok failed ok", "without wildcards"},
		"service_without":  {fake.Options{}, func(c *Config) { c.Type = "ghcr" }, "ok warning ok warning skipped", "name repositories in include"},
		"empty_repository": {fake.Options{}, func(c *Config) { c.Include = []string{"none/here"} }, "ok warning ok ok failed", "404"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.o, func(cfg *Config, _ *Options) {
				if c.change != nil {
					c.change(cfg)
				}
			})
			r.push(t, "v1", 10)
			steps, err := r.client.Probe(t.Context(), "test", "")
			if err != nil {
				t.Fatal(err)
			}
			var results []string
			all := ""
			for n, s := range steps {
				results = append(results, string(s.Result))
				all += s.Text + " " + s.Advice + "\n"
				if want := []string{"reachability", "certificate", "login", "catalog", "pull"}[n]; s.Name != want {
					t.Errorf("step %d is %s, want %s", n, s.Name, want)
				}
			}
			if got := strings.Join(results, " "); got != c.want || !strings.Contains(all, c.words) {
				t.Errorf("got %s, want %s with %q in:\n%s", got, c.want, c.words, all)
			}
			want := 0
			if results[4] == string(gate.ProbeOK) {
				want = 1
			}
			if m, b := r.Count("GET", "/manifests/"), r.Count("", "/blobs/"); m != want || b != want {
				t.Errorf("%d manifests and %d blobs were asked for, want %d of each", m, b, want)
			}
		})
	}
}

// TestProbeReadsContent: what only shows when content is read shows in the test,
// also behind an index.
func TestProbeReadsContent(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config, *fake.Registry)
		fault  *fake.Fault
		index  bool
		want   gate.ProbeResult
		words  string
	}{
		"store_not_configured": {want: gate.ProbeFailed, words: "blobHosts"},
		"store_configured":     {change: func(c *Config, s *fake.Registry) { c.BlobHosts = []string{s.Host} }, want: gate.ProbeOK, words: "can be read"},
		"index":                {index: true, want: gate.ProbeFailed, words: "blobHosts"},
		"pull_denied":          {fault: &fake.Fault{Method: "GET", Path: "/v2/**/manifests/*", Status: 403}, want: gate.ProbeFailed, words: "permission to pull"},
		"blob_is_gone":         {fault: &fake.Fault{Path: "/v2/**/blobs/*", Status: 404}, want: gate.ProbeFailed, words: "404"},
	} {
		t.Run(name, func(t *testing.T) {
			r, store, image := redirecting(t, func(cfg *Config, s *fake.Registry) {
				if c.change != nil {
					c.change(cfg, s)
				}
			})
			repo := r.loc.Repository
			if c.index {
				repo = "team/index"
				if _, err := r.PushIndex(repo, "1.0", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})); err != nil {
					t.Fatal(err)
				}
			}
			if c.fault != nil {
				r.Reset()
				r.Fail(*c.fault)
			}
			steps, err := r.client.Probe(t.Context(), "test", repo)
			if err != nil || len(steps) != 5 {
				t.Fatalf("Probe: %+v, %v", steps, err)
			}
			if pull := steps[4]; pull.Result != c.want || !strings.Contains(pull.Text+pull.Advice, c.words) || strings.Contains(pull.Text, "s3cr3t") {
				t.Errorf("pull: %+v, want %s with %q", pull, c.want, c.words)
			}
			if n := len(store.Requests()); (n > 0) != (c.want == gate.ProbeOK) {
				t.Errorf("%d requests arrived at the store", n)
			}
		})
	}
}

func TestProbeOfWhatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := DefaultConfig()
	c.Name, c.Type, c.Host, c.PlainHTTP = "test", "distribution", l.Addr().String(), true
	client := newClient(t, Options{Registries: []Config{c}})
	steps, err := client.Probe(t.Context(), "test", "")
	if err != nil || len(steps) != 5 || steps[0].Result != gate.ProbeFailed || !strings.Contains(steps[0].Advice, "firewalls") {
		t.Errorf("Probe: %+v, %v", steps, err)
	}
	if _, err := client.Probe(t.Context(), "nobody", ""); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("Probe of an unknown registry: %v", err)
	}
	if _, err := client.Probe(t.Context(), "test", "Not/Valid"); !errors.Is(err, gate.ErrRefInvalid) {
		t.Errorf("Probe of a wrong repository: %v", err)
	}
}

func TestJudgeCertificates(t *testing.T) {
	r := newRig(t, fake.Options{TLS: true})
	s := r.client.sessions["test"]
	host, _, _ := net.SplitHostPort(r.Host)
	p := &prober{session: s}
	if step := p.certificate(t.Context()); step.Result == gate.ProbeFailed {
		t.Fatalf("certificate: %+v", step)
	}
	chain := presented(t, r.Host)
	roots := s.trust.transports().own.TLSClientConfig.RootCAs
	for name, c := range map[string]struct {
		host  string
		now   time.Time
		want  gate.ProbeResult
		words string
	}{
		"expired":    {host, chain[0].NotAfter.Add(time.Second), gate.ProbeFailed, "expired"},
		"not_yet":    {host, chain[0].NotBefore.Add(-time.Second), gate.ProbeFailed, "clock"},
		"wrong_name": {"other.example.com", chain[0].NotBefore.Add(time.Second), gate.ProbeFailed, host},
		"soon":       {host, chain[0].NotAfter.Add(-time.Minute), gate.ProbeWarning, "renew"},
	} {
		t.Run(name, func(t *testing.T) {
			step := judgeChain(chain, c.host, roots, c.now)
			if step.Result != c.want || !strings.Contains(step.Text+step.Advice, c.words) {
				t.Errorf("got %+v", step)
			}
		})
	}
}

// presented is the chain that a server shows.
func presented(t *testing.T, address string) []*x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // only looked at
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates
}
