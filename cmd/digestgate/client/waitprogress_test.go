package client

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// TestProgress: what is waited for is said when it changes, and again while it
// does not.
func TestProgress(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	p := NewProgress(&out, func() time.Time { return now })
	next := now.Add(time.Minute)
	job := view.Job{State: gate.JobQueued}
	detail := view.ImageDetail{Digest: gate.Digest("sha256:" + strings.Repeat("a", 64)), State: gate.StateScanning,
		Job: &view.Job{State: gate.JobRunning, Progress: gate.Progress{LayersDone: 2, LayersTotal: 7}}}
	for range 20 { // once a second
		p.say(resolving("hub/app:1", job))
		now = now.Add(time.Second)
	}
	p.say(resolving("hub/app:1", view.Job{State: gate.JobQueued, Error: "the registry asked to wait", NotBefore: &next}))
	p.say(analysing(detail))
	detail.State, detail.Job = gate.StateScanned, nil
	p.say(analysing(detail))
	want := []string{
		"   0s  waiting for the manifest of hub/app:1: queued, usually 1 to 5 s",
		"  15s  waiting for the manifest of hub/app:1: queued, usually 1 to 5 s",
		"  20s  waiting for the manifest of hub/app:1: queued, usually 1 to 5 s; it waits because: the registry asked to wait; next try at 12:01:00 UTC",
		"  20s  waiting for the analysis of " + detail.Digest.Short() + ": its layers are pulled and searched, usually 10 s to 2 min (layer 2 of 7)",
		"  20s  waiting for the verdict on " + detail.Digest.Short() + ": its packages are matched and the policies evaluated, usually less than 5 s; without advisory data it does not end",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
