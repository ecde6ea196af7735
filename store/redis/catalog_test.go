package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/store/redis"
)

// TestCatalogFollows: lists follow this store's feed, whose numbers are times,
// without being built anew each time.
func TestCatalogFollows(t *testing.T) {
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{})
	var log bytes.Buffer
	dir := t.TempDir()
	for round := range 3 { // a process that starts again goes on where it was
		c, err := catalog.Open(t.Context(), dir, s, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			d := digest(t.Name(), round)
			if err := s.PutManifest(t.Context(), gate.Manifest{Digest: d, Kind: gate.KindImage}); err != nil {
				t.Fatal(err)
			}
			if err := c.CatchUp(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "catalog built"); n != 1 {
		t.Fatalf("it was built %d times:\n%s", n, log.String())
	}
}
