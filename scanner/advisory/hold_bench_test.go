package advisory_test

import (
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
)

// BenchmarkHold: one bucket of a database was refused and gets the rows of the generation in
// force, until it is read back and may be activated. The sizes are those of
// [BenchmarkDownload]; the bucket is an eighth of the database, three times Debian's share.
func BenchmarkHold(b *testing.B) {
	size := 4
	if s, err := strconv.Atoi(os.Getenv("DIGESTGATE_BENCH_MIB")); err == nil {
		size = s
	}
	layer, unpacked := generatedLayer(b, size<<20)
	server, reference := serveLayer(b, layer, download.Database())
	defer server.Close()
	d, err := download.New(download.Options{
		Artifact: download.Database(), Dir: b.TempDir(), Repositories: []download.Repository{{Repository: reference, Insecure: true, Own: true}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	c, err := d.Fetch(b.Context(), download.Request{})
	if err != nil {
		b.Fatal(err)
	}
	former, err := advisory.Inspect(b.Context(), c.Dir, clock)
	if err != nil {
		b.Fatal(err)
	}
	var worst peak
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		if err := os.CopyFS(dir, os.DirFS(c.Dir)); err != nil {
			b.Fatal(err)
		}
		next := *former
		next.Dir = dir
		debug.FreeOSMemory()
		b.StartTimer()
		stop := watch(&worst)
		began := time.Now()
		_, err := advisory.Hold(b.Context(), &next, former, "debian 12")
		stop()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "hold-s")
	}
	b.ReportMetric(float64(unpacked)/(1<<20), "unpacked-MiB")
	b.ReportMetric(worst.heap/(1<<20), "heap-MiB")
	b.ReportMetric(worst.anon/(1<<20), "anon-MiB")
}
