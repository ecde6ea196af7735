package sqlite

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// TestFilesVanish: SQLite itself goes on with files that are gone. The store
// acknowledges nothing more, names the file, and recovers when it is back.
func TestFilesVanish(t *testing.T) {
	for _, suffix := range suffixes {
		t.Run("file"+strings.NewReplacer(".", "_", "-", "_").Replace(suffix), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			var log bytes.Buffer
			s, err := Open(t.Context(), path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			file := path + suffix
			if err := os.Rename(file, file+".away"); err != nil {
				t.Fatal(err)
			}
			wantDamaged(t, "checking", s.Check(t.Context()), file)
			_, _, err = s.Enqueue(t.Context(), gate.JobRequest{
				Kind: gate.JobResolve, Location: gate.Location{Registry: "r", Repository: "r"}, Tag: "t", Trigger: gate.TriggerPush,
			})
			wantDamaged(t, "a push", err, file)
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			wantDamaged(t, "another file", s.Check(t.Context()), file)
			if err := os.Rename(file+".away", file); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Errorf("the file is back: %v", err)
			}
			if n := strings.Count(log.String(), "the store's files are gone"); n != 2 {
				t.Errorf("the log has it %d times, want 2 (removed, replaced):\n%s", n, log.String())
			}
			if !strings.Contains(log.String(), "the store's files are back") {
				t.Errorf("the log does not say that they are back:\n%s", log.String())
			}
		})
	}
}

func wantDamaged(t *testing.T, what string, err error, file string) {
	t.Helper()
	var damaged *store.Damaged
	if !errors.As(err, &damaged) || !errors.Is(err, gate.ErrStoreUnavailable) || !strings.Contains(err.Error(), file) {
		t.Fatalf("%s: got %v, want that %s is gone", what, err, file)
	}
}
