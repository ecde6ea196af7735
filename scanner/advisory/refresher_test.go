package advisory_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// mirror is what repositories offer.
type mirror struct {
	t    *testing.T
	root string // where downloads are written

	mu      sync.Mutex
	offers  string // directory of what is offered now
	err     error
	asked   int // for what is offered
	fetched []gate.Digest
	known   map[gate.Digest]string
	during  func() // while it downloads
	own     bool
	java    bool // it is an index of Java archives
	// manifests says that what is offered has a manifest, as a bundle has.
	manifests bool
}

func (m *mirror) files() []string {
	if m.java {
		return []string{"trivy-java.db", "metadata.json"}
	}
	if m.manifests {
		return []string{"trivy.db", "metadata.json", "generation.json"}
	}
	return []string{"trivy.db", "metadata.json"}
}

// manifestOf stands for the digest of the OCI artifact with the files in dir.
func artifactOf(t *testing.T, dir string) gate.Digest {
	t.Helper()
	h := sha256.New()
	for _, name := range []string{"trivy.db", "trivy-java.db", "metadata.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		h.Write(b)
	}
	return gate.Digest(fmt.Sprintf("sha256:%x", h.Sum(nil)))
}

func (m *mirror) offer(dir string) gate.Digest {
	d := artifactOf(m.t, dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offers, m.err = dir, nil
	m.known[d] = dir
	return d
}

func (m *mirror) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *mirror) counts() (asked, downloads int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked, len(m.fetched)
}

// Fetch implements advisory.Mirrors.
func (m *mirror) Fetch(ctx context.Context, r advisory.MirrorRequest) (*advisory.Download, error) {
	m.mu.Lock()
	dir, during := m.offers, m.during
	if r.Digest != "" {
		dir = m.known[r.Digest]
	} else {
		m.asked++
	}
	err := m.err
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, fmt.Errorf("nothing is there: %w", gate.ErrNotFound)
	}
	d := advisory.Download{Repository: "mirror.example.com/db:2", Manifest: artifactOf(m.t, dir), Own: m.own}
	if r.Digest == "" && d.Manifest == r.Settled {
		return nil, nil
	}
	if during != nil {
		during()
	}
	if d.Dir, err = os.MkdirTemp(m.root, ".import-"); err != nil {
		return nil, err
	}
	d.Discard = func() { _ = os.RemoveAll(d.Dir) }
	for _, name := range m.files() {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(d.Dir, name), b, 0o600)
		}
		if err != nil {
			d.Discard()
			return nil, err
		}
	}
	m.mu.Lock()
	m.fetched = append(m.fetched, d.Manifest)
	m.mu.Unlock()
	if r.Accept == nil {
		return &d, nil
	}
	if err := r.Accept(ctx, d); err != nil {
		d.Discard()
		return nil, fmt.Errorf("%s: %w", d.Repository, err)
	}
	return &d, nil
}

// ticking is a clock that stands still until it is moved.
type ticking struct {
	mu sync.Mutex
	at time.Time
}

