package advisory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// BenchmarkCompose: three sources are put together, written and read back. The first is of
// DIGESTGATE_BENCH_MIB, compressed (about); 90 is the real size of Trivy's database of
// 2026, which takes three gigabytes in TMPDIR. The others have an eighth of it each, in the
// same buckets and packages. heap-MiB is the largest heap meanwhile, anon-MiB the largest
// memory of the process that is not a file's.
func BenchmarkCompose(b *testing.B) {
	size := 2
	if s, err := strconv.Atoi(os.Getenv("DIGESTGATE_BENCH_MIB")); err == nil {
		size = s
	}
	var inputs []advisory.Input
	var bytes int64
	for i, name := range []string{gate.SourceTrivyDB, "acme", "zeta"} {
		dir := b.TempDir()
		records := size << 20 / bytesOfRecord
		if i > 0 {
			records /= 8
		}
		generatedDatabase(b, filepath.Join(dir, "trivy.db"), records, uint64(i))
		meta := fmt.Sprintf(`{"Version":2,"UpdatedAt":%q}`, clock.Format(time.RFC3339))
		if err := os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(meta), 0o600); err != nil {
			b.Fatal(err)
		}
		s := source.Default()
		s.Name, s.Path = name, dir
		inputs = append(inputs, advisory.Input{Config: s, Dir: dir})
		info, err := os.Stat(filepath.Join(dir, "trivy.db"))
		if err != nil {
			b.Fatal(err)
		}
		bytes += info.Size()
	}
	var worst peak
	var composed int64
	for b.Loop() {
		runtime.GC()
		stop := watch(&worst)
		db, err := advisory.Compose(b.Context(), filepath.Join(b.TempDir(), "out"), inputs, clock)
		stop()
		if err != nil {
			b.Fatal(err)
		}
		composed = db.Summary.Bytes
	}
	b.ReportMetric(float64(bytes)/(1<<20), "sources-MiB")
	b.ReportMetric(float64(composed)/(1<<20), "composed-MiB")
	b.ReportMetric(worst.heap/(1<<20), "heap-MiB")
	b.ReportMetric(worst.anon/(1<<20), "anon-MiB")
}
