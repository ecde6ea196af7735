package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
	"github.com/digestgate/digestgate/gate/notify"
)

// TestNotificationCommands plays notification targets with the program: stale data and a
// quota near its end are one message each, a target that cannot be used is named, one is
// set and tried at run time, and those of the file follow it without a restart.
func TestNotificationCommands(t *testing.T) {
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	filed, set := newChat(t), newChat(t)
	host := strings.Split(read(t, set.urlFile), "/")[2]
	s := newServer(t, fmt.Sprintf(`
outbound: {allow: [%q]}
quota: {limit: 10}
notifications:
  - {name: filed, type: webhook, urlFile: url, secretFile: secret, caFile: ca.pem, events: [quota, stale], gather: 1s}
  - {name: broken, type: slack, urlFile: /nowhere/url}
`, host))
	s.cwd = filepath.Dir(filed.urlFile) // which paths are relative to
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.config+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(s.config+".new", s.config); err != nil {
			t.Fatal(err)
		}
	}
	data := datedDatabase(t, 72, func(string) bool { return false })
	write(strings.Replace(read(t, s.config), s.dir+"/advisories", data, 1))
	s.start()
	ask := s.asking(t)
	about := func(what notify.What) (list []notify.Item) {
		for _, m := range filed.taken() {
			for _, item := range m.Items {
				if item.What == what {
					list = append(list, item)
				}
			}
		}
		return list
	}

	eventually(t, "stale data is notified", time.Minute, func() bool { return len(about(notify.Stale)) > 0 })
	if text := about(notify.Stale)[0].Text; !strings.Contains(text, "older than 48h0m0s") {
		t.Errorf("stale data: got %q", text)
	}
	const unusable = `warn  notifications: nothing is sent to the target "broken": urlFile: open /nowhere/url: no such file or directory`
	if status, text, _ := s.ready(); status != 200 || !strings.Contains(text, unusable) {
		t.Errorf("/readyz: %d %q, want %q", status, text, unusable)
	}
	if got := s.metric("digestgate_notifications_unusable_targets"); got != "1" {
		t.Errorf("the metric of unusable targets is %q", got)
	}
	for i := range 8 {
		s.deliver(hookSecret, "team/app", fmt.Sprint("v", i), s.pushDebian("team/app", fmt.Sprint("v", i), demo.Updated, map[string]string{"n": fmt.Sprint(i)}))
	}
	eventually(t, "eight of ten are charged", time.Minute, func() bool { return s.quota().Used == 8 })

	ask(0, []string{"notifications", "list"}, `^NAME +TYPE +SOURCE +HOST`, `^broken +slack +file .* urlFile: open /nowhere/url: no such file or directory$`, `^filed +webhook +file +127.0.0.1:\d+ +0 +1 +0`)
	ask(1, []string{"notifications", "add", "api"}, `--type is empty: give one of webhook, cloudevents, slack`)
	ask(1, []string{"notifications", "add", "api", "--type", "pager"}, `422: type: got "pager", want one of webhook, cloudevents, slack.*mail$`)
	ask(1, []string{"notifications", "add", "api", "--type", "webhook"}, `422: the address \(not shown, it is a secret\) `)
	ask(1, []string{"notifications", "add", "filed", "--type", "slack"}, `409: "filed" is a target of the configuration file; change it there$`)
	add := []string{"notifications", "add", "api", "--type", "webhook", "--url-file", set.urlFile, "--secret-file", set.secretFile, "--target-ca-file", set.caFile, "--event", "quota", "--gather", "1s"}
	ask(1, append(add, "--gather", "x"), `422: gather: got "x", want a time such as 5m$`)
	ask(0, add, `^name +api$`, `^source +api$`, `^host +127.0.0.1:\d+$`, `^gathers for +1s$`)
	ask(1, add, `409: the notification target "api" already exists; choose another name, or replace it`)
	ask(0, append(add, "--replace", "--running"), `^images +only those that admission was asked for lately$`)
	ask(0, []string{"notifications", "test", "api"}, `^api: delivered, status 200, \d+ ms$`)
	if got := set.taken(); len(got) != 1 || !got[0].Test {
		t.Errorf("the test came as %+v", got)
	}
	ask(1, []string{"notifications", "test", "broken"}, `422: urlFile: open /nowhere/url: no such file or directory$`)

	if got := about(notify.Quota); len(got) > 0 {
		t.Errorf("at 80 %% of the quota there is a message: %+v", got)
	}
	s.deliver(hookSecret, "team/app", "v9", s.pushDebian("team/app", "v9", demo.Updated, map[string]string{"n": "9"}))
	eventually(t, "a quota near its end is notified", 2*time.Minute, func() bool { return len(about(notify.Quota)) > 0 })
	if q, st := about(notify.Quota), about(notify.Stale); len(q) != 1 || len(st) != 1 || !strings.Contains(q[0].Text, "nearly used up: 9 of 10 digests") {
		t.Errorf("got %+v and %+v, want one of each", q, st)
	}

	out := ask(0, []string{"notifications", "deliveries", "--target", "filed"}, `^ID +TARGET +TRIED`)
	id := regexp.MustCompile(`(?m)^(\w+) +filed +\S+ +1 +delivered +200`).FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("no delivery: %s", out)
	}
	ask(0, []string{"notifications", "redeliver", id[1]}, `^queued for filed; see "digestgate notifications deliveries --target filed"$`)
	ask(1, []string{"notifications", "redeliver", "nothing"}, `404: there is no delivery "nothing"; "digestgate notifications deliveries" lists them$`)
	ask(1, []string{"notifications", "remove", "filed"}, `409: "filed" is a target of the configuration file; remove it there$`)
	ask(0, []string{"notifications", "remove", "api"}, `^removed the target api$`)
	ask(1, []string{"notifications", "show", "api"}, `404: there is no notification target "api"; "digestgate notifications list" lists them$`)

	mark := len(s.log.String())
	write(strings.Replace(read(t, s.config), "type: slack, urlFile: /nowhere/url", fmt.Sprintf("type: webhook, urlFile: %q, secretFile: %q, caFile: %q, events: [stale], gather: 1s", set.urlFile, set.secretFile, set.caFile), 1))
	s.said(mark, `msg="configuration reloaded"`, "notifications[broken].type: slack -> webhook", "notifications[broken].events: [] -> [stale]")
	eventually(t, "the target is used once the file is right", time.Minute, func() bool {
		_, text, _ := s.ready()
		return !strings.Contains(text, "notifications") && len(set.taken()) == 2
	})
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code: %d", code)
	}
}