func (c *ticking) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *ticking) move(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

// node is a process that has its data from repositories.
type node struct {
	*advisory.Refresher
	m      *advisory.Manager
	loaded *loader
	dir    string
}

// plant is an installation with several processes and one store.
type plant struct {
	t      *testing.T
	clock  *ticking
	store  agree.Store
	mirror *mirror
	nodes  int
}

func newPlant(t *testing.T) *plant {
	c := &ticking{at: clock}
	return &plant{t: t, clock: c, store: agree.NewOwnStore(c.now), mirror: &mirror{t: t, own: true, known: map[gate.Digest]string{}}}
}

// node starts a process; asks says that it may ask the repositories. An empty dir is a
// new one.
func (p *plant) node(dir string, asks bool) *node {
	p.t.Helper()
	return p.nodeWith(dir, asks, func(*advisory.Config) {})
}

// nodeWith is node with a configuration.
func (p *plant) nodeWith(dir string, asks bool, configure func(c *advisory.Config)) *node {
	p.t.Helper()
	if dir == "" {
		dir = p.t.TempDir()
	}
	p.nodes++
	n := &node{loaded: &loader{}, dir: dir}
	root := filepath.Join(dir, "advisories")
	if err := os.MkdirAll(root, 0o700); err != nil {
		p.t.Fatal(err)
	}
	c := advisory.Default()
	c.Refresh = 6 * time.Hour
	configure(&c)
	n.m = advisory.NewManager(advisory.Options{Config: c, DataDir: dir, Store: p.store, Loader: n.loaded, Now: p.clock.now, Process: fmt.Sprint("p", p.nodes), Downloads: true})
	mux := http.NewServeMux()
	mux.Handle("GET "+advisory.PeerPath+"{content}/{file}", n.m.Serve())
	server := httptest.NewServer(mux)
	p.t.Cleanup(server.Close)
	n.Refresher = &advisory.Refresher{Manager: n.m, Client: server.Client(), Store: p.store, Process: fmt.Sprint("p", p.nodes), Address: server.URL, Every: c.Refresh, Log: slog.New(slog.DiscardHandler)}
	if asks {
		n.Mirrors = rooted{p.mirror, root}
	}
	_ = n.m.Open(p.t.Context()) // there may be nothing yet
	n.Tell(p.t.Context())
	return n
}

// rooted has downloads written below one process's directory.
type rooted struct {
	*mirror
	root string
}

func (r rooted) Fetch(ctx context.Context, req advisory.MirrorRequest) (*advisory.Download, error) {
	r.mu.Lock()
	r.mirror.root = r.root
	r.mu.Unlock()
	return r.mirror.Fetch(ctx, req)
}

// turn is what a process does in one tick.
func (n *node) turn(t *testing.T) {
	n.m.Follow(t.Context())
	n.Turn(t.Context())
	n.Tell(t.Context())
}

func (p *plant) desk() *advisory.Desk {
	return advisory.NewDesk(p.store, []string{"mirror.example.com/db:2"}, "desk", "v1", nil)
}

func (p *plant) status() gate.AdvisoryData {
	p.t.Helper()
	v, err := p.desk().Status(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// data builds a database as of hours after the day before yesterday. Each text is the
// version in which debian's openssl is fixed, by release.
func data(t *testing.T, hours int, fixed map[string]string) string {
	t.Helper()
	from := fstest.MapFS{}
	for release, version := range fixed {
		text := fmt.Sprintf("distribution: debian\nrelease: '%s'\nadvisories:\n", release)
		for i := range 5 {
			text += fmt.Sprintf("  - {package: openssl, id: CVE-2025-%d, fixedVersion: '%s', severity: HIGH}\n", 1000+i, version)
		}
		from[release+".yaml"] = file(text)
	}
	out := filepath.Join(t.TempDir(), "db")
	at := clock.Add(time.Duration(hours-48) * time.Hour)
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: from, Out: out, UpdatedAt: at, Now: func() time.Time { return clock.Add(100 * time.Hour) }}); err != nil {
		t.Fatal(err)
	}
	return out
}

func (n *node) want(t *testing.T, what string, number int64, problem string) gate.Generation {
	t.Helper()
	st := n.m.Status()
	text := strings.Join(append([]string{st.Problem}, st.Notes...), "\n")
	if st.Generation.Number != number || !strings.Contains(text, problem) || problem == "" && strings.TrimSpace(text) != "" {
		t.Errorf("%s: generation %d, %q; want %d, %q", what, st.Generation.Number, text, number, problem)
	}
	return st.Generation
}

// TestFirstDataComesByItself: a fresh installation says what it waits for, keeps trying
// more and more seldom, and has data as soon as a repository has.
func TestFirstDataComesByItself(t *testing.T) {
	p := newPlant(t)
	p.mirror.fail(fmt.Errorf("no route to mirror.example.com: %w", gate.ErrRegistryUnavailable))
	n := p.node("", true)
	n.want(t, "before anything", 0, "about to be downloaded")
	var waits []time.Duration
	for range 6 {
		n.turn(t)
		st := p.status()
		waits = append(waits, st.NextAt.Sub(p.clock.now()))
		n.turn(t) // too early
		p.clock.move(st.NextAt.Sub(p.clock.now()))
	}
	if got, want := fmt.Sprint(waits), "[1m0s 2m0s 4m0s 8m0s 10m0s 10m0s]"; got != want {
		t.Errorf("waits %s, want %s", got, want)
	}
	if asked, _ := p.mirror.counts(); asked != 6 {
		t.Errorf("asked %d times, want 6", asked)
	}
	n.want(t, "no repository", 0, "no route to mirror.example.com")
	if st := p.status(); st.Failures != 6 || !strings.Contains(st.Waiting, "no route") || st.CheckedBy != "p1" {
		t.Errorf("status %+v", st)
	}
	from := p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	n.turn(t)
	g := n.want(t, "with data", 1, "")
	st := p.status()
	if st.Waiting != "" || st.Problem != "" || st.Failures != 0 || st.InForce.Content != g.Content || !strings.HasSuffix(st.InForce.Sources[0].From, string(from)) || st.NextAt.Sub(p.clock.now()) != 6*time.Hour {
		t.Errorf("status %+v", st)
	}
}

// TestFirstDataIsNotHollow: with nothing to compare with, a database that is far too small
// is refused, unless it is marked as the operator's own or accepted.
func TestFirstDataIsNotHollow(t *testing.T) {
	p := newPlant(t)
	p.mirror.own = false
	from := p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	n := p.node("", true)
	n.turn(t)
	n.want(t, "too small", 0, "fewer advisories than Trivy's database ever had")
	if err := p.desk().Accept(t.Context(), string(from), p.clock.now().Add(time.Hour), "our own", "me"); err != nil {
		t.Fatal(err)
	}
	n.turn(t)
	n.want(t, "accepted by its digest", 1, "")
}

// TestOneProcessAsks: while one process downloads, no other asks; the others have the
// bytes from it.
func TestOneProcessAsks(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	a, b := p.node("", true), p.node("", true)
	p.mirror.during = func() {
		a.Progress("mirror.example.com/db:2", "downloading", 30<<20, 90<<20)
		b.turn(t)
		if asked, _ := p.mirror.counts(); asked != 1 {
			t.Errorf("asked %d times while a download was under way", asked)
		}
		b.want(t, "while another downloads", 0, "p1")
		if st := p.status(); st.Download == nil || st.Download.By != "p1" || !strings.Contains(st.Waiting, "is on its way") {
			t.Errorf("status %+v", st)
		}
	}
	a.turn(t)
	b.turn(t)
	if got, want := b.want(t, "the other", 1, ""), a.want(t, "the one", 1, ""); got.Content != want.Content {
		t.Errorf("got %s, want %s", got.Content, want.Content)
	}
	if asked, downloads := p.mirror.counts(); asked != 1 || downloads != 1 {
		t.Errorf("asked %d times, %d downloads", asked, downloads)
	}
	if holders := p.status().Processes; len(holders) != 2 || len(holders[0].Contents) != 1 {
		t.Errorf("processes %+v", holders)
	}
}

// TestKilledAsker: a process that dies while it downloads is not waited for longer than
// its lease, and what it left is no data.
func TestKilledAsker(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	a, b := p.node("", true), p.node("", true)
	died := errors.New("killed")
	p.mirror.during = func() { panic(died) }
	func() {
		defer func() { _ = recover() }()
		a.Turn(t.Context())
	}()
	p.mirror.during = nil
	b.turn(t)
	b.want(t, "in its lease", 0, "is on its way")
	p.clock.move(61 * time.Second)
	b.turn(t)
	b.want(t, "after its lease", 1, "")
}

// TestByItsDigest: where no process has the bytes, they come from the repository by
// digest, also when that offers newer ones by now.
func TestByItsDigest(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	a := p.node("", true)
	a.turn(t)
	old := a.want(t, "first", 1, "")
	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	b := p.node("", true)
	b.Client = nil // it reaches no other process
	b.turn(t)
	if got := b.want(t, "by digest", 1, ""); got.Content != old.Content {
		t.Errorf("got %s, want %s", got.Content, old.Content)
	}
	lone := p.node("", false)
	lone.Client = nil
	lone.turn(t)
	lone.want(t, "neither", 0, "cannot be downloaded by its digest")
}

// TestHostilePeer: what another process gives is used only if it is what is in force.
func TestHostilePeer(t *testing.T) {
	for name, spoil := range map[string]func(w http.ResponseWriter, r *http.Request, real http.Handler){
		"other_bytes": func(w http.ResponseWriter, r *http.Request, real http.Handler) {
			rec := httptest.NewRecorder()
			real.ServeHTTP(rec, r)
			b := rec.Body.Bytes()
			b[len(b)-1] ^= 1
			_, _ = w.Write(b)
		},
		"endless": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			for range 4096 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
		"cut": func(w http.ResponseWriter, r *http.Request, real http.Handler) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, "short")
		},
		"error": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(500) },
		"redirect": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, "http://127.0.0.1:1/", 302)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(t)
			p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
			a := p.node("", true)
			a.turn(t)
			b := p.node("", false)
			real := http.NewServeMux()
			real.Handle("GET "+advisory.PeerPath+"{content}/{file}", a.m.Serve())
			evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { spoil(w, r, real) }))
			defer evil.Close()
			a.Address = evil.URL
			p.clock.move(6 * time.Minute)
			a.Tell(t.Context())
			b.turn(t)
			b.want(t, "a hostile process", 0, "could not be had")
			entries, err := filepath.Glob(filepath.Join(b.dir, "advisories", "*"))
			if err != nil || len(entries) != 1 && len(entries) != 0 { // what it remembers
				t.Errorf("left %v, %v", entries, err)
			}
		})
	}
}

