package app

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
			serve := stockedApp(b, s, benchStore(b, kind))
			var bodies [][]byte
			for i := 0; i+3 <= s.Images(); i += 3 {
				bodies = append(bodies, stockReview(b, s, i))
			}
			b.Run("same", func(b *testing.B) { reviewInTurns(b, serve, bodies[:1]) })
			b.Run("different", func(b *testing.B) { reviewInTurns(b, serve, bodies) })
		})
	}
}

func reviewInTurns(b *testing.B, serve http.Handler, bodies [][]byte) {
	ask := func(i int) {
		req := httptest.NewRequest(http.MethodPost, admission.BasePath, bytes.NewReader(bodies[i%len(bodies)]))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		serve.ServeHTTP(w, req)
		if text := w.Body.String(); !strings.Contains(text, `"allowed":true`) && !strings.Contains(text, string(gate.CodePolicy)) {
			b.Fatal(text)
		}
	}
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

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// stockReview is the review of a Pod with images i, i+1 and i+2.
func stockReview(b *testing.B, s *stock.Stock, i int) []byte {
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

func benchStore(b *testing.B, kind string) store.Config {
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
func stockedApp(b *testing.B, s *stock.Stock, st store.Config) http.Handler {
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
	a, err := New(b.Context(), c, slog.New(slog.DiscardHandler), "bench")
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
