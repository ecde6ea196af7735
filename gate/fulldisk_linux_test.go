package gate_test

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/store/sqlite"
)

// diskEnv names, to the test's own child process, a directory where it may mount.
const diskEnv = "DIGESTGATE_TEST_DISK"

// TestStoreOnAFullDisk is the matrix of [unwritten] with SQLite on a file system
// that has no byte left. Its child has a mount namespace of its own, for which no
// privilege is needed where user namespaces are allowed.
func TestStoreOnAFullDisk(t *testing.T) {
	if dir := os.Getenv(diskEnv); dir != "" {
		onFullDisk(t, dir)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStoreOnAFullDisk$", "-test.v")
	child.Env = append(os.Environ(), diskEnv+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Skipf("a child with a user and a mount namespace of its own cannot be started here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func onFullDisk(t *testing.T, dir string) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("mounting a tmpfs: ", err) // where a profile of the system forbids it
	}
	clk := &clock{now: time.Unix(1_790_000_000, 0).UTC()}
	path := filepath.Join(dir, "store.db")
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{Clock: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	filler := filepath.Join(dir, "filler")
	unwritten(t, newSiteOn(t, month(0), st, clk), "the store's disk is full",
		func() { emptyLog(t, path); fill(t, filler) },
		func() {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		})
}

// emptyLog takes the room that SQLite has in its write-ahead log.
func emptyLog(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var busy, left, moved int
	if err := db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &left, &moved); err != nil || busy != 0 {
		t.Fatalf("emptying the write-ahead log: busy %d, %v", busy, err)
	}
}

// fill writes until the file system is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
