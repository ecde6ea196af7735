package advisory_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// BenchmarkDownloadJava: an index of Java archives from a repository on loopback until it
// may be put in force, and lookups in it. The size is that of DIGESTGATE_BENCH_JAVA_MIB,
// compressed (about); 735 is the real one of 2025, which takes 5 GB in TMPDIR.
func BenchmarkDownloadJava(b *testing.B) {
	size := 2
	if s, err := strconv.Atoi(os.Getenv("DIGESTGATE_BENCH_JAVA_MIB")); err == nil {
		size = s
	}
	dir := b.TempDir()
	path := filepath.Join(dir, javaindex.File)
	rows := generatedIndex(b, path, size<<20)
	layer := filepath.Join(dir, "layer.tar.gz")
	unpacked := packLayer(b, layer, path, fmt.Sprintf(`{"Version":1,"UpdatedAt":%q}`, clock.Format(time.RFC3339)))
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
	server, reference := serveLayer(b, layer, download.JavaIndex())
	defer server.Close()
	info, err := os.Stat(layer)
	if err != nil {
		b.Fatal(err)
	}
	var worst peak
	for b.Loop() {
		d, err := download.New(download.Options{
			Artifact: download.JavaIndex(), Dir: b.TempDir(), Repositories: []download.Repository{{Repository: reference, Insecure: true, Own: true}},
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
			x, err := advisory.InspectJava(ctx, c.Dir, clock)
			if err == nil && x.Indices != int64(rows) {
				err = fmt.Errorf("it has %d archives, not %d", x.Indices, rows)
			}
			return err
		}})
		if err != nil {
			b.Fatal(err)
		}
		judged := time.Now()
		each := lookedUp(b, c.Dir, rows)
		stop()
		b.ReportMetric(arrived.Sub(began).Seconds(), "download-s")
		b.ReportMetric(judged.Sub(arrived).Seconds(), "judge-s")
		b.ReportMetric(each.Seconds()*1e6, "lookup-µs")
		if err := c.Discard(); err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
	b.ReportMetric(float64(info.Size())/(1<<20), "compressed-MiB")
	b.ReportMetric(float64(unpacked)/(1<<20), "unpacked-MiB")
	b.ReportMetric(float64(rows), "archives")
	b.ReportMetric(worst.heap/(1<<20), "heap-MiB")
	b.ReportMetric(worst.anon/(1<<20), "anon-MiB")
}

// lookedUp is what one lookup takes, of a thousand archives of which half are known.
func lookedUp(b *testing.B, dir string, rows int) time.Duration {
	b.Helper()
	x, err := javaindex.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	const n = 1000
	random := rand.New(rand.NewPCG(7, 7))
	began := time.Now()
	for i := range n {
		sum := indexedSum(random.IntN(rows))
		if i%2 == 1 {
			sum[0] ^= 0xff
		}
		names, err := x.Names(b.Context(), javaindex.Question{SHA1: hex.EncodeToString(sum), FileArtifact: "none", FileVersion: "1"})
		if err != nil || i%2 == 0 && len(names) != 1 {
			b.Fatal(names, err)
		}
	}
	return time.Since(began) / n
}

// indexedSum stands for the SHA-1 of an archive: it compresses as little.
func indexedSum(i int) []byte {
	random := rand.New(rand.NewPCG(uint64(i), 3))
	sum := binary.BigEndian.AppendUint64(nil, random.Uint64())
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(sum, random.Uint64()), random.Uint32())
}

// generatedIndex writes an index of about that size when it is compressed.
func generatedIndex(b *testing.B, path string, compressed int) (rows int) {
	b.Helper()
	rows = compressed / 58 // each has its sum twice, in the table and in SQLite's index
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec := func(query string, args ...any) {
		if _, err := db.ExecContext(b.Context(), query, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec(`PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
		CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
		CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, foreign key (artifact_id) references artifacts(id));`)
	const versions = 25 // of an artifact, in Maven Central
	tx, err := db.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	artifact, err := tx.PrepareContext(b.Context(), "INSERT INTO artifacts VALUES (?, ?, ?)")
	if err != nil {
		b.Fatal(err)
	}
	index, err := tx.PrepareContext(b.Context(), "INSERT INTO indices VALUES (?, ?, ?, 'jar')")
	if err != nil {
		b.Fatal(err)
	}
	for i := range rows {
		if i%versions == 0 {
			if _, err := artifact.Exec(i/versions, fmt.Sprintf("org.example.group%d", i/versions/8), fmt.Sprintf("artifact-%d", i/versions)); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := index.Exec(i/versions, fmt.Sprintf("%d.%d.%d", i%versions/5, i%5, i%7), indexedSum(i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	exec(`CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);
		CREATE INDEX indices_artifact_idx ON indices(artifact_id);
		CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1);`)
	return rows
}
