package app

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// benchImages is how many realistic images are stored; $DIGESTGATE_BENCH_IMAGES says
// otherwise. A benchmark that runs once, so that it does not rot, makes do with few.
func benchImages(b *testing.B) int {
	b.Helper()
	if n, err := strconv.Atoi(os.Getenv("DIGESTGATE_BENCH_IMAGES")); err == nil {
		return n
	}
	if f := flag.Lookup("test.benchtime"); f != nil && f.Value.String() == "1x" {
		return 12
	}
	return 1_200
}

// BenchmarkReview is the whole warm way of a review of a Pod with three realistic images
// by digest, without a network before it: of always the same three, and of all that are
// stored in turns, which do not fit into what only recent images are kept in. Run it with
// -cpu 1.
func BenchmarkReview(b *testing.B) {
	for _, kind := range []string{"sqlite", "redis"} {
		b.Run(kind, func(b *testing.B) {
			s := stock.New(stock.Options{Images: benchImages(b), Now: time.Now().UTC().Truncate(time.Second)})
			log := &switched{}
			serve := stockedApp(b, s, benchStore(b, kind), slog.New(log))
			var bodies [][]byte
			for i := 0; i+3 <= s.Images(); i += 3 {
				bodies = append(bodies, stockReview(b, s, i))
			}
			b.Run("same", func(b *testing.B) { reviewInTurns(b, serve, bodies[:1]) })
			b.Run("different", func(b *testing.B) { reviewInTurns(b, serve, bodies) })
			for _, format := range logFormats {
				log.to(serverLogIn(b, format))
				b.Run("logged-"+format, func(b *testing.B) { reviewInTurns(b, serve, bodies[:1]) })
			}
		})
	}
}

