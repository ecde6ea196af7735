package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/cmd/digestgate/client"
	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func TestPrintQuota(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 0, 30, 0, 0, time.UTC)
	ends := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	forecast := int64(120)
	for _, c := range []struct {
		name string
		view view.QuotaView
		says []string
	}{
		{"unlimited", view.QuotaView{Period: "2026-11", Used: 5, Forecast: &forecast, ResetsAt: &ends},
			[]string{"2026-11  unlimited  5     0        0        120       2026-12-01T00:00:00Z"}},
		{"enough", view.QuotaView{Limit: 200, Period: "2026-11", Used: 5, Avoided: 7, Forecast: &forecast, ResetsAt: &ends},
			[]string{"2026-11  200    5     0        7        120       2026-12-01T00:00:00Z"}},
		{"soon_used_up", view.QuotaView{Limit: 100, Period: "2026-11", Used: 95, Forecast: &forecast, ExhaustedAt: &at, ResetsAt: &ends},
			[]string{"At this pace the quota is used up at 2026-11-29T00:30:00Z."}},
		{"used_up", view.QuotaView{Limit: 100, Period: "2026-11", Used: 100, Waiting: 12, Forecast: &forecast, ExhaustedAt: &at, ResetsAt: &ends},
			[]string{"100   12", "new digests wait until 2026-12-01T00:00:00Z; known ones are still decided"}},
		{"used_up_for_ever", view.QuotaView{Limit: 100, Period: "none", Used: 100, Waiting: 12},
			[]string{"never", "until quota.limit is raised"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := client.PrintQuota(&out, c.view); err != nil {
				t.Fatal(err)
			}
			for _, text := range c.says {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is missing in\n%s", text, &out)
				}
			}
			if strings.Contains(out.String(), "pace") != (c.name == "soon_used_up") {
				t.Errorf("speaks of the pace:\n%s", &out)
			}
		})
	}
}

// TestQuotaOfAServer: two platforms of an index that share every layer are two
// charges, whatever the layer cache holds; what comes after the limit waits and
// is refused by name, and what is known goes on running.
func TestQuotaOfAServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, "quota: {limit: 2, period: none}")
	s.start()
	index := s.pushPlatforms("team/app", "multi")
	s.deliver(hookSecret, "team/app", "multi", index)
	v := s.until(index, time.Minute, scanned)
	if q := s.quota(); q.Used != 2 || len(v.Platforms) != 2 {
		t.Errorf("an index of %d platforms: got %+v, want two charges", len(v.Platforms), q)
	}
	for _, p := range v.Platforms {
		if c := s.until(p.Digest, time.Minute, scanned).Charge; c == nil || c.Period != "none" || !c.Kept {
			t.Errorf("charge of %s: got %+v", p.Platform, c)
		}
	}
	late := s.pushDebian("team/app", "late", demo.Updated, map[string]string{"a": "b"})
	s.deliver(hookSecret, "team/app", "late", late)
	s.until(late, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateQuotaExhausted })
	if _, answer := s.deliver(hookSecret, "team/copy", "multi", v.Platforms[0].Digest); !strings.Contains(answer, `"known"`) {
		t.Errorf("a known digest at another place: %s", answer)
	}
	for tag, want := range map[string]string{"multi": `"allowed": true`, "late": "QUOTA_EXHAUSTED"} {
		if out := s.admit(tag); !strings.Contains(out, want) {
			t.Errorf("admission of %s: want %s in\n%s", tag, want, out)
		}
	}
	code, out, errs := command(t, "quota", "--server", s.urls["http"], "--token-file", s.tokenFile())
	if code != 0 || !strings.Contains(out, "none    2      2     1 ") || !strings.Contains(out, "The quota is used up") {
		t.Errorf("digestgate quota: exit %d\n%s%s", code, out, errs)
	}
	res, err := http.Get(s.urls["private"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	metrics, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"digestgate_quota_limit 2\n", "digestgate_quota_used 2\n", "digestgate_quota_waiting 1\n"} {
		if !strings.Contains(string(metrics), line) {
			t.Errorf("/metrics has no line %q", line)
		}
	}
}

// pushPlatforms pushes an index of two platforms with the same layers.
func (s *server) pushPlatforms(repo, tag string) gate.Digest {
	s.t.Helper()
	var children []fake.Child
	for _, arch := range []string{"amd64", "arm64"} {
		p := v1.Platform{OS: "linux", Architecture: arch}
		img, err := fake.NewImage(fake.ImageOptions{Platform: p, Config: v1.Config{User: "65532"}}, demo.Root(demo.Updated, "amd64"))
		if err != nil {
			s.t.Fatal(err)
		}
		children = append(children, fake.Child{Add: img, Platform: &p})
	}
	d, err := s.registry.PushIndex(repo, tag, fake.NewIndex(children...))
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// admit asks the server whether a Pod with a tag of team/app may run.
func (s *server) admit(tag string) string {
	s.t.Helper()
	pod := filepath.Join(s.dir, "pod.yaml")
	text := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: %q}]}\n", s.registry.Host+"/team/app:"+tag)
	if err := os.WriteFile(pod, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	_, out, errs := command(s.t, "admit", "-f", pod, "--server", s.urls["admission"], "--ca-file", filepath.Join(s.dir, "data", "tls", "ca.crt"))
	return out + errs
}
