package advisory_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
)

// BenchmarkDownload: a database from a repository on loopback until it may be activated:
// downloaded, hashed, unpacked, inspected and judged against itself. The size is that of
// DIGESTGATE_BENCH_MIB, compressed (about); 90 is the real one of 2026, which takes a
// gigabyte in TMPDIR. heap-MiB is the largest heap meanwhile, anon-MiB the largest memory
// of the process that is not a file's.
func BenchmarkDownload(b *testing.B) {
	size := 4
	if s, err := strconv.Atoi(os.Getenv("DIGESTGATE_BENCH_MIB")); err == nil {
		size = s
	}
	layer, unpacked := generatedLayer(b, size<<20)
	server, reference := serveLayer(b, layer, download.Database())
	defer server.Close()
	info, err := os.Stat(layer)
	if err != nil {
		b.Fatal(err)
	}
	var worst peak
	for b.Loop() {
		dir := b.TempDir()
		d, err := download.New(download.Options{
			Artifact: download.Database(), Dir: dir, Repositories: []download.Repository{{Repository: reference, Insecure: true, Own: true}},
		})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		stop := watch(&worst)
		began := time.Now()
		var arrived time.Time
		c, err := d.Fetch(b.Context(), download.Request{Accept: func(ctx context.Context, c *download.Candidate) error {
			arrived = time.Now()
			db, err := advisory.Inspect(ctx, c.Dir, clock)
			if err != nil {
				return err
			}
			return advisory.Judge(db, db, advisory.Rules{}).Whole
		}})
		stop()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(arrived.Sub(began).Seconds(), "download-s")
		b.ReportMetric(time.Since(arrived).Seconds(), "judge-s")
		if err := c.Discard(); err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
	b.ReportMetric(float64(info.Size())/(1<<20), "compressed-MiB")
	b.ReportMetric(float64(unpacked)/(1<<20), "unpacked-MiB")
	b.ReportMetric(worst.heap/(1<<20), "heap-MiB")
	b.ReportMetric(worst.anon/(1<<20), "anon-MiB")
}

// peak is the most that was seen, in bytes.
type peak struct{ heap, anon float64 }

// watch samples until it is stopped.
func watch(p *peak) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			p.heap, p.anon = max(p.heap, float64(m.HeapInuse)), max(p.anon, anonymous())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(done); <-ended }
}

// anonymous is the resident memory of this process that is not a file's; 0 where that is
// not known.
func anonymous() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n * 1024
		}
	}
	return 0
}

// generatedLayer is a file with an archive of a database that is about that large when it
// is compressed: Trivy's own compresses to a tenth or so.
func generatedLayer(b *testing.B, compressed int) (layer string, unpacked int64) {
	b.Helper()
	dir := b.TempDir()
	path := filepath.Join(dir, "trivy.db")
	generatedDatabase(b, path, compressed/bytesOfRecord, 1)
	layer = filepath.Join(dir, "layer.tar.gz")
	meta := fmt.Sprintf(`{"Version":2,"UpdatedAt":%q}`, clock.Format(time.RFC3339))
	unpacked = packLayer(b, layer, path, meta)
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
	return layer, unpacked
}

// bytesOfRecord is what a record takes when it is compressed.
const bytesOfRecord = 36

// generatedDatabase writes a database with so many advisories.
func generatedDatabase(b *testing.B, path string, records int, seed uint64) {
	b.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 2))
	value := func() []byte {
		return fmt.Appendf(nil, `{"FixedVersion":"%d.%d.%d-%d.el9_%d","VendorIDs":["RHSA-%d:%d"],"Severity":3,"Arches":["aarch64","ppc64le","s390x","x86_64"],"Status":3,"References":["https://access.example.com/security/cve/CVE-%d-%d"],"Description":"A flaw was found in a package that many images have"}`,
			random.IntN(9), random.IntN(99), random.IntN(99), random.IntN(99), random.IntN(9), 2010+random.IntN(16), random.IntN(9999), 2010+random.IntN(16), random.IntN(99999))
	}
	for n := 0; n < records; {
		err := db.Update(func(tx *bolt.Tx) error {
			for range 20_000 {
				root, err := tx.CreateBucketIfNotExists(fmt.Appendf(nil, "debian %d", 10+n*8/records))
				if err != nil {
					return err
				}
				root.FillPercent = 0.9
				pkg, err := root.CreateBucketIfNotExists(fmt.Appendf(nil, "package-%07d", n/10))
				if err != nil {
					return err
				}
				if err := pkg.Put(fmt.Appendf(nil, "CVE-%d-%d", 2010+n%16, n), value()); err != nil {
					return err
				}
				if n++; n >= records {
					break
				}
			}
			details, err := tx.CreateBucketIfNotExists([]byte("vulnerability"))
			if err != nil {
				return err
			}
			return details.Put(fmt.Appendf(nil, "CVE-%09d", n), fmt.Appendf(nil, `{"Title":"A flaw in %d","VendorSeverity":{"nvd":3}}`, random.IntN(9)))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

func packLayer(b *testing.B, layer, database, meta string) int64 {
	b.Helper()
	out, err := os.Create(layer)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	in, err := os.Open(database)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		b.Fatal(err)
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	z, _ := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	w := tar.NewWriter(z)
	for _, f := range []struct {
		name string
		size int64
		from io.Reader
	}{{filepath.Base(database), info.Size(), in}, {"metadata.json", int64(len(meta)), strings.NewReader(meta)}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: f.size, Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(w, f.from); err != nil {
			b.Fatal(err)
		}
	}
	for _, close := range []func() error{w.Close, z.Close, buffered.Flush} {
		if err := close(); err != nil {
			b.Fatal(err)
		}
	}
	return info.Size()
}

// serveLayer is a registry of one artifact, from the disk, so that its memory does not
// count.
func serveLayer(b *testing.B, layer string, artifact download.Artifact) (*httptest.Server, string) {
	b.Helper()
	f, err := os.Open(layer)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		b.Fatal(err)
	}
	digest := "sha256:" + hex.EncodeToString(h.Sum(nil))
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`, artifact.LayerType, digest, n)
	sum := sha256.Sum256(manifest)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.ServeFile(w, r, layer)
			return
		}
		w.Header().Set("Docker-Content-Digest", string(gate.Digest("sha256:"+hex.EncodeToString(sum[:]))))
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = w.Write(manifest)
	}))
	return server, strings.TrimPrefix(server.URL, "http://") + "/" + artifact.Name + ":" + artifact.Tag
}
