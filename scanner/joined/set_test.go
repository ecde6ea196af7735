package joined

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/agree/agreetest"
	"github.com/digestgate/digestgate/scanner/joined/kev"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// site is a store with a clock, and files.
type site struct {
	*testing.T
	dir   string
	store *agree.OwnStore
	mu    sync.Mutex
	time  time.Time
}

func newSite(t *testing.T) *site {
	s := &site{T: t, dir: t.TempDir(), time: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	s.store = agree.NewOwnStore(s.now)
	return s
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.time
}

func (s *site) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.time = s.time.Add(d)
}

// write replaces a file, as an editor or a ConfigMap does.
func (s *site) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.Fatal(err)
	}
	return path
}

// process makes a set on the store.
func (s *site) process(name string, change func(*Options)) *Set {
	s.Helper()
	o := Options{
		Every: time.Hour, Provides: true, Store: s.store, Shared: true, Process: name, Program: "test", Place: "here", DataDir: filepath.Join(s.dir, name),
		Log: slog.New(slog.DiscardHandler), Now: s.now,
	}
	change(&o)
	set, err := New(o)
	if err != nil {
		s.Fatal(err)
	}
	s.follow(set.Open(s.Context()))
	return set
}

func (s *site) follow(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func scores(day string, ids ...string) string {
	text := "#model_version:v1,score_date:" + day + "T00:00:00Z\ncve,epss,percentile\n"
	for _, id := range ids {
		text += id + ",0.9,0.9\n"
	}
	return text
}

func many(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("CVE-2024-%05d", 10000+i))
	}
	return list
}

// TestWorseContentStaysOut: the table in force stays, the reason is shown, and what is
// right again is taken.
func TestWorseContentStaysOut(t *testing.T) {
	s := newSite(t)
	path := s.write("epss.csv", scores("2026-11-28", many(100)...))
	a := s.process("a", func(o *Options) { o.EPSS = path })
	b := s.process("b", func(o *Options) { o.Provides = false })
	const id = "CVE-2024-10042"
	want := func(name, problem string, number int64) {
		t.Helper()
		s.follow(a.Follow(t.Context()))
		s.follow(b.Follow(t.Context()))
		for _, set := range []*Set{a, b} {
			if _, ok := set.Tables().EPSS(id); !ok || set.Tables().Table(gate.TableEPSS).Number != number {
				t.Errorf("%s, %s: the score is there: %t, number %d, want %d", name, set.o.Process, ok, set.Tables().Table(gate.TableEPSS).Number, number)
			}
		}
		if got := a.Status()[0].Problem; (got == "") != (problem == "") || !strings.Contains(got, problem) {
			t.Errorf("%s: the status says %q, want %q", name, got, problem)
		}
	}
	want("first", "", 1)
	for _, c := range []struct{ name, text, problem string }{
		{"malformed", "#model_version:v1,score_date:2026-11-29\ncve,epss,percentile\nCVE-2024-10042,abc,0\n", "line 3"},
		{"empty", "", "empty"},
		{"shrunk", scores("2026-11-29", many(79)...), "more than a fifth"},
		{"older", scores("2026-11-27", many(100)...), "older than what is in force"},
		{"of_the_future", scores("2026-12-24", many(100)...), "in the future"},
		{"damaged_gzip", "\x1f\x8b\x08garbage", "unpacking"},
	} {
		s.write("epss.csv", c.text)
		want(c.name, c.problem, 1)
	}
	s.write("epss.csv", scores("2026-11-29", many(80)...))
	want("a fifth less", "", 2)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(scores("2026-11-30", many(90)...))); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	s.write("epss.csv", zipped.String())
	want("compressed", "", 3)
	// A restart with an older file does not go back.
	s.write("epss.csv", scores("2026-11-28", many(100)...))
	a = s.process("a", func(o *Options) { o.EPSS = path })
	want("restarted", "older than what is in force", 3)
	// Taken out of the configuration, it is in force nowhere.
	a = s.process("a", func(*Options) {})
	s.follow(a.Follow(t.Context()))
	s.follow(a.Follow(t.Context()))
	s.follow(b.Follow(t.Context()))
	if _, ok := b.Tables().EPSS(id); ok || b.Tables().Table(gate.TableEPSS).Number != 0 {
		t.Error("a table that is not configured any more is in force elsewhere")
	}
}

