package gate_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestPrivateFile: a file that others can read is mended, with its companions, also
// behind a link; what is not there is made, but for companions.
func TestPrivateFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, wal, target := write("old.db"), write("old.db-wal"), write("target")
	link, fresh := filepath.Join(dir, "link.db"), filepath.Join(dir, "fresh.db")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{old, link, fresh} {
		if err := gate.PrivateFile(path, "-wal", "-shm"); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{old, wal, target, fresh} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want mode 0600", path, info, err)
		}
	}
	for _, path := range []string{old + "-shm", fresh + "-wal", link + "-wal"} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made", path)
		}
	}
}

// TestPrivateFileOfAnother: a file that somebody else has put into our directory, or
// has put a link to, is refused; one of the directory's own owner is not.
func TestPrivateFileOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
	const other = 54321
	ours, theirs := t.TempDir(), t.TempDir()
	give := func(path string) {
		if err := os.Chown(path, other, -1); err != nil {
			t.Fatal(err)
		}
	}
	give(theirs)
	planted, away, link := filepath.Join(ours, "planted.db"), filepath.Join(theirs, "away.db"), filepath.Join(ours, "link.db")
	store, wal := filepath.Join(ours, "store.db"), filepath.Join(ours, "store.db-wal")
	for _, path := range []string{planted, away, wal} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		give(path)
	}
	if err := os.Symlink(away, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{planted, link, store} {
		if err := gate.PrivateFile(path, "-wal", "-shm"); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%s: got %v, want a refusal", path, err)
		}
	}
	// A command that root runs beside a server of another user.
	if err := gate.PrivateFile(away, "-wal", "-shm"); err != nil {
		t.Errorf("the directory's owner's own: %v", err)
	}
}