// TestNewGenerations: newer data is put in force, older and unusable data is not, and
// outages change nothing.
func TestNewGenerations(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	n := p.node("", true)
	n.turn(t)
	n.want(t, "first", 1, "")
	due := func() { t.Helper(); p.clock.move(p.status().NextAt.Sub(p.clock.now())); n.turn(t) }
	due()
	if asked, downloads := p.mirror.counts(); asked != 2 || downloads != 1 {
		t.Errorf("the same data again: asked %d times, %d downloads", asked, downloads)
	}
	p.mirror.offer(data(t, 20, map[string]string{"12": "0"}))
	due()
	n.want(t, "older data", 1, "older than the data in force")
	torn := data(t, 40, map[string]string{"12": "9"})
	if err := os.Truncate(filepath.Join(torn, "trivy.db"), 9000); err != nil {
		t.Fatal(err)
	}
	p.mirror.offer(torn)
	due()
	n.want(t, "torn data", 1, "checking advisory database")
	due()
	if _, downloads := p.mirror.counts(); downloads != 3 {
		t.Errorf("%d downloads: what was refused is downloaded again", downloads)
	}
	n.want(t, "torn data, again", 1, "checking advisory database")
	p.mirror.fail(&gate.RetryAfterError{After: 2 * time.Hour, Err: gate.ErrRegistryUnavailable})
	due()
	if wait := p.status().NextAt.Sub(p.clock.now()); wait != 2*time.Hour {
		t.Errorf("asked to wait 2h, waits %s", wait)
	}
	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	due()
	n.want(t, "newer data", 2, "")
	// A clock that went back by a day does not keep anybody waiting for a day.
	p.mirror.offer(data(t, 31, map[string]string{"12": "3"}))
	p.clock.move(-24 * time.Hour)
	n.turn(t)
	if g := n.m.Status().Generation; g.Number != 3 {
		t.Errorf("after the clock went back: generation %d, want 3", g.Number)
	}
}