const image = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func statement(day, status string) string {
	more := `, "justification": "component_not_present"`
	if status != "not_affected" {
		more = ""
	}
	return `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "Acme", "timestamp": "` + day + `T00:00:00Z", "version": 1, "statements": [
 {"vulnerability": {"name": "CVE-2026-0001"}, "status": "` + status + `"` + more + `, "products": [{"@id": "pkg:oci/app@` + image + `", "subcomponents": [{"@id": "pkg:npm/left-pad@1.0.0"}]}]}]}`
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func hidden(set *Set, now time.Time) bool {
	_, ok := set.Tables().Hides(gate.Whereabouts{Digest: image, Location: gate.Location{Registry: "r", Repository: "a"}},
		&gate.Vulnerability{ID: "CVE-2026-0001", PURL: "pkg:npm/left-pad@1.0.0"}, now)
	return ok
}

// TestReplacedStatementsUnhideEverywhere: at once, on both replicas; and a document that is
// too old hides nothing.
func TestReplacedStatementsUnhideEverywhere(t *testing.T) {
	s := newSite(t)
	text := statement("2026-11-01", "not_affected")
	path := s.write("acme.json", text)
	config := func(sum string) func(*Options) {
		return func(o *Options) {
			o.VEX = []vex.Config{{Name: "acme", Path: path, Checksum: sum, Repositories: []string{"**"}, MaxAge: 60 * 24 * time.Hour}}
		}
	}
	a := s.process("a", config(checksum(text)))
	b := s.process("b", func(o *Options) { o.Provides = false })
	follow := func() {
		s.follow(a.Follow(t.Context()))
		s.follow(b.Follow(t.Context()))
	}
	want := func(name string, want bool) {
		t.Helper()
		for _, set := range []*Set{a, b} {
			if got := hidden(set, s.now()); got != want {
				t.Errorf("%s, %s: hidden %t, want %t", name, set.o.Process, got, want)
			}
		}
	}
	follow()
	want("first", true)
	// A file that is not the one that the operator chose changes nothing, and is told.
	s.write("acme.json", statement("2026-11-02", "affected"))
	follow()
	want("another file", true)
	if st := a.Status()[3].Sources; len(st) != 1 || !strings.Contains(st[0].Problem, "checksum") || st[0].Author != "Acme" || st[0].Statements != 1 {
		t.Errorf("status: %+v", st)
	}
	// The operator chooses it.
	next := statement("2026-11-02", "under_investigation")
	s.write("acme.json", next)
	a = s.process("a", config(checksum(next)))
	follow()
	want("chosen", false)
	a = s.process("a", config(checksum(text)))
	s.write("acme.json", text)
	follow()
	want("back", true)
	s.advance(60 * 24 * time.Hour)
	want("too old", false)
	if got := a.Problems(); len(got) != 1 || !strings.Contains(got[0], "too old") {
		t.Errorf("problems: %q", got)
	}
	s.advance(-60 * 24 * time.Hour)
	a = s.process("a", func(*Options) {})
	follow()
	follow()
	want("taken out", false)
}

// TestURLsAreAskedConditionally: one process for all, with what it has, and after a failure
// no sooner than the server says.
func TestURLsAreAskedConditionally(t *testing.T) {
	s := newSite(t)
	var mu sync.Mutex
	asked, answered, fails := 0, 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		switch {
		case fails:
			w.Header().Set("Retry-After", "1800")
			w.WriteHeader(http.StatusTooManyRequests)
		case r.Header.Get("If-None-Match") == `"one"`:
			w.WriteHeader(http.StatusNotModified)
		default:
			answered++
			w.Header().Set("ETag", `"one"`)
			fmt.Fprint(w, scores("2026-11-29", many(10)...))
		}
	}))
	defer server.Close()
	a := s.process("a", func(o *Options) { o.EPSS = server.URL + "/epss.csv" })
	b := s.process("b", func(o *Options) { o.EPSS = server.URL + "/epss.csv" })
	look := func() {
		t.Helper()
		for _, set := range []*Set{a, b} {
			for _, src := range set.sources() {
				src.look(context.Background(), true)
			}
			s.follow(set.Follow(t.Context()))
		}
	}
	counts := func(name string, wantAsked, wantAnswered int) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if asked != wantAsked || answered != wantAnswered {
			t.Errorf("%s: asked %d times, answered %d; want %d and %d", name, asked, answered, wantAsked, wantAnswered)
		}
	}
	look()
	look()
	counts("two processes", 1, 1)
	if _, ok := b.Tables().EPSS("CVE-2024-10001"); !ok {
		t.Error("the other process does not have it")
	}
	s.advance(time.Hour)
	look()
	mu.Lock()
	n := asked
	fails = true
	mu.Unlock()
	if n < 2 {
		t.Error("it was not asked again after an hour")
	}
	s.advance(time.Hour)
	look()
	mu.Lock()
	n = asked
	mu.Unlock()
	s.advance(29 * time.Minute)
	look()
	counts("within Retry-After", n, answered)
	if _, ok := a.Tables().EPSS("CVE-2024-10001"); !ok {
		t.Error("what was in force is gone")
	}
}

