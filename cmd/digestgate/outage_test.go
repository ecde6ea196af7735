package main

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestAdmissionThroughAnOutage: a replica of admission that loses its Redis,
// silently or not, goes on deciding what it knows, by the policies of now, and
// nothing else; and it recovers by itself.
func TestAdmissionThroughAnOutage(t *testing.T) {
	t.Parallel()
	server := redistest.Plain(t, redistest.Options{AOF: "everysec"})
	proxy := redistest.Proxy(t, server.Addr())
	f := newFleet(t, server.URL(), "admission: {tags: {maxAge: 1s}}")
	worker := f.process("", 1, "serve", "--roles", "worker,scheduler")
	a := f.process("redis://"+proxy.Addr()+"/0", 3, "serve", "--roles", "webhooks,api,admission")
	worker.start()
	a.start()
	known, vulnerable, unknown := a.pushDebian("team/app", "v1", demoUpdated, nil), a.pushDebian("team/app", "v2", demoReleased, nil), a.pushDebian("team/app", "v3", demoUpdated, map[string]string{"x": "y"})
	f.use("complete")
	if status, text := a.deliver(hookSecret, "team/app", "v1", known); status != http.StatusAccepted {
		t.Fatalf("delivery: %d %s", status, text)
	}
	a.deliver(hookSecret, "team/app", "v2", vulnerable)
	ask := a.reviewer(a)
	tag := f.registry.Host + "/team/app:v1"
	eventually(t, "verdicts", time.Minute, func() bool {
		return ask(f.image(known)).allowed && ask(f.image(vulnerable)).code == "POLICY" && ask(tag).allowed
	})

	for _, fault := range []struct {
		name       string
		begin, end func() error
	}{
		{"silent", func() error { proxy.Blackhole(); return nil }, proxy.Heal},
		{"refused", func() error { proxy.Cut(); return nil }, proxy.Heal},
	} {
		if err := fault.begin(); err != nil {
			t.Fatal(err)
		}
		// Many at once: reads that wait must not use up the connections.
		var asking sync.WaitGroup
		answers := make([]answer, 60)
		images := []string{f.image(known), f.image(vulnerable), f.image(unknown)}
		for i := range answers {
			asking.Go(func() { answers[i] = ask(images[i%3]) })
		}
		asking.Wait()
		longest := time.Duration(0)
		for i, got := range answers {
			want := []string{"", "POLICY", "STORE_UNAVAILABLE"}[i%3]
			longest = max(longest, got.took)
			if got.err != nil || got.allowed != (i%3 == 0) || got.code != want {
				t.Errorf("%s: %s: got %s, want code %q", fault.name, images[i%3], got, want)
			}
		}
		// That they wait for one read only is shown by gate.TestSilentStoreIsWaitedForOnce.
		t.Logf("%s: the longest of %d reviews at once took %s", fault.name, len(answers), longest)
		if got := ask(tag); !got.allowed {
			t.Errorf("%s: a tag that was confirmed lately: got %s", fault.name, got)
		}
		eventually(t, "readiness says that copies serve", time.Minute, func() bool {
			status, text, took := a.ready()
			return status == http.StatusOK && strings.Contains(text, "warn  store: admission decides from local copies until ") && took < 2*time.Second
		})
		// A change of the policies waits for the store: one replica must not
		// decide by others than its fellows.
		f.write(f.policy, fleetPolicy+"\ndeny contains {\"rule\": \"all\", \"msg\": \"all\"}\n")
		eventually(t, fault.name+": the change waits", time.Minute, func() bool {
			_, text, _ := a.ready()
			return strings.Contains(text, "warn  policies: the changed files wait for the store")
		})
		if got := ask(f.image(known)); !got.allowed {
			t.Errorf("%s: a change that waits decides: %s", fault.name, got)
		}

		if err := fault.end(); err != nil {
			t.Fatal(err)
		}
		took := eventually(t, fault.name+": unknown images are queued again", time.Minute, func() bool {
			code := ask(f.image(unknown)).code
			return code == "UNSCANNED" || code == "PENDING" || code == ""
		})
		t.Logf("%s: recovered after %s", fault.name, took)
		eventually(t, fault.name+": the new policy holds", time.Minute, func() bool { return ask(f.image(known)).code == "POLICY" })
		f.write(f.policy, fleetPolicy)
		eventually(t, fault.name+": the former policy holds again", time.Minute, func() bool { return ask(f.image(known)).allowed })
		eventually(t, fault.name+": ready without a warning", time.Minute, func() bool {
			status, text, _ := a.ready()
			return status == http.StatusOK && strings.Contains(text, "ok    store")
		})
		unknown = a.pushDebian("team/app", "v4", demoUpdated, map[string]string{"z": fault.name})
	}
	res, err := http.Get(a.urls["private"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), `digestgate_fallbacks_total{kind="store"}`) {
		t.Errorf("fallbacks are not counted: %v", err)
	}
}
