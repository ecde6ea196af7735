package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/client"
	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// TestClientCommands asks a running server with every command that does.
func TestClientCommands(t *testing.T) {
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	s := newServer(t, "")
	s.start()
	token := s.tokenFile()
	ask := s.asking(t)
	bad := s.pushDebian("team/app", "bad", demo.Released, map[string]string{"app/id_rsa": privateKey})
	clean := s.pushDebian("team/app", "clean", demo.Updated, nil)
	index, err := pushIndexOf(s, "team/app", "multi")
	if err != nil {
		t.Fatal(err)
	}
	at := func(tag string) string { return s.registry.Host + "/team/app:" + tag }

	ask(0, []string{"images"}, `^DIGEST +STATE`)
	ask(0, []string{"scan", at("bad"), at("clean"), at("multi")}, `^JOB +KIND +STATE`, `resolve +\w+ .*hub/team/app:bad`)
	ask(1, []string{"scan", at("bad"), "elsewhere.example.com/a:1", "Not/Valid"}, `no scan was queued; correct these images`, `elsewhere.example.com`, `Not/Valid`)
	for _, d := range []gate.Digest{bad, clean, index} {
		s.until(d, time.Minute, scanned)
	}

	// images: list, filters, pages, one.
	ask(0, []string{"images"}, bad.Short()+` +scanned +deny +2 +\d+`, clean.Short()+` +scanned +(allow|warn) +0`, `hub/team/app:multi`)
	ask(0, []string{"images", "list", "--decision", "deny", "--kind", "image", "-q", "bad"}, bad.Short())
	if out := ask(0, []string{"images", "--query", "clean"}); strings.Contains(out, bad.Short()) || !strings.Contains(out, clean.Short()) {
		t.Errorf("images --query clean: got %s", out)
	}
	ask(1, []string{"images", "--state", "done", "--decision", "no"}, `--state "done": want one of .*scanned`, `--decision "no": want one of allow, warn, deny, none`)
	ask(1, []string{"images", "--limit", "0"}, `--limit 0: want 1 or more`)
	ask(1, []string{"images", "--cursor", "x"}, `the server answered 422: .*cursor`)
	var seen []string
	var page struct {
		Images []view.Image
		Next   string
	}
	for {
		args := []string{"images", "--limit", "2", "--format", "json"}
		if page.Next != "" {
			args = append(args, "--cursor", page.Next)
		}
		if err := json.Unmarshal([]byte(ask(0, args)), &page); err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Images {
			seen = append(seen, string(i.Digest))
		}
		if page.Next == "" {
			break
		}
	}
	if err := json.Unmarshal([]byte(ask(0, []string{"images", "--limit", "1", "--all", "--format", "json"})), &page); err != nil || len(page.Images) != len(seen) || len(seen) < 5 || page.Next != "" {
		t.Errorf("--all: got %d images, next %q, %v; by pages %d", len(page.Images), page.Next, err, len(seen))
	}
	ask(0, []string{"images", "--limit", "1"}, `there are more: --all lists them, --cursor \S+ continues here`)
	for _, name := range []string{at("bad"), string(bad), bad.Short(), s.registry.Host + "/team/app@" + string(bad)} {
		ask(0, []string{"images", name}, `^digest +`+string(bad)+`$`, `^verdict +deny$`, `^at +hub/team/app:bad$`, `^advisories +generation`)
	}
	ask(0, []string{"images", at("bad"), "--format", "json"}, `"decision": "deny"`, `"locations": \[`)
	ask(1, []string{"images", at("none")}, `the server knows no image at .*:none; "digestgate scan `)
	ask(1, []string{"images", "elsewhere.example.com/a:1"}, `the server has no registry with the host "elsewhere.example.com"; "digestgate registries list"`)
	ask(1, []string{"images", "sha256:" + strings.Repeat("0", 64)}, `the server answered 404`)
	ask(1, []string{"images", "sha256:0000000000"}, `no image whose digest begins with sha256:0000000000`)
	ask(1, []string{"images", "sha256:xyz"}, `is not a digest`)

	// findings: of an image, of an index for each platform.
	ask(0, []string{"findings", at("bad")}, `^linux/amd64 +`+string(bad), `^CRITICAL +CVE-2024-45491 +libexpat1 +2\.5\.0-1 +2\.5\.0-1\+deb12u1 +sha256:`, `app/id_rsa`)
	ask(0, []string{"findings", string(clean)}, `^no vulnerability found in \d+ packages$`)
	ask(0, []string{"findings", at("multi")}, `^linux/amd64 +sha256:`, `^linux/arm64 +sha256:`, `CVE-2024-45491`)
	var found struct{ Findings []client.PlatformFindings }
	if err := json.Unmarshal([]byte(ask(0, []string{"findings", at("bad"), "--severity", "HIGH", "--format", "json"})), &found); err != nil || len(found.Findings) != 1 {
		t.Fatalf("findings: %+v, %v", found, err)
	}
	for _, v := range found.Findings[0].Vulnerabilities {
		if v.Severity != gate.SeverityHigh {
			t.Errorf("--severity HIGH lists %+v", v)
		}
	}
	ask(1, []string{"findings", at("bad"), "--severity", "high"}, `--severity "high": want one of CRITICAL`)

	// jobs and cancel.
	slow := s.pushDebian("team/app", "slow", demo.Updated, map[string]string{"b": strings.Repeat("b", 1<<16)})
	s.stall(0)
	ask(0, []string{"scan", at("slow"), "--format", "json"}, `"jobs": \[`)
	ask(1, []string{"findings", string(slow)[:20] + "zz"}, `is not a digest`)
	s.until(slow, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateScanning })
	ask(1, []string{"findings", string(slow)}, `the server answered 404: .*no inventory`)
	var jobs struct{ Jobs []view.Job }
	if err := json.Unmarshal([]byte(ask(0, []string{"jobs", "--digest", string(slow), "--kind", "analyze", "--format", "json"})), &jobs); err != nil || len(jobs.Jobs) != 1 {
		t.Fatalf("jobs of %s: %+v, %v", slow, jobs, err)
	}
	ask(0, []string{"jobs", "--state", "running"}, `analyze +running .*hub/team/app@`+slow.Short()+` +\S+`)
	ask(0, []string{"jobs", jobs.Jobs[0].ID}, `analyze +running`)
	ask(0, []string{"jobs", jobs.Jobs[0].ID, "--format", "json"}, `"state": "running"`)
	ask(1, []string{"jobs", "nothing"}, `the server answered 404`)
	ask(1, []string{"jobs", "--state", "parked"}, `--state "parked": want one of queued, running, quota_exhausted`)
	ask(0, []string{"jobs", "--limit", "1"}, `there are more`)
	ask(1, []string{"cancel", "nothing", string(slow)}, `cancelling "nothing": the server answered 404`, `analyze +(cancelled|running)`)
	s.until(slow, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateCancelled })
	ask(1, []string{"cancel", jobs.Jobs[0].ID}, `the server answered 409`)
	ask(1, []string{"cancel", string(slow)}, `has no queued or running job`)
	ask(0, []string{"jobs", "--state", "cancelled"}, slow.Short())

	// Servers that are not one, and no token.
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"images"}, "which server"},
		{[]string{"images", "--server", "127.0.0.1:8080"}, `--server "127.0.0.1:8080" is not a URL: give the one of the server's http listener`},
		{[]string{"jobs", "--server", "http://127.0.0.1:1"}, `calling the server`},
		{[]string{"images", "--server", s.urls["http"]}, `the server answered 401: .*; give the API token with --token-file or DIGESTGATE_TOKEN`},
		{[]string{"images", "--server", s.urls["private"], "--token-file", token}, `is http://.* the http listener of digestgate\?`},
	} {
		if code, _, errs := command(t, c.args...); code != 1 || !regexp.MustCompile(c.want).MatchString(errs) {
			t.Errorf("%q: exit %d, want 1 with %q\n%s", c.args, code, c.want, errs)
		}
	}
}