func TestTouched(t *testing.T) {
	all := map[gate.TableKind]bool{gate.TableEPSS: true, gate.TableKEV: true, gate.TableVEX: true}
	doc, err := vex.Parse([]byte(statement("2026-11-01", "not_affected")), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	before := NewTables(nil, &kev.Table{}, nil, nil)
	after := NewTables(nil, &kev.Table{Entries: []kev.Entry{{ID: "CVE-2026-0009"}}}, nil, &vex.Table{Sources: []vex.Source{{Name: "a", Document: *doc}}})
	got := Compare(before, after, all)
	if fmt.Sprint(got.IDs) != "[CVE-2026-0009]" || fmt.Sprint(got.Digests) != "["+image+"]" || got.Unknown {
		t.Errorf("got %+v", got)
	}
	if got := Compare(before, after, map[gate.TableKind]bool{}); !got.Empty() {
		t.Errorf("looked at nothing: got %+v", got)
	}
	if got := Compare(after, after, all); !got.Empty() {
		t.Errorf("the same: got %+v", got)
	}
}

// TestAgreed: processes agree on tables as on everything else that is in force.
func TestAgreed(t *testing.T) {
	at := func(n int) time.Time { return time.Date(2026, 1, 1, n, 0, 0, 0, time.UTC) }
	t.Run("by_time", func(t *testing.T) {
		k := kevKind()
		agreetest.Run(t, agreetest.Harness{Kind: k.agreeing(false), Content: func(n int) agree.Content {
			return contentOf(t, k, &kev.Table{Version: fmt.Sprint(n), ReleasedAt: at(n)})
		}})
	})
	t.Run("by_history", func(t *testing.T) {
		k := vexKind()
		agreetest.Run(t, agreetest.Harness{Kind: k.agreeing(false), Content: func(n int) agree.Content {
			return contentOf(t, k, &vex.Table{Sources: []vex.Source{{Name: fmt.Sprint(n), Document: vex.Document{At: at(n)}}}})
		}})
	})
}

func contentOf[T any](t *testing.T, k kind[T], table *T) agree.Content {
	t.Helper()
	c, err := k.content(table)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