// TestRefusedBucketKeepsItsRows: one release vanishes from newer data; the rest is put in
// force, the release keeps its rows with their age, until a person accepts it.
func TestRefusedBucketKeepsItsRows(t *testing.T) {
	p := newPlant(t)
	first := data(t, 24, map[string]string{"11": "1", "12": "1"})
	p.mirror.offer(first)
	n := p.node("", true)
	n.turn(t)
	old := n.want(t, "first", 1, "")
	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	p.clock.move(6 * time.Hour)
	n.turn(t)
	n.want(t, "a release is missing", 2, "debian 11")
	check := func(what, in11, in12 string) {
		t.Helper()
		dir, ok := n.m.Dir(n.m.Status().Generation.Content)
		if !ok {
			t.Fatal("no files")
		}
		for bucket, want := range map[string]string{"debian 11": in11, "debian 12": in12} {
			got := value(t, dir, bucket, "openssl", "CVE-2025-1000")
			if (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("%s: %s has %q, want %q", what, bucket, got, want)
			}
		}
		if source := value(t, dir, "data-source", "debian 11"); in11 != "" && source == "" {
			t.Errorf("%s: the source of debian 11 is missing", what)
		}
	}
	check("composed", `"FixedVersion":"1"`, `"FixedVersion":"2"`)
	v := p.status().InForce
	if len(v.Held) != 1 || v.Held[0].Bucket != "debian 11" || !v.Held[0].UpdatedAt.Equal(old.UpdatedAt) || len(v.Sources) != 2 || v.Sources[0].Priority != 0 || v.Sources[1].Digest != old.Content || v.Sources[1].Priority != 1 {
		t.Errorf("in force %+v", v)
	}
	agesOf(t, n.m.Status().Generation, old.UpdatedAt, "debian 11")
	other := p.node("", true)
	other.turn(t) // composed data comes from a process
	if got := other.want(t, "another process", 2, "debian 11"); got.Content != v.Content {
		t.Errorf("another process has %s, want %s", got.Content, v.Content)
	}
	agesOf(t, other.m.Status().Generation, old.UpdatedAt, "debian 11")
	// Still missing: the age of the rows is that of the first data.
	p.mirror.offer(data(t, 36, map[string]string{"12": "3"}))
	p.clock.move(6 * time.Hour)
	n.turn(t)
	check("composed again", `"FixedVersion":"1"`, `"FixedVersion":"3"`)
	if h := p.status().InForce.Held; len(h) != 1 || !h[0].UpdatedAt.Equal(old.UpdatedAt) {
		t.Errorf("held %+v", h)
	}
	restarted := p.node(n.dir, false)
	restarted.want(t, "after a restart", 3, "debian 11")
	agesOf(t, restarted.m.Status().Generation, old.UpdatedAt, "debian 11")
	if err := p.desk().Accept(t.Context(), "debian 11", p.clock.now().Add(24*time.Hour), "support has ended", "me"); err != nil {
		t.Fatal(err)
	}
	n.turn(t)
	n.want(t, "accepted", 4, "")
	check("accepted", "", `"FixedVersion":"3"`)
	if audit := p.status().Audit; len(audit) != 1 || !strings.Contains(audit[0].What, "debian 11") || audit[0].By != "me" {
		t.Errorf("audit %+v", audit)
	}
}

