package sqlite_test

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestSightingIsOneOperation: operations are never divided between commits, and each has
// its own time of a clock that moves whenever it is read.
func TestSightingIsOneOperation(t *testing.T) {
	var ticks atomic.Int64
	clock := func() time.Time { return time.Unix(1e9+ticks.Add(1), 0) }
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sqlite.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	m := gate.Manifest{Digest: gate.Digest("sha256:" + strings.Repeat("a", 64)), Kind: gate.KindImage}
	at := gate.Location{Registry: "hub", Repository: "team/app"}
	_, err = s.Sight(t.Context(), gate.Sighting{
		Digest: m.Digest, Manifest: &m, Location: at, Tags: []gate.TagReading{{Tag: "v1", ReadAt: clock()}, {Tag: "v2", ReadAt: clock()}},
		Request: &gate.JobRequest{Kind: gate.JobAnalyze, Location: at, Digest: m.Digest, Trigger: gate.TriggerPush},
	})
	if err != nil {
		t.Fatal(err)
	}
	changes, _, err := s.Changes(t.Context(), 0, 10)
	if err != nil || len(changes) != 4 {
		t.Fatalf("got %v and %v, want the record, two tags and the job", changes, err)
	}
	for _, c := range changes {
		if !c.At.Equal(changes[0].At) {
			t.Errorf("%s %s is of %s, the first change of %s: two operations", c.Kind, c.Key, c.At, changes[0].At)
		}
	}
}
