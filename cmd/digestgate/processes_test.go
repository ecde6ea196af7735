package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// ended reports whether a run of a schedule was done to its end.
func ended(log, schedule string) bool {
	return regexp.MustCompile(`msg="scan task stopped" .*schedule=` + schedule + ` .*state=done`).MatchString(log)
}

// TestProcessesOnOneRedis: two replicas, a worker and two schedulers, each a
// process of its own, work as one.
func TestProcessesOnOneRedis(t *testing.T) {
	t.Parallel()
	f := newFleet(t, redistest.Plain(t, redistest.Options{AOF: "everysec"}).URL(),
		"schedules: [{name: often, cron: '0 0 1 1 *', kind: match}, {name: content, cron: '0 0 1 1 *', kind: content}]\n")
	settings := f.settings()
	// Ticks were missed while nobody was there.
	for _, name := range []string{"often", "content"} {
		f.rewrite(settings, "schedule/"+name, func(state map[string]any) {
			state["tick"], state["done"] = time.Now().AddDate(-2, 0, 0), true
		})
	}
	a, b := f.process("", 3, "serve", "--roles", "webhooks,api,admission"), f.process("", 3, "serve", "--roles", "webhooks,api,admission")
	worker := f.process("", 1, "worker")
	schedulers := []*server{f.process("", 1, "serve", "--roles", "scheduler"), f.process("", 1, "serve", "--roles", "scheduler")}
	for _, s := range []*server{worker, schedulers[0], schedulers[1], a, b} {
		s.start()
	}

	t.Run("ticks_and_generations_come_once", func(t *testing.T) {
		said := func(part string) int {
			return strings.Count(schedulers[0].log.String()+schedulers[1].log.String(), part)
		}
		for _, name := range []string{"often", "content"} {
			eventually(t, "the missed tick of "+name, time.Minute, func() bool {
				return ended(schedulers[0].log.String()+schedulers[1].log.String(), name)
			})
			if n := said(`msg="schedule runs" schedule=` + name + " "); n != 1 {
				t.Errorf("the tick of %s was begun %d times", name, n)
			}
		}
		for _, s := range append(schedulers, worker) {
			if !strings.Contains(s.log.String(), `msg="advisory data is in use" generation=1 `) {
				t.Errorf("a process does not use generation 1:\n%s", s.log)
			}
		}
	})

	d := a.pushDebian("team/app", "v1", demo.Released, nil)
	a.deliver(hookSecret, "team/app", "v1", d)
	b.until(d, time.Minute, scanned)
	onA, onB := a.reviewer(a), b.reviewer(a) // one authority
	t.Run("flipped_verdict_is_denied_everywhere", func(t *testing.T) {
		for _, ask := range []func(string) answer{onA, onB} {
			if got := ask(f.image(d)); !got.allowed {
				t.Fatalf("before: %s", got)
			}
		}
		f.use("complete")
		eventually(t, "new advisories in use", 90*time.Second, func() bool {
			return strings.Contains(schedulers[0].log.String(), "generation=2 ") || strings.Contains(schedulers[1].log.String(), "generation=2 ")
		})
		took := eventually(t, "both replicas deny", time.Minute, func() bool {
			return onA(f.image(d)).code == "POLICY" && onB(f.image(d)).code == "POLICY"
		})
		t.Logf("both deny %s after the new data came into use", took.Round(time.Millisecond))
	})

	t.Run("cancel_reaches_the_worker", func(t *testing.T) {
		stuck := a.pushDebian("team/app", "stuck", demo.Updated, map[string]string{"big": strings.Repeat("x", 1<<20)})
		a.stall(0)
		b.deliver(hookSecret, "team/app", "stuck", stuck)
		v := a.until(stuck, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateScanning && v.Job != nil })
		if err := a.client().Call(t.Context(), http.MethodPost, "/jobs/"+v.Job.ID+"/cancel", nil, nil); err != nil {
			t.Fatal(err)
		}
		took := eventually(t, "the analysis ends", time.Minute, func() bool { return strings.Contains(worker.log.String(), "result=cancelled") })
		t.Logf("the worker let go %s after the cancel", took.Round(time.Millisecond))
		b.until(stuck, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateCancelled })
		f.registry.Reset()
	})

	t.Run("killed_synchronisation_goes_on_elsewhere", func(t *testing.T) {
		f.registry.Fail(fake.Fault{Path: "/v2/_catalog", Hang: true})
		f.registry.Fail(fake.Fault{Path: "/api/v2.0/**", Hang: true})
		lost := a.pushDebian("team/lost", "v1", demo.Updated, nil)
		if err := a.client().Call(t.Context(), http.MethodPost, "/registries/hub/sync", map[string]any{"full": true}, nil); err != nil {
			t.Fatal(err)
		}
		var holder int
		eventually(t, "a scheduler begins", time.Minute, func() bool {
			for i, s := range schedulers {
				if strings.Contains(s.log.String(), `msg="synchronisation begins"`) {
					holder = i
					return true
				}
			}
			return false
		})
		schedulers[holder].end(syscall.SIGKILL)
		f.registry.Reset()
		// Its lease of a minute runs out.
		f.rewrite(settings, "sync/hub", func(state map[string]any) { state["until"] = time.Now().Add(-time.Second) })
		a.until(lost, time.Minute, scanned)
		if other := schedulers[1-holder].log.String(); strings.Count(other, `msg="synchronisation begins"`) != 1 {
			t.Errorf("the other scheduler says:\n%s", other)
		}
		schedulers[holder].start()
	})

	t.Run("rolling_restart", func(t *testing.T) { f.rollingRestart(t, []*server{a, b}, worker) })
}

