package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/schedule"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

const token = "the-token"

// site is the API on a real store and a real catalog.
type site struct {
	*testing.T
	ctx     context.Context
	store   *sqlite.Store
	catalog *catalog.Catalog
	echo    *echo.Echo
	server  *httptest.Server
	now     *clock
	options api.Options
	events  *intake.LastEvents // of registrySite
}

// clock moves a little whenever somebody looks.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

// newSite starts the API; change may replace parts.
func newSite(t *testing.T, change func(*api.Options)) *site {
	t.Helper()
	s := &site{T: t, ctx: t.Context(), now: &clock{now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}}
	var err error
	s.store, err = sqlite.Open(s.ctx, filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Clock: s.now.Now})
	s.no(err)
	t.Cleanup(func() { _ = s.store.Close() })
	log := slog.New(slog.DiscardHandler)
	s.catalog, err = catalog.Open(s.ctx, t.TempDir(), s.store, log)
	s.no(err)
	t.Cleanup(func() { _ = s.catalog.Close() })
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "hub", Type: "harbor", Host: "hub.example.com"}, {Name: "second", Host: "second.example.com"}})
	s.no(err)
	quota, err := gate.NewQuota(gate.QuotaConfig{Limit: 10, Period: "month", TimeZone: "UTC"})
	s.no(err)
	s.options = api.Options{
		Reader: s.store, Lists: s.catalog, Jobs: s.store, Usage: s.store, Quota: quota, Version: "v1", Now: s.now.Now, Log: log,
		Scans:      &pipeline.Pipeline{Scheduler: s.store, Registries: registries},
		Authorized: func(given string) bool { return given == token },
		ScanTasks:  scantask.New(s.store, log),
		ScanKnown:  func() gate.ScanKnown { return gate.ScanKnown{Registries: registries.All()} },
	}
	s.options.Schedules = &schedule.Desk{
		File:  []schedule.Config{{Name: "from-file", Cron: "0 1 * * *", Kind: gate.ScanMatch, Enabled: true}},
		Store: s.store, Tasks: scantask.New(s.store, log), Known: s.options.ScanKnown, Log: log,
	}
	if change != nil {
		change(&s.options)
	}
	s.echo = echo.New()
	api.Register(s.echo, s.options)
	s.server = httptest.NewServer(s.echo)
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) no(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request; header may set or remove ("") headers.
func (s *site) send(method, target, body string, header map[string]string) answer {
	s.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(s.ctx, method, s.server.URL, reader)
	s.no(err)
	// As written: a client would clean the path up.
	path, query, _ := strings.Cut(target, "?")
	unescaped, err := url.PathUnescape(path)
	s.no(err)
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = unescaped, path, query
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header.Del(k)
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	res, err := http.DefaultClient.Do(req)
	s.no(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	s.no(err)
	return answer{res.StatusCode, res.Header, string(text)}
}

// get reads a JSON answer into out.
func (s *site) get(target string, out any) {
	s.Helper()
	s.call(http.MethodGet, target, "", http.StatusOK, out)
}

func (s *site) call(method, target, body string, status int, out any) {
	s.Helper()
	a := s.send(method, "/api/v1"+target, body, nil)
	if a.status != status {
		s.Fatalf("%s %s: got %d %s, want %d", method, target, a.status, a.body, status)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		s.Errorf("%s %s: content type %q", method, target, got)
	}
	if err := json.Unmarshal([]byte(a.body), out); err != nil {
		s.Fatalf("%s %s: %v in %s", method, target, err, a.body)
	}
}

// refused expects a problem whose text holds words.
func (s *site) refused(a answer, status int, words string) {
	s.Helper()
	var problem struct {
		Status int
		Detail string
		Errors []struct{ Message, Location string }
	}
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil || a.status != status || problem.Status != status {
		s.Errorf("got %d %s, want a problem with status %d", a.status, a.body, status)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		s.Errorf("content type %q, want application/problem+json", got)
	}
	if !strings.Contains(a.body, words) {
		s.Errorf("got %s, want %q in it", a.body, words)
	}
}

func digest(name string) gate.Digest {
	sum := sha256.Sum256([]byte(name))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func loc(repository string) gate.Location {
	return gate.Location{Registry: "hub", Repository: repository}
}

func (s *site) catchUp() { s.Helper(); s.no(s.catalog.CatchUp(s.ctx)) }

// image records an image at locations.
func (s *site) image(name string, locations ...gate.Location) gate.Digest {
	s.Helper()
	d := digest(name)
	s.no(s.store.PutManifest(s.ctx, gate.Manifest{
		Digest: d, Kind: gate.KindImage, Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Size: 1000,
	}))
	for _, l := range locations {
		_, err := s.store.AddLocation(s.ctx, d, l)
		s.no(err)
	}
	return d
}

// scanned stores an inventory and findings.
func (s *site) scanned(d gate.Digest, found ...gate.Vulnerability) {
	s.Helper()
	s.no(storetest.PutInventory(s.ctx, s.store, 1, &gate.Inventory{
		Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set-1", AnalyzedAt: s.now.Now(), Isolation: gate.Isolation{Level: "strict"},
		OS: gate.OS{Family: "debian", Name: "12.1"}, Packages: []gate.Package{{Name: "curl", Version: "1"}},
		Risks: map[gate.Risk]gate.RiskStatus{gate.RiskSecrets: {Coverage: gate.Partial, Reason: "one file"}},
	}))
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Digests: []gate.Digest{d}})
	s.no(err)
	s.no(storetest.PutFindings(s.ctx, s.store, &gate.Findings{
		Digest: d, InventoryID: res.Digests[d].Record.InventoryID, Generation: 7, UpdatedAt: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
		Matcher: "m1", MatchedAt: s.now.Now(), Vulnerabilities: found,
	}))
}

func (s *site) verdict(d gate.Digest, l gate.Location, o gate.Outcome, reasons ...gate.Reason) {
	s.Helper()
	s.no(storetest.PutVerdicts(s.ctx, s.store, d, []gate.Verdict{{Location: l, Decision: gate.Decision{
		Outcome: o, Reasons: reasons, PolicyRevision: "r1", EvaluatedAt: s.now.Now(),
	}}}))
}

func (s *site) tag(l gate.Location, tag string, d gate.Digest) {
	s.Helper()
	_, err := s.store.PutTag(s.ctx, gate.TagKey{Location: l, Tag: tag}, d, s.now.Now(), "")
	s.no(err)
}

func found(id string, severity gate.Severity) gate.Vulnerability {
	return gate.Vulnerability{ID: id, Package: "curl", InstalledVersion: "1", Severity: severity}
}
