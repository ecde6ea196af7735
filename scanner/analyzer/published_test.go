package analyzer_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestPublish: a scheduler knows the set of the worker that started last, and a set that
// is known already is not written again.
func TestPublish(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := analyzer.Published(t.Context(), s); !errors.Is(err, gate.ErrNotFound) {
		t.Fatalf("before any worker: got %v, want ErrNotFound", err)
	}
	for i, set := range []string{"one", "two", "two"} {
		if err := analyzer.Publish(t.Context(), s, set); err != nil {
			t.Fatal(err)
		}
		if got, err := analyzer.Published(t.Context(), s); err != nil || got != set {
			t.Errorf("after worker %d: got %q, %v, want %q", i, got, err, set)
		}
	}
	if _, version, err := s.Setting(t.Context(), agree.SettingAnalyzerSet); err != nil || version != 2 {
		t.Errorf("three workers with two sets: version %d, %v, want 2", version, err)
	}
}
