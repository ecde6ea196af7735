package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestRedisScripts runs the scripts that need a Redis; each has a database of its
// own.
func TestRedisScripts(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	deliveries, err := filepath.Abs("../../webhooks/harbor/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/redis",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"listening": listening},
		Setup: func(env *testscript.Env) error {
			env.Setenv("DIGESTGATE_ANALYZER", analyzerPath(t))
			env.Setenv("REDIS", server.URL())
			env.Setenv("DELIVERIES", deliveries)
			return nil
		},
	})
}

// TestUnfinishedCopyServesNobody starts on a store to which a copy is not
// finished.
func TestUnfinishedCopyServesNobody(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "digestgate.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.PutSetting(t.Context(), "copy/progress", []byte(`{"source":"redis://there","begun":"2026-11-28T12:00:00Z"}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"serve", "--data-dir", dir}, nil, &bytes.Buffer{}, &stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), `the copy of "redis://there" to this store, begun at 2026-11-28T12:00:00Z, is not finished`) {
		t.Errorf("exit %d, %s", code, stderr.String())
	}
}