// agesOf checks that one bucket of a generation is of a time, and the rest newer.
func agesOf(t *testing.T, g gate.Generation, at time.Time, bucket string) {
	t.Helper()
	for uses, want := range map[string]bool{gate.JoinUses([]string{bucket}): true, "": true, gate.JoinUses([]string{"debian 12"}): false} {
		if got, _ := g.AgeFor(uses); got.Equal(at) != want || !want && !got.After(at) {
			t.Errorf("an image with %q is judged by %s; the bucket %q is of %s", uses, got, bucket, at)
		}
	}
	if !g.UpdatedAt.Equal(at) {
		t.Errorf("the oldest part is of %s, want %s", g.UpdatedAt, at)
	}
}

// TestGoingBack: a rollback reaches every process that keeps the former generation, does
// not come back by itself, and ends with newer data.
func TestGoingBack(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	a, b := p.node("", true), p.node("", true)
	a.turn(t)
	b.turn(t)
	if _, err := p.desk().Rollback(t.Context(), "me", ""); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("without a former generation: %v", err)
	}
	old := a.want(t, "first", 1, "")
	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	p.clock.move(6 * time.Hour)
	a.turn(t)
	b.turn(t)
	newer := b.want(t, "second", 2, "")
	back, err := p.desk().Rollback(t.Context(), "me", "too many findings")
	if err != nil || back.Number != 3 || back.Content != old.Content {
		t.Fatalf("rollback: %+v, %v", back, err)
	}
	for range 3 {
		for _, n := range []*node{a, b} {
			n.turn(t)
			if got := n.want(t, "rolled back", 3, ""); got.Content != old.Content {
				t.Errorf("has %s", got.Content)
			}
		}
		p.clock.move(6 * time.Hour)
	}
	late := p.node("", true)
	late.turn(t)
	late.want(t, "a new process", 3, "")
	st := p.status()
	if st.RolledBack == nil || st.RolledBack.Content != newer.Content || st.RolledBack.By != "me" || len(st.Audit) != 1 || !strings.Contains(st.Audit[0].What, "too many findings") {
		t.Errorf("status %+v", st)
	}
	// Even when the state of the refresh is lost.
	_, version, err := p.store.Setting(t.Context(), agree.SettingRefresh)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.store.PutSetting(t.Context(), agree.SettingRefresh, []byte("{"), version); err != nil {
		t.Fatal(err)
	}
	a.turn(t)
	a.want(t, "the state is lost", 3, "")
	if st := p.status(); st.Offered == nil || !strings.Contains(st.Offered.Refused, "went back") {
		t.Errorf("offered %+v", st.Offered)
	}
	p.mirror.offer(data(t, 31, map[string]string{"12": "3"}))
	p.clock.move(6 * time.Hour)
	a.turn(t)
	a.want(t, "newer than what was gone back from", 4, "")
}

// TestAcceptIsChecked: an override has a name, an end and a reason.
func TestAcceptIsChecked(t *testing.T) {
	p := newPlant(t)
	day := clock.Add(24 * time.Hour)
	for name, c := range map[string]struct {
		what, reason string
		until        time.Time
		want         string
	}{
		"nothing":     {"", "why", day, "name the digest or the bucket"},
		"part_digest": {"sha256:abc", "why", day, "not a whole digest"},
		"no_reason":   {"debian 12", " ", day, "a reason is needed"},
		"long_reason": {"debian 12", strings.Repeat("x", 501), day, "a reason is needed"},
		"past":        {"debian 12", "why", clock, "not in the future"},
		"for_ever":    {"debian 12", "why", clock.AddDate(5, 0, 0), "within a year"},
	} {
		t.Run(name, func(t *testing.T) {
			err := p.desk().Accept(t.Context(), c.what, c.until, c.reason, "me")
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}
	if st := p.status(); len(st.Accepted) != 0 || len(st.Audit) != 0 {
		t.Errorf("status %+v", st)
	}
}
