package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// denyAll is a policy under which nothing may run.
const denyAll = fleetPolicy + "\ndeny contains {\"rule\": \"all\", \"msg\": \"nothing may run\"}\n"

// withPolicy prepares a process with a policy file of its own.
func (f *fleet) withPolicy(text string, listeners int, args ...string) *server {
	f.t.Helper()
	s := f.process("", listeners, args...)
	f.write(s.config, strings.ReplaceAll(read(f.t, s.config), filepath.Join(f.dir, "policy.rego"), s.policy()))
	f.write(s.policy(), text)
	return s
}

func (s *server) policy() string { return filepath.Join(s.dir, "policy.rego") }

// again restarts the process with a policy file, without what it remembers if
// need be.
func (s *server) again(policy string, forget bool) {
	s.t.Helper()
	if code := s.end(syscall.SIGTERM); code != 0 {
		s.t.Errorf("ended with %d", code)
	}
	if err := os.WriteFile(s.policy(), []byte(policy), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if forget {
		if err := os.RemoveAll(filepath.Join(s.dir, "data", "policies")); err != nil {
			s.t.Fatal(err)
		}
	}
	s.start()
}

// metric is the value of a metric without labels.
func (s *server) metric(name string) string {
	s.t.Helper()
	res, err := http.Get(s.urls["private"] + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (.*)$`).FindSubmatch(text)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// TestPoliciesOfSeveralProcesses: whichever file changes, all processes decide by
// the same policies; none brings back what was replaced, and a way back works.
func TestPoliciesOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	redisServer := redistest.Plain(t, redistest.Options{AOF: "everysec"})
	f := newFleet(t, redisServer.URL(), "")
	f.use("complete")
	raw, key := redisServer.Client(t), f.store.Prefix+":setting:policies/active"
	a, b := f.withPolicy(fleetPolicy, 3, "serve", "--roles", "webhooks,api,admission"), f.withPolicy(fleetPolicy, 3, "serve", "--roles", "webhooks,api,admission")
	worker := f.withPolicy(fleetPolicy, 1, "serve", "--roles", "worker,scheduler")
	for _, s := range []*server{worker, a, b} {
		s.start()
	}
	first, err := raw.Get(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	d := a.pushDebian("team/app", "v1", demo.Updated, nil)
	a.deliver(hookSecret, "team/app", "v1", d)
	a.until(d, time.Minute, scanned)
	asks := func() []func(string) answer { return []func(string) answer{a.reviewer(a), b.reviewer(a)} }
	// all asks every replica.
	all := func(code string) bool {
		for _, ask := range asks() {
			if got := ask(f.image(d)); got.code != code || got.allowed != (code == "") {
				return false
			}
		}
		return true
	}
	// becomes waits until something was put in force, then for all replicas.
	becomes := func(what string, s *server, number int, code string) {
		t.Helper()
		line := fmt.Sprintf(`msg="policies activated" activation=%d `, number)
		eventually(t, what+": activated", 30*time.Second, func() bool { return strings.Contains(s.log.String(), line) })
		took := eventually(t, what+": holds everywhere", 5*time.Second, func() bool { return all(code) })
		t.Logf("%s: on both replicas %s after it was activated", what, took.Round(time.Millisecond))
	}
	// stays makes sure that all have looked at the store and decide as before.
	stays := func(what string, number int, code string) {
		t.Helper()
		for _, s := range []*server{a, b} {
			eventually(t, what+": the same activation", 10*time.Second, func() bool { return s.metric("digestgate_policy_activation") == fmt.Sprint(number) })
		}
		if !all(code) {
			t.Errorf("%s: want %q; a says %s, b %s", what, code, asks()[0](f.image(d)), asks()[1](f.image(d)))
		}
	}
	if stays("at first", 1, ""); t.Failed() {
		return
	}

	f.write(b.policy(), denyAll)
	becomes("a changed file", b, 2, "POLICY")
	verdict := a.until(d, 30*time.Second, func(v view.ImageDetail) bool { return v.Verdict != nil && v.Verdict.Decision == gate.OutcomeDeny })
	if len(verdict.Verdict.Reasons) == 0 || verdict.Verdict.Reasons[0].Rule != "all" {
		t.Errorf("standing verdict: %+v", verdict.Verdict)
	}
	eventually(t, "the other one says so", 10*time.Second, func() bool {
		status, text, _ := a.ready()
		return status == http.StatusOK && strings.Contains(text, "ok    policies: activation 2 (") && strings.Contains(text, "warn  policies: the files here (") && a.metric("digestgate_policy_files_differ") == "1"
	})

	// A rolling update: old files restart in between, with and without memory.
	a.again(fleetPolicy, false)
	stays("restarted with old files", 2, "POLICY")
	a.again(fleetPolicy, true)
	stays("a new process with old files", 2, "POLICY")
	a.again(denyAll, false)
	stays("restarted with the new files", 2, "POLICY")
	if text := a.metric("digestgate_policy_files_differ"); text != "0" {
		t.Errorf("differ: %s", text)
	}
	worker.again(fleetPolicy, true)
	stays("the last one with old files", 2, "POLICY")

	f.write(a.policy(), fleetPolicy)
	becomes("a way back", a, 3, "")
	f.write(b.policy(), fleetPolicy)
	stays("a way back that comes later", 3, "")

	present, err := raw.Get(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"put_back": first, "forged": "1.forged." + present[40:], "emptied": ""} {
		before := a.metric("digestgate_policy_restored_total") + b.metric("digestgate_policy_restored_total") + worker.metric("digestgate_policy_restored_total")
		if err := raw.Set(t.Context(), key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+": put back", 5*time.Second, func() bool {
			return a.metric("digestgate_policy_restored_total")+b.metric("digestgate_policy_restored_total")+worker.metric("digestgate_policy_restored_total") != before
		})
		stays(name, 3, "")
	}

	f.write(b.policy(), "package digestgate\n\ndeny contains input.nonsense\n")
	eventually(t, "a broken file", 30*time.Second, func() bool {
		_, text, _ := b.ready()
		return strings.Contains(text, "warn  policies: the last change was refused") && b.metric("digestgate_policy_refused") == "1"
	})
	stays("a broken file", 3, "")

	t.Run("activate", func(t *testing.T) {
		former := filepath.Join(f.dir, "former.rego")
		f.write(former, denyAll)
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"policy", "activate", "-c", worker.config, former}, strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatalf("exit code %d: %s", code, &errs)
		}
		if got := out.String(); !strings.HasPrefix(got, "activation 4 (") || !strings.Contains(got, "is in force: 2 rules in 1 files") {
			t.Errorf("got %q", got)
		}
		eventually(t, "activated by a command: holds everywhere", 5*time.Second, func() bool { return all("POLICY") })
	})
	for _, s := range []*server{a, b, worker} {
		if n := strings.Count(s.log.String(), `msg="policies activated"`); n > 2 {
			t.Errorf("a process activated %d times:\n%s", n, s.log)
		}
	}
}
