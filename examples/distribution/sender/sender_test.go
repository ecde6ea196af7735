package sender

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// start is digestgate and a registry that notifies it, of everything or of what
// ../registry.yml leaves.
func start(t *testing.T, everything bool) (*gate, *distribution) {
	t.Helper()
	g := newGate(t)
	d := startDistribution(t, g.http+"/webhooks/registry", g.hook, everything)
	g.configure(d.host)
	g.start()
	return g, d
}

func want(t *testing.T, what, got, decision string) {
	t.Helper()
	if got != decision {
		t.Errorf("%s: got %q, want %q", what, got, decision)
	}
}

// TestEvents: whatever is pushed arrives by event, is scanned and decided;
// what else Distribution tells is ignored. The steps build on each other.
func TestEvents(t *testing.T) {
	g, d := start(t, true)
	clean := d.push(t, "team/clean", "1.0", debian(t, "amd64", curlFixed, "clean"))
	bad := d.push(t, "team/bad", "1.0", debian(t, "amd64", curlVulnerable, "bad"))

	t.Run("single_image", func(t *testing.T) {
		want(t, "clean", g.decided(clean, "team/clean", "1.0"), "allow")
		want(t, "bad", g.decided(bad, "team/bad", "1.0"), "deny")
	})
	t.Run("multi_platform_image", func(t *testing.T) {
		good, evil := debian(t, "amd64", curlFixed, "multi"), debian(t, "arm64", curlVulnerable, "multi")
		index := d.pushIndex(t, "team/multi", "1.0", map[string]v1.Image{"amd64": good, "arm64": evil})
		want(t, "index", g.decided(index, "team/multi", "1.0"), "deny")
		for digest, decision := range map[string]string{digestOf(t, good): "allow", digestOf(t, evil): "deny"} {
			// The index is denied as soon as one child is, maybe before the other
			// has a verdict.
			g.until("child "+digest, 20*time.Second, func() (string, bool) {
				got, _ := g.image(digest)
				return fmt.Sprintf("%+v", got), got.State == "scanned" && got.Verdict != nil && got.Verdict.Decision == decision
			})
		}
	})
	t.Run("signature", func(t *testing.T) {
		signature := d.sign(t, "team/clean", clean)
		g.until("signature", 20*time.Second, func() (string, bool) {
			got, ok := g.image(signature)
			return fmt.Sprintf("%+v", got), ok && got.Kind == "signature"
		})
		if got := g.quotaUsed(); got != 4 { // clean, bad, and two children
			t.Errorf("analyses: got %d, want 4: a signature is not analysed", got)
		}
	})
	t.Run("pulls_and_mounts", func(t *testing.T) {
		before := d.sent.actions()
		image, err := remote.Image(d.ref(t, "team/clean", "1.0"))
		if err != nil {
			t.Fatal(err)
		}
		d.push(t, "other/clean", "2.0", image) // mounts the layer and the configuration
		want(t, "the same image elsewhere", g.decided(clean, "other/clean", "2.0"), "allow")
		after := d.sent.actions()
		if after["pull"] == before["pull"] || after["mount"] == before["mount"] {
			t.Errorf("events: got %v after %v, want pulls and mounts among them", after, before)
		}
		if got := g.quotaUsed(); got != 4 {
			t.Errorf("analyses: got %d, want 4 as before", got)
		}
	})
	t.Run("every_event_is_answered", func(t *testing.T) {
		g.until("deliveries", 20*time.Second, func() (string, bool) {
			taken, ignored := d.sent.events()
			got := g.deliveries()
			state := fmt.Sprintf("Distribution sent %d pushes of manifests and %d other events, digestgate counts %v", len(taken), len(ignored), got)
			return state, got["refused"]+got["unavailable"] == 0 && got["ignored"] == len(ignored) &&
				got["queued"]+got["duplicate"]+got["known"] == len(taken)
		})
		n := d.sent.actions()
		t.Logf("events: %v; deliveries: %v", n, g.deliveries())
		if n["blob"] == 0 || n["push"] < 7 {
			t.Errorf("events: got %v, want blobs and at least 7 manifests", n)
		}
	})
	t.Run("deleted_tag", func(t *testing.T) {
		ref, err := name.NewTag(d.host+"/other/clean:2.0", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Delete(ref); err != nil {
			t.Fatal(err)
		}
		g.until("tag is gone", 20*time.Second, func() (string, bool) {
			got, _ := g.image(clean)
			for _, l := range got.Locations {
				if l.Repository == "other/clean" && len(l.Tags) > 0 {
					return fmt.Sprintf("%+v", got), false
				}
			}
			return "", got.State == "scanned" // findings stay
		})
	})
}

// TestNothingIsLostWhileDown: Distribution keeps its events while digestgate
// is away and sends them again, so that all that was pushed in between is
// decided without anybody asking for it.
func TestNothingIsLostWhileDown(t *testing.T) {
	g, d := start(t, false)
	first := d.push(t, "team/first", "1.0", debian(t, "amd64", curlFixed, "first"))
	want(t, "first", g.decided(first, "team/first", "1.0"), "allow")
	g.stop()

	type pushed struct{ digest, repository, decision string }
	images := []pushed{
		{d.push(t, "team/clean", "1.0", debian(t, "amd64", curlFixed, "clean")), "team/clean", "allow"},
		{d.push(t, "team/bad", "1.0", debian(t, "amd64", curlVulnerable, "bad")), "team/bad", "deny"},
		{d.pushIndex(t, "team/multi", "1.0", map[string]v1.Image{
			// Layers that differ: what is in the cache already is not charged.
			"amd64": debian(t, "amd64", curlFixed, "multi amd64"), "arm64": debian(t, "arm64", curlFixed, "multi arm64"),
		}), "team/multi", "allow"},
	}
	for _, p := range images {
		for deadline := time.Now().Add(20 * time.Second); !d.sent.has(p.digest); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("Distribution has not told of %s", p.repository)
			}
		}
	}
	g.start()
	for _, p := range images {
		want(t, p.repository, g.decided(p.digest, p.repository, "1.0"), p.decision)
	}
	if got := g.deliveries(); got["ignored"] != 0 {
		t.Errorf("deliveries: got %v, want none ignored: ../registry.yml keeps Distribution from sending them", got)
	}
	if got := g.quotaUsed(); got != 5 { // first, clean, bad, two children
		t.Errorf("analyses: got %d, want 5", got)
	}
}
