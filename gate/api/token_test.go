package api_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestSharedToken starts processes with data directories of their own on one
// store: all end with one token, which the store does not show.
func TestSharedToken(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, second := []byte(strings.Repeat("1", 64)), []byte(strings.Repeat("2", 64))
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	share := func(name string, keys ...[]byte) error {
		_, err := api.SharedToken(file(name)).Share(context.Background(), s, keys)
		return err
	}

	var starting sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		starting.Go(func() { errs[i] = share(string(rune('a'+i)), first) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	token := read("a")
	for i := range errs {
		if got := read(string(rune('a' + i))); got != token || len(got) < 16 {
			t.Fatalf("process %d has token %q, the first %q", i, got, token)
		}
	}
	stored, _, err := s.Setting(t.Context(), agree.SettingAdminToken)
	if err != nil || strings.Contains(string(stored), token) {
		t.Fatalf("the store shows the token: %q, %v", stored, err)
	}

	if err := share("stranger", second); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "macKeyFile") {
		t.Fatalf("with another key: got %v", err)
	}
	// A rotation: the new key first, then both, then the new one alone.
	if err := share("a", second, first); err != nil {
		t.Fatal(err)
	}
	if err := share("late", second); err != nil || read("late") != token {
		t.Fatalf("after the rotation: got %v and %q", err, read("late"))
	}
	// A token that is in the way is replaced by the store's.
	if err := os.WriteFile(file("own"), []byte("dg_anotherTokenOfAnother\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := share("own", second); err != nil || read("own") != token {
		t.Fatalf("got %v and %q", err, read("own"))
	}
	if info, err := os.Stat(file("own")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file has mode %v, %v", info.Mode(), err)
	}
}
