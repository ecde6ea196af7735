package main

import (
	"cmp"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// outageEnv is how long each outage lasts at least; make faults asks for 30 s. The
// processes of the test would refuse a variable DIGESTGATE_….
const outageEnv = "OUTAGE_DURATION"

// TestAdmissionThroughAnOutage: a replica of admission that loses its Redis,
// silently or not, goes on deciding what it knows, by the policies of now, and
// nothing else; and it recovers by itself.
func TestAdmissionThroughAnOutage(t *testing.T) {
	t.Parallel()
	outage, err := time.ParseDuration(cmp.Or(os.Getenv(outageEnv), "3s"))
	if err != nil {
		t.Fatalf("%s: %v", outageEnv, err)
	}
	server := redistest.Plain(t, redistest.Options{AOF: "everysec"})
	proxy := redistest.Proxy(t, server.Addr())
	f := newFleet(t, server.URL(), "admission: {tags: {maxAge: 1s}}")
	worker := f.process("", 1, "serve", "--roles", "worker,scheduler")
	a := f.process("redis://"+proxy.Addr()+"/0", 3, "serve", "--roles", "webhooks,api,admission")
	worker.start()
	a.start()
	known, vulnerable, unknown := a.pushDebian("team/app", "v1", demo.Updated, nil), a.pushDebian("team/app", "v2", demo.Released, nil), a.pushDebian("team/app", "v3", demo.Updated, map[string]string{"x": "y"})
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
		before := a.fallbacks()
		if err := fault.begin(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
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
		// All the time that it lasts, every answer is the same.
		decided := map[string]int{}
		for round := time.Now(); len(decided) == 0 || time.Since(began) < outage; round = time.Now() {
			for i, image := range append(images, tag) {
				want := []string{"", "POLICY", "STORE_UNAVAILABLE", ""}[i]
				got := ask(image)
				if got.err != nil || got.code != want || got.allowed != (want == "") {
					t.Fatalf("%s, after %s: %s: got %s, want code %q", fault.name, time.Since(began), image, got, want)
				}
				decided[cmp.Or(want, "allowed")]++
				longest = max(longest, got.took)
			}
			<-time.After(100*time.Millisecond - time.Since(round))
		}
		counted := a.fallbacks() - before
		t.Logf("%s: gone for %s; reviews one after the other: %v, the longest of all took %s; %d decisions from local copies counted",
			fault.name, time.Since(began).Round(time.Second), decided, longest.Round(time.Millisecond), counted)
		if known := len(answers)/3*2 + decided["allowed"] + decided["POLICY"]; counted < known {
			t.Errorf("%s: %d decisions from local copies are counted, want at least %d", fault.name, counted, known)
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
		unknown = a.pushDebian("team/app", "v4", demo.Updated, map[string]string{"z": fault.name})
	}
}

var fallbacksPattern = regexp.MustCompile(`(?m)^digestgate_fallbacks_total\{kind="store"\} (\d+)$`)

// fallbacks is how many decisions a process has made from local copies.
func (s *server) fallbacks() int {
	s.t.Helper()
	res, err := http.Get(s.urls["private"] + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	m := fallbacksPattern.FindSubmatch(text)
	if err != nil {
		s.t.Fatal(err)
	}
	if m == nil {
		return 0 // there was none yet
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
