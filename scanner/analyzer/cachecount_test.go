package analyzer

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// TestCacheOfManySmallResults: what is remembered of the files is bounded too.
func TestCacheOfManySmallResults(t *testing.T) {
	c, err := openCache(t.TempDir(), 1<<40, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	most := 0
	for i := range maxCached * 5 / 4 {
		c.mu.Lock()
		c.remember(fmt.Sprintf("0123456789abcdef/%064d", i), 100, start.Add(time.Duration(i)))
		c.evict()
		most = max(most, len(c.entries))
		c.mu.Unlock()
	}
	if most > maxCached || len(c.entries) < maxCached*9/10 {
		t.Errorf("%d results are remembered, at most %d were; want at most %d", len(c.entries), most, maxCached)
	}
	if _, ok := c.entries[fmt.Sprintf("0123456789abcdef/%064d", maxCached*5/4-1)]; !ok {
		t.Error("the newest has gone")
	}
	if want := int64(len(c.entries)) * 100; c.total != want {
		t.Errorf("%d bytes are counted, want %d", c.total, want)
	}
}
