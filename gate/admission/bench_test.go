package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/certificate/certificatetest"
)

// allowAll is the cheapest decider: what is measured is admission itself.
var allowAll = deciderFunc(func(_ context.Context, ref gate.Reference, _ gate.Request) gate.Answer {
	return gate.Answer{Outcome: gate.OutcomeAllow, Digest: ref.Digest}
})

// promptly is a decider of which all answers are at hand.
type promptly struct{ deciderFunc }

func (p promptly) Rounds([]gate.Reference) gate.Rounds { return promptRounds{p.deciderFunc} }

type promptRounds struct{ deciderFunc }

func (promptRounds) Read(context.Context) {}

func (p promptRounds) Decide(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	return p.deciderFunc(ctx, ref, req), true
}

func (p promptRounds) AtOnce(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	return p.deciderFunc(ctx, ref, req), true
}

// threeImages is the review of a Pod with three images, as kubectl apply and
// an API server make it.
func threeImages(tb testing.TB) []byte {
	return encode(tb, review(pod(good, bad, warns), nil))
}

// BenchmarkHandler is one warm review of a Pod with three images through the
// handler, without network: whose answers are at hand, whose answers are asked for,
// with its line in a log, and refused because there is no place in flight.
func BenchmarkHandler(b *testing.B) {
	b.Run("at_once", func(b *testing.B) { benchmarkHandler(b, promptly{allowAll}, Options{}) })
	b.Run("asked", func(b *testing.B) { benchmarkHandler(b, allowAll, Options{}) })
	b.Run("logged", func(b *testing.B) {
		benchmarkHandler(b, promptly{allowAll}, Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	})
	b.Run("busy", func(b *testing.B) {
		r := full(b, Options{MaxInFlight: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		body, ctx := threeImages(b), impatient(b)
		b.ReportAllocs()
		for b.Loop() {
			if resp, err := r.Review(ctx, body, DefaultCluster); err != nil || resp.Code != gate.CodeBusy {
				b.Fatalf("got %+v, %v", resp, err)
			}
		}
	})
}

func benchmarkHandler(b *testing.B, d Decider, o Options) {
	rec, err := NewRecorder(prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	o.Recorder = rec
	h := newHandler(b, d, o)
	body := threeImages(b)
	reader := bytes.NewReader(body)
	req := httptest.NewRequest(http.MethodPost, BasePath+"?timeout=10s", nil)
	req.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		reader.Reset(body)
		req.Body, req.ContentLength = io.NopCloser(reader), int64(len(body))
		w := discard{http.Header{}}
		h.ServeHTTP(w, req)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkTLS is the same over TLS and HTTP/2 on loopback, from 16 callers on
// one connection, as one API server has it. It reports reviews a second and
// the latency that callers see.
func BenchmarkTLS(b *testing.B) {
	c, err := certificate.New(certificate.Options{DataDir: b.TempDir(), Names: []string{"127.0.0.1"}})
	if err != nil {
		b.Fatal(err)
	}
	url := serve(b, c, promptly{allowAll}) + BasePath + "?timeout=10s"
	cl := certificatetest.Client(b, func(config *tls.Config) { config.RootCAs = certificatetest.Pool(c.CABundle()) })
	body := threeImages(b)
	const callers = 16
	var left atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			var mine []time.Duration
			for left.Add(-1) >= 0 {
				start := time.Now()
				resp, err := cl.Post(url, "application/json", bytes.NewReader(body))
				if err != nil || resp.StatusCode != 200 {
					b.Errorf("Post: %v, %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(all)
	if n := len(all); n > 0 {
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "reviews/s")
		b.ReportMetric(float64(all[n/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(all[n*99/100].Microseconds()), "p99-µs")
	}
}

func BenchmarkParseReference(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := gate.ParseReference(good); err != nil {
			b.Fatal(err)
		}
	}
}
