package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// command runs one command line in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCheckDecidesWithoutAServer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // whose rest is this test's
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	s := newServer(t, "")
	clean := s.pushDebian("team/app", "clean", demo.Updated, nil)
	s.pushDebian("team/app", "bad", demo.Released, nil)
	s.pushDebian("team/app", "leak", demo.Updated, map[string]string{"app/id_rsa": privateKey})
	index, err := pushIndexOf(s, "team/app", "multi")
	if err != nil {
		t.Fatal(err)
	}
	image := func(tag string) string { return s.registry.Host + "/team/app:" + tag }
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string // in stdout or stderr
	}{
		{"clean", []string{image("clean"), "-c", s.config}, 0, string(clean)},
		{"by_digest", []string{s.registry.Host + "/team/app@" + string(clean), "-c", s.config}, 0, "verdict"},
		{"vulnerable", []string{image("bad"), "-c", s.config}, 2, "fixable-critical"},
		{"secret", []string{image("leak"), "-c", s.config}, 2, "app/id_rsa"},
		{"index_with_a_bad_platform", []string{image("multi"), "-c", s.config}, 2, string(index)},
		{"no_such_tag", []string{image("none"), "-c", s.config}, 3, "cannot be read"},
		{"no_advisories", []string{image("clean"), "-c", s.config, "--set", "advisories.path="}, 3, "no verdict"},
		{"registry_without_configuration", []string{image("clean"), "--plain-http", "--set", "advisories.path=" + s.dir + "/advisories", "--set", "advisories.stale=allow"}, 0, string(clean)},
		{"nobody_there", []string{"127.0.0.1:1/x:y", "--plain-http", "-c", s.config}, 3, "cannot be read now"},
		{"not_a_reference", []string{"UPPER/case:", "-c", s.config}, 1, "reference"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"check"}, c.args...)...)
			if code != c.code || !strings.Contains(stdout+stderr, c.out) {
				t.Errorf("exit %d, want %d with %q\nstdout: %s\nstderr: %s", code, c.code, c.out, stdout, stderr)
			}
		})
	}
	code, stdout, _ := command(t, "check", image("bad"), "-c", s.config, "--format", "json")
	var v view.ImageDetail
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 2 || v.Verdict == nil || v.Verdict.Decision != gate.OutcomeDeny {
		t.Errorf("json: exit %d, %v, %+v", code, err, v)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "digestgate-check-*")); len(left) > 0 {
		t.Errorf("check has left %v behind", left)
	}
}

func TestWaitReplayAndAdmitAskTheServer(t *testing.T) {
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	s := newServer(t, "")
	s.start()
	clean := s.pushDebian("team/app", "clean", demo.Updated, nil)
	s.pushDebian("team/app", "bad", demo.Released, nil)
	token := s.tokenFile()
	wait := func(image string, more ...string) (int, string, string) {
		return command(t, append([]string{"wait", s.registry.Host + "/team/app" + image, "--server", s.urls["http"], "--token-file", token}, more...)...)
	}
	if code, out, errs := wait(":clean"); code != 0 || !strings.Contains(out, string(clean)) {
		t.Errorf("clean: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := wait("@" + string(clean)); code != 0 || !strings.Contains(out, string(clean)) {
		t.Errorf("clean by digest: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := wait(":bad"); code != 2 || !strings.Contains(out, "CVE-2024-45491") {
		t.Errorf("bad: exit %d\n%s%s", code, out, errs)
	}
	if code, _, errs := wait(":none"); code != 3 || !strings.Contains(errs, "cannot be read") {
		t.Errorf("no such tag: exit %d\n%s", code, errs)
	}
	slow := s.pushDebian("team/app", "slow", demo.Updated, map[string]string{"b": "b"})
	s.stall(0)
	if code, _, errs := wait(":slow", "--timeout", "3s"); code != 3 || !strings.Contains(errs, "no verdict within 3s") {
		t.Errorf("no verdict in time (%s): exit %d\n%s", slow.Short(), code, errs)
	}
	s.replayAndAdmit()
}

// replayAndAdmit checks the two commands that speak to the other endpoints.
func (s *server) replayAndAdmit() {
	t := s.t
	body := fmt.Sprintf(`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":"sha256:%064d","tag":"x","resource_url":"%s/team/other:x"}],
		"repository":{"repo_full_name":"team/other"}}}`, 1, s.registry.Host)
	recording := filepath.Join(s.dir, "delivery.json")
	if err := os.WriteFile(recording, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "replay", recording, "--registry", "hub", "--server", s.urls["http"], "-c", s.config)
	if code != 0 || !strings.Contains(out, `"state": "queued"`) {
		t.Errorf("replay: exit %d\n%s%s", code, out, errs)
	}
	pod := filepath.Join(s.dir, "pod.yaml")
	for tag, want := range map[string]int{"clean": 0, "bad": 2} {
		text := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: %q}]}\n", s.registry.Host+"/team/app:"+tag)
		if err := os.WriteFile(pod, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := command(t, "admit", "-f", pod, "--server", s.urls["admission"], "--ca-file", filepath.Join(s.dir, "data", "tls", "ca.crt"))
		if code != want {
			t.Errorf("admit %s: exit %d, want %d\n%s%s", tag, code, want, out, errs)
		}
	}
}
