package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest/storebench"
)

func BenchmarkStore(b *testing.B) {
	storebench.Run(b, func(b *testing.B) store.Store {
		return open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	})
}

// BenchmarkDisk stores usual images and reports what each takes of the file, once
// it is closed and has no write-ahead log beside it.
func BenchmarkDisk(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	s := open(b, path, sqlite.Options{})
	if err := storebench.Fill(s, b.N, storebench.Usual); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(b.N), "B/digest")
}
