package gate_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

func TestReadSmallFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := gate.ReadSmallFile(file); err != nil || string(got) != "x\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := gate.ReadSmallFile(file + ".missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
	if _, err := gate.ReadSmallFile("/dev/zero"); !errors.Is(err, gate.ErrTooLarge) {
		t.Errorf("a file without end: got %v", err)
	}
}
