package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// scannedDemo is the demo's server with its images scanned.
func scannedDemo(tb testing.TB) *demo {
	tb.Helper()
	tb.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(tb))
	d := &demo{out: io.Discard, dir: tb.TempDir(), version: "dev", http: http.DefaultClient}
	var err error
	if d.registry, err = fake.Start(fake.Options{}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.registry.Close() })
	if err := d.start(context.Background(), slog.New(slog.DiscardHandler)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = d.server.Stop()
		_ = d.app.Close()
	})
	if d.images, err = PushImages(d.registry); err != nil {
		tb.Fatal(err)
	}
	for _, step := range []func(context.Context) error{d.deliver, d.analyse} {
		if err := step(context.Background()); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

// threeImages is the review of a Pod with three images, of which one is named
// by a tag.
func (d *demo) threeImages(tb testing.TB) []byte {
	tb.Helper()
	pod, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "bench", "namespace": "shop"},
		"spec": map[string]any{"containers": []any{
			map[string]any{"name": "a", "image": d.image("shop/api:2.0")},
			map[string]any{"name": "b", "image": d.image("shop/api@" + string(d.images.clean))},
			map[string]any{"name": "c", "image": d.image("shop/worker@" + string(d.images.Children[0]))},
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	body, err := admission.WrapObject(pod)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// BenchmarkAdmission is the whole warm way of a review of three images: decode,
// look up in SQLite, evaluate, answer. "handler" is without a network, "tls"
// with 16 callers over TLS on loopback, whose cost is included.
func BenchmarkAdmission(b *testing.B) {
	d := scannedDemo(b)
	// The mapping of the tag must not age during the measurement.
	d.keepTagFresh(b)
	body := d.threeImages(b)
	b.Run("handler", func(b *testing.B) {
		h := d.server.Servers[len(d.server.Servers)-1].Handler
		b.ReportAllocs()
		for b.Loop() {
			req := httptest.NewRequest(http.MethodPost, admission.BasePath, bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if !bytes.Contains(w.Body.Bytes(), []byte(`"allowed":true`)) {
				b.Fatal(w.Body.String())
			}
		}
	})
	b.Run("tls", func(b *testing.B) { d.overTLS(b, body) })
}

func (d *demo) keepTagFresh(b *testing.B) {
	stop := make(chan struct{})
	b.Cleanup(func() { close(stop) })
	key := gate.TagKey{Location: gate.Location{Registry: RegistryName, Repository: "shop/api"}, Tag: "2.0"}
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Second):
				_, _ = d.app.Store.PutTag(context.Background(), key, d.images.clean, time.Now(), "")
			}
		}
	}()
}

func (d *demo) overTLS(b *testing.B, body []byte) {
	pem, err := os.ReadFile(d.caFile())
	if err != nil {
		b.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16,
	}}
	var mu sync.Mutex
	var took []time.Duration
	b.SetParallelism(8) // with 2 processors 16 callers
	began := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		var own []time.Duration
		for pb.Next() {
			start := time.Now()
			res, err := client.Post(d.url("admission")+admission.BasePath, "application/json", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			answer, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !bytes.Contains(answer, []byte(`"allowed":true`)) {
				b.Errorf("%s, %v", answer, err)
				return
			}
			own = append(own, time.Since(start))
		}
		mu.Lock()
		took = append(took, own...)
		mu.Unlock()
	})
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/time.Since(began).Seconds(), "reviews/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
