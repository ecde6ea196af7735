package catalog_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a catalog that follows a real store.
type site struct {
	testing.TB
	ctx     context.Context
	dir     string // of the catalog
	store   *sqlite.Store
	catalog *catalog.Catalog
	clock   *clock
}

// clock is the store's; each look at it is later than the one before, so that
// everything has a time of its own.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	tick time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.tick)
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newSite(t testing.TB, o sqlite.Options) *site {
	t.Helper()
	s := &site{TB: t, ctx: context.Background(), dir: memoryDir(t), clock: &clock{now: time.Unix(1_790_000_000, 0), tick: time.Millisecond}}
	o.Clock = s.clock.Now
	s.store = openStore(t, filepath.Join(memoryDir(t), "store.db"), o)
	s.catalog = s.open(s.dir, s.store)
	return s
}

func openStore(t testing.TB, path string, o sqlite.Options) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// memoryDir spares the tests the waiting for a disk, where the system can.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "digestgate-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *site) open(dir string, source catalog.Source) *catalog.Catalog {
	s.Helper()
	c, err := catalog.Open(s.ctx, dir, source, nopLog())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *site) no(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// follow opens the catalog again, on source.
func (s *site) follow(source catalog.Source) {
	s.Helper()
	s.no(s.catalog.Close())
	s.catalog = s.open(s.dir, source)
}

// catchUp applies what has happened.
func (s *site) catchUp() {
	s.Helper()
	s.no(s.catalog.CatchUp(s.ctx))
}

func digest(name string) gate.Digest {
	sum := sha256.Sum256([]byte(name))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func loc(repo string) gate.Location { return gate.Location{Registry: "hub", Repository: repo} }

// image records an image that was seen at locations.
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

// index records an index; children whose name begins with "-" are not judged.
func (s *site) index(name string, l gate.Location, children ...string) gate.Digest {
	s.Helper()
	m := gate.Manifest{Digest: digest(name), Kind: gate.KindIndex}
	for _, c := range children {
		judged := c[0] != '-'
		if !judged {
			c = c[1:]
		}
		m.Children = append(m.Children, gate.Child{Digest: digest(c), Platform: gate.Platform{OS: "linux", Architecture: c}, Judged: judged})
	}
	s.no(s.store.PutManifest(s.ctx, m))
	_, err := s.store.AddLocation(s.ctx, m.Digest, l)
	s.no(err)
	return m.Digest
}

// scanned stores an inventory.
func (s *site) scanned(d gate.Digest) {
	s.Helper()
	s.no(storetest.PutInventory(s.ctx, s.store, 1, &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set-1", AnalyzedAt: s.clock.Now()}))
}

// matched stores findings of the given severities.
func (s *site) matched(d gate.Digest, severities ...gate.Severity) {
	s.Helper()
	f := &gate.Findings{Digest: d, InventoryID: s.record(d).InventoryID, Generation: 1, Matcher: "m1"}
	for i, severity := range severities {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: fmt.Sprint("CVE-", i), Package: "p", Severity: severity})
	}
	s.no(storetest.PutFindings(s.ctx, s.store, f))
}

func (s *site) record(d gate.Digest) gate.Record {
	s.Helper()
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Digests: []gate.Digest{d}})
	s.no(err)
	return res.Digests[d].Record
}

func (s *site) verdict(d gate.Digest, l gate.Location, o gate.Outcome) {
	s.Helper()
	s.no(storetest.PutVerdicts(s.ctx, s.store, d, []gate.Verdict{{Location: l, Decision: gate.Decision{Outcome: o, EvaluatedAt: s.clock.Now()}}}))
}

func (s *site) tag(l gate.Location, tag string, d gate.Digest) {
	s.Helper()
	now, err := s.store.Now(s.ctx)
	s.no(err)
	_, err = s.store.PutTag(s.ctx, gate.TagKey{Location: l, Tag: tag}, d, now, "")
	s.no(err)
}

func (s *site) enqueue(req gate.JobRequest) gate.Job {
	s.Helper()
	job, _, err := s.store.Enqueue(s.ctx, req)
	s.no(err)
	return job
}

// analysis asks for the analysis of an image.
func (s *site) analysis(d gate.Digest) gate.Job {
	return s.enqueue(gate.JobRequest{Kind: gate.JobAnalyze, Location: loc("app"), Digest: d, Trigger: gate.TriggerPush})
}

func (s *site) claim() (gate.Job, error) {
	return s.store.Claim(s.ctx, gate.ClaimRequest{
		Worker: "w", Period: gate.Period{Key: "none"}, Lease: time.Hour, MaxAttempts: 3, Registries: map[string]gate.Limits{"hub": {}},
	})
}

// run claims the next job and ends it.
func (s *site) run(end error) gate.Job {
	s.Helper()
	job, err := s.claim()
	s.no(err)
	_, err = s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: end, Final: true})
	s.no(err)
	return job
}

func (s *site) images(f gate.ImageFilter) []gate.ListedImage {
	s.Helper()
	list, _, err := s.catalog.Images(s.ctx, f)
	s.no(err)
	return list
}

// one is the row of an image.
func (s *site) one(d gate.Digest) gate.ListedImage {
	s.Helper()
	list := s.images(gate.ImageFilter{Keyword: string(d)})
	if len(list) != 1 {
		s.Fatalf("%s has %d rows, want 1", d.Short(), len(list))
	}
	return list[0]
}

// counting counts scans, which is how a rebuild shows.
type counting struct {
	*sqlite.Store
	mu    sync.Mutex
	scans int
	fail  error
}

func (c *counting) Scan(ctx context.Context, fn gate.ScanFunc) (int64, error) {
	c.mu.Lock()
	c.scans++
	fail := c.fail
	c.mu.Unlock()
	if fail != nil {
		return 0, errors.Join(gate.ErrStoreUnavailable, fail)
	}
	return c.Store.Scan(ctx, fn)
}

func nopLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
