package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenDataDir: a directory that others can read is mended, and said.
func TestOpenDataDir(t *testing.T) {
	for _, mode := range []os.FileMode{0o755, 0o777, 0o750, 0o711} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if err := openDataDir(dir, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 || !strings.Contains(log.String(), "others could read") {
			t.Errorf("%#o: got %v, %v, log %q", mode, info.Mode(), err, log.String())
		}
	}
	fresh := filepath.Join(t.TempDir(), "a", "b")
	if err := openDataDir(fresh, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a new one: got %v, %v", info, err)
	}
}