func reviewInTurns(b *testing.B, serve http.Handler, bodies [][]byte) {
	ask := asking(b, serve, bodies)
	for i := range bodies {
		ask(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	for i := range b.N {
		ask(i)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reviews/s")
	// What it costs, also on a machine that does something else.
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// asking sends one of some reviews. The request and the answer have the same memory each
// time, so that what is measured is the review alone.
func asking(tb testing.TB, serve http.Handler, bodies [][]byte) func(i int) {
	req := httptest.NewRequest(http.MethodPost, admission.BasePath+"?timeout=10s", nil)
	req.Header.Set("Content-Type", "application/json")
	body, w := bytes.NewReader(nil), &answer{header: http.Header{}}
	return func(i int) {
		body.Reset(bodies[i%len(bodies)])
		req.Body, req.ContentLength = io.NopCloser(body), body.Size()
		w.text = w.text[:0]
		serve.ServeHTTP(w, req)
		if !bytes.Contains(w.text, []byte(`"allowed":true`)) && !bytes.Contains(w.text, []byte(gate.CodePolicy)) {
			tb.Fatalf("%s", w.text)
		}
	}
}

// answer is a ResponseWriter that is used again.
type answer struct {
	header http.Header
	text   []byte
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(int)     {}
func (a *answer) Write(b []byte) (int, error) {
	a.text = append(a.text, b...)
	return len(b), nil
}

// TestReview_allocates: a warm review of three realistic images is answered with few
// allocations on both stores. On Redis about half of them are the client's.
func TestReview_allocates(t *testing.T) {
	for kind, most := range map[string]float64{"sqlite": 50, "redis": 100} {
		t.Run(kind, func(t *testing.T) {
			s := stock.New(stock.Options{Images: 3, Now: time.Now().UTC().Truncate(time.Second)})
			ask := asking(t, stockedApp(t, s, benchStore(t, kind), slog.New(slog.DiscardHandler)), [][]byte{stockReview(t, s, 0)})
			ask(0)
			// The least of some: what else runs in the process allocates too.
			least := math.Inf(1)
			for range 10 {
				least = min(least, testing.AllocsPerRun(20, func() { ask(0) }))
			}
			if least > most {
				t.Errorf("%.0f allocations, want at most %.0f", least, most)
			}
		})
	}
}

var logFormats = []string{"text", "json"}

// serverLogIn is the log of a server that nobody reads.
func serverLogIn(tb testing.TB, format string) slog.Handler {
	log, flush := (&Options{logFormat: format, LogLevel: "info"}).serverLog(io.Discard)
	tb.Cleanup(flush)
	return log.Handler()
}

// switched is a log that goes somewhere or not.
type switched struct{ handler atomic.Pointer[slog.Handler] }

func (s *switched) to(h slog.Handler) { s.handler.Store(&h) }

func (s *switched) Enabled(ctx context.Context, l slog.Level) bool {
	h := s.handler.Load()
	return h != nil && (*h).Enabled(ctx, l)
}
func (s *switched) Handle(ctx context.Context, r slog.Record) error {
	return (*s.handler.Load()).Handle(ctx, r)
}
func (s *switched) HandleAttrs(ctx context.Context, at time.Time, level slog.Level, msg string, attrs []slog.Attr) error {
	quick := (*s.handler.Load()).(interface {
		HandleAttrs(ctx context.Context, at time.Time, level slog.Level, msg string, attrs []slog.Attr) error
	})
	return quick.HandleAttrs(ctx, at, level, msg, attrs)
}
func (s *switched) WithAttrs([]slog.Attr) slog.Handler { return slog.DiscardHandler }
func (s *switched) WithGroup(string) slog.Handler      { return slog.DiscardHandler }

// TestReview_logLine: the line of a review costs a small part of it.
func TestReview_logLine(t *testing.T) {
	s := stock.New(stock.Options{Images: 3, Now: time.Now().UTC().Truncate(time.Second)})
	log := &switched{}
	ask := asking(t, stockedApp(t, s, benchStore(t, "sqlite"), slog.New(log)), [][]byte{stockReview(t, s, 0)})
	ask(0)
	for _, format := range logFormats {
		handler := serverLogIn(t, format)
		// The best of many short runs by turns: a loaded machine makes some of both slower.
		without, with := time.Hour, time.Hour
		fewest := map[bool]float64{false: math.Inf(1), true: math.Inf(1)}
		for turn := range 600 {
			log.to(slog.DiscardHandler)
			logged := turn%2 == 1
			if logged {
				log.to(handler)
			}
			if turn < 20 {
				fewest[logged] = min(fewest[logged], testing.AllocsPerRun(20, func() { ask(0) }))
			}
			start := time.Now()
			for range 10 {
				ask(0)
			}
			if took := time.Since(start); logged {
				with = min(with, took)
			} else {
				without = min(without, took)
			}
		}
		t.Logf("%s: %s and %.0f allocations without a line, %s and %.0f with it", format, without/10, fewest[false], with/10, fewest[true])
		if with > without*5/4 || fewest[true] > fewest[false]+1 {
			t.Errorf("%s: ten reviews take %s, and %s with a line each; %.0f allocations, and %.0f", format, without, with, fewest[false], fewest[true])
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// stockReview is the review of a Pod with images i, i+1 and i+2.
func stockReview(b testing.TB, s *stock.Stock, i int) []byte {
	var containers []string
	for k := range 3 {
		containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":"harbor.example.com/%s@%s"}`, k, s.Repository(i+k), s.Digest(i+k)))
	}
	pod := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bench","namespace":"shop"},"spec":{"containers":[%s]}}`, strings.Join(containers, ","))
	body, err := admission.WrapObject([]byte(pod))
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func benchStore(b testing.TB, kind string) store.Config {
	if kind == "sqlite" {
		return store.Config{URL: "sqlite://" + filepath.Join(b.TempDir(), "store.db")}
	}
	key := filepath.Join(b.TempDir(), "mac-key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	return store.Config{URL: redistest.Plain(b, redistest.Options{}).URL(), Prefix: "bench", MACKeyFile: key}
}

// stockedApp is a running process with a stock in its store; the handler is the one that
// Kubernetes calls.
func stockedApp(b testing.TB, s *stock.Stock, st store.Config, log *slog.Logger) http.Handler {
	dir := b.TempDir()
	if err := s.WriteSources(filepath.Join(dir, "sources"), stock.First); err != nil {
		b.Fatal(err)
	}
	data := filepath.Join(dir, "advisories")
	if _, err := advisory.Build(b.Context(), advisory.BuildOptions{From: os.DirFS(filepath.Join(dir, "sources")), Out: data}); err != nil {
		b.Fatal(err)
	}
	c := DefaultConfig()
	c.DataDir, c.Store, c.Roles = filepath.Join(dir, "data"), st, []string{RoleAdmission}
	c.Listen = ListenConfig{HTTP: "127.0.0.1:0", Admission: "127.0.0.1:0", Private: "127.0.0.1:0"}
	for name, host := range map[string]string{stock.Registry: "harbor.example.com", stock.Mirror: "mirror.example.com"} {
		r := RegistryConfig{Config: registry.DefaultConfig()}
		r.Name, r.Type, r.Host = name, "distribution", host
		c.Registries = append(c.Registries, r)
	}
	c.Advisories.Path, c.Advisories.Repositories = data, nil
	if err := c.Validate(); err != nil {
		b.Fatal(err)
	}
	a, err := New(b.Context(), c, log, "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Close() })
	found, err := s.Learn(b.Context(), a.Matcher)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Fill(b.Context(), a.Store, 0, s.Images(), stock.FillOptions{Findings: found}); err != nil {
		b.Fatal(err)
	}
	running, err := a.Start(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = running.Stop() })
	return running.Servers[len(running.Servers)-1].Handler // the last that handlers lists
}
