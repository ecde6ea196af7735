package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

func TestOpen(t *testing.T) {
	t.Run("makes_directories_and_keeps_others_out", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a", "b", "store.db")
		s := open(t, "sqlite://"+path, sqlite.Options{})
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if mode := info.Mode().Perm(); mode&0o077 != 0 {
				t.Errorf("%s has mode %o: others can read the admin token", filepath.Base(path)+suffix, mode)
			}
		}
	})
	t.Run("paths_with_characters_of_uris", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a b?c#d%20&e=f;g'h.db")
		s := open(t, path, sqlite.Options{})
		if _, err := s.PutSetting(t.Context(), "x", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path + "-wal"); err != nil {
			t.Fatalf("the store is somewhere else: %v", err)
		}
	})
	t.Run("refuses_what_is_no_store", func(t *testing.T) {
		dir := t.TempDir()
		text := filepath.Join(dir, "text.db")
		if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		foreign := filepath.Join(dir, "foreign.db")
		statement(t, foreign, "CREATE TABLE things (x)")
		newer := filepath.Join(dir, "newer.db")
		open(t, newer, sqlite.Options{}).Close()
		statement(t, newer, "PRAGMA user_version = 99")
		for path, want := range map[string]string{
			text: "not a database", foreign: "another program", newer: "newer digestgate", dir: "is a directory",
			"redis://localhost": "not known", "sqlite://": "names no file",
		} {
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err == nil {
				s.Close()
				t.Fatalf("Open(%q) worked", path)
			}
			if _, ok := gate.Classify(err); !ok || !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%q): got %v, want something about %q", path, err, want)
			}
		}
		if _, err := os.ReadFile(text); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("ended_context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{}); !errors.Is(err, gate.ErrTimeout) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestSecondOpenIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, sqlite.Options{})
	refused := func(pid int) {
		t.Helper()
		other, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err == nil {
			other.Close()
			t.Fatal("a second store was opened")
		}
		if !errors.Is(err, gate.ErrStoreUnavailable) || !strings.Contains(err.Error(), "process "+strconv.Itoa(pid)+" is using it") {
			t.Fatalf("got %v", err)
		}
	}
	refused(os.Getpid())
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("the refused one has disturbed the first: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has written something
		t.Fatal(err)
	}
	refused(cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	open(t, path, sqlite.Options{}) // nothing is stuck
}

// statement changes a database behind the store's back.
func statement(t *testing.T, path, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