// rollingRestart restarts every process while registries go on delivering: what
// was acknowledged is analysed, and no attempt is burnt.
func (f *fleet) rollingRestart(t *testing.T, replicas []*server, worker *server) {
	var mu sync.Mutex
	urls := make([]string, len(replicas))
	moved := func(i int) { mu.Lock(); defer mu.Unlock(); urls[i] = replicas[i].urls["http"] }
	for i := range replicas {
		moved(i)
	}
	const images = 24
	var pushed []gate.Digest
	for i := range images {
		pushed = append(pushed, replicas[0].pushDebian("team/app", fmt.Sprint("r", i), demo.Updated, map[string]string{"n": fmt.Sprint(i)}))
	}
	stop, done := make(chan struct{}), make(chan struct{})
	acknowledged := map[gate.Digest]bool{}
	failedOver := 0
	go func() { // a registry, or the load balancer before it, that tries the next replica
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				if n >= images {
					return
				}
			case <-time.After(40 * time.Millisecond):
			}
			for try := range 40 {
				mu.Lock()
				url := urls[(n+try)%len(urls)]
				mu.Unlock()
				if status, err := f.deliverTo(url, fmt.Sprint("r", n%images), pushed[n%images]); err == nil && status == http.StatusAccepted {
					acknowledged[pushed[n%images]] = true
					break
				}
				failedOver++
			}
		}
	}()
	for i, s := range append(replicas, worker) {
		if code := s.end(syscall.SIGTERM); code != 0 {
			t.Errorf("process %d ended with %d", i, code)
		}
		s.start()
		if i < len(replicas) {
			moved(i)
		}
	}
	close(stop)
	<-done
	if len(acknowledged) != images {
		t.Errorf("%d of %d pushes were acknowledged", len(acknowledged), images)
	}
	for d := range acknowledged {
		v := replicas[0].until(d, 90*time.Second, scanned)
		if v.Job != nil && v.Job.Attempts != 0 {
			t.Errorf("%s: %d attempts", d.Short(), v.Job.Attempts)
		}
	}
	t.Logf("%d pushes acknowledged, %d tries failed over", len(acknowledged), failedOver)
	if log := worker.log.String(); strings.Contains(log, "state=failed") {
		t.Errorf("a job failed:\n%s", log)
	}
}

// deliverTo sends a push event to one replica.
func (f *fleet) deliverTo(url, tag string, d gate.Digest) (int, error) {
	body := fmt.Sprintf(`{"type":"PUSH_ARTIFACT","occur_at":1586922308,"operator":"admin","event_data":{"resources":[{"digest":%q,"tag":%q,
		"resource_url":"%s/team/app:%s"}],"repository":{"name":"team/app","namespace":"team","repo_full_name":"team/app","repo_type":"private"}}}`,
		d, tag, f.registry.Host, tag)
	req, err := http.NewRequest(http.MethodPost, url+"/webhooks/hub", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", hookSecret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}
