package redis_test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// backlog queues n rescans of a registry.
func backlog(t *testing.T, s *redis.Store, loc gate.Location, n int) {
	t.Helper()
	work := make(chan int)
	results := make(chan error)
	for range 16 {
		go func() {
			var failed error
			for i := range work {
				req := analysis(digest(t.Name()+loc.Registry, i), gate.TriggerRescan)
				req.Location = loc
				if _, _, err := s.Enqueue(t.Context(), req); err != nil {
					failed = err
				}
			}
			results <- failed
		}()
	}
	for i := range n {
		work <- i
	}
	close(work)
	for range 16 {
		no(t, <-results)
	}
}

const many = 10_000

// TestOvertaking: what a person or an admission asks for is the next claim's,
// before 10,000 rescans; also when it is one of them.
func TestOvertaking(t *testing.T) {
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{})
	backlog(t, s, app, many)
	for i, trigger := range []gate.Trigger{gate.TriggerAdmission, gate.TriggerAPI} {
		job, outcome, err := s.Enqueue(t.Context(), analysis(digest(t.Name(), i), trigger))
		no(t, err)
		if outcome != gate.EnqueuedNew {
			t.Fatalf("got %q", outcome)
		}
		if got := must(s.Claim(t.Context(), claimFor("w")))(t); got.ID != job.ID {
			t.Fatalf("asked by %s: claimed %+v", trigger, got)
		}
	}
	last := analysis(digest(t.Name()+app.Registry, many-1), gate.TriggerAdmission)
	job, outcome, err := s.Enqueue(t.Context(), last)
	no(t, err)
	if outcome != gate.EnqueuedJoined || job.Priority != gate.PriorityInteractive {
		t.Fatalf("got %q and %+v", outcome, job)
	}
	if got := must(s.Claim(t.Context(), claimFor("w")))(t); got.ID != job.ID {
		t.Fatalf("claimed %+v", got)
	}
}

// TestLimitsAreGlobal: what two processes start together is what a registry may
// have at once, and in an hour.
func TestLimitsAreGlobal(t *testing.T) {
	for name, limits := range map[string]gate.Limits{"concurrency": {Concurrency: 3}, "pulls_per_hour": {PullsPerHour: 3}} {
		t.Run(name, func(t *testing.T) {
			c := config(t, servers.Plain(t).URL())
			stores := []*redis.Store{open(t, c, redis.Options{}), open(t, c, redis.Options{})}
			backlog(t, stores[0], app, 8)
			got := 0
			for i := range 8 {
				req := claimFor(fmt.Sprint("w", i))
				req.Registries = map[string]gate.Limits{app.Registry: limits}
				job, err := stores[i%2].Claim(t.Context(), req)
				if got < 3 {
					no(t, err)
					got++
					if limits.PullsPerHour > 0 { // an end gives nothing back
						must(stores[(i+1)%2].Finish(t.Context(), job.Lease(), gate.Result{}))(t)
					}
					continue
				}
				wantErr(t, "a claim beyond the limit", err, gate.ErrNoJob)
			}
		})
	}
}

var callsPattern = regexp.MustCompile(`cmdstat_([a-z|]+):calls=(\d+)`)

// commands counts what the server has carried out, also within scripts.
func commands(t *testing.T, server *redistest.Server) (total int) {
	t.Helper()
	for _, m := range callsPattern.FindAllStringSubmatch(must(server.Do("info", "commandstats").Text())(t), -1) {
		if m[1] != "info" {
			total += must(strconv.Atoi(m[2]))(t)
		}
	}
	return total
}

// TestSlowRegistry: a registry that is at its limit, with 10,000 jobs waiting,
// holds up no other one, and makes a claim no dearer than ten of them would.
func TestSlowRegistry(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	quick := gate.Location{Registry: "quick", Repository: "team/app"}
	cost := map[int]int{}
	for _, waiting := range []int{10, many} {
		s := open(t, config(t, server.URL()), redis.Options{})
		req := claimFor("w")
		req.Registries = map[string]gate.Limits{app.Registry: {Concurrency: 2}}
		backlog(t, s, app, waiting)
		must(s.Claim(t.Context(), req))(t)
		must(s.Claim(t.Context(), req))(t)
		_, err := s.Claim(t.Context(), req)
		wantErr(t, "a claim of the slow registry", err, gate.ErrNoJob)
		const claims = 20
		backlog(t, s, quick, claims)
		before := commands(t, server)
		for range claims {
			if job := must(s.Claim(t.Context(), req))(t); job.Location != quick {
				t.Fatalf("claimed %+v", job)
			}
		}
		cost[waiting] = commands(t, server) - before
		no(t, s.Remove(t.Context()))
	}
	t.Logf("commands of 20 claims: %d beside 10 jobs of a registry at its limit, %d beside %d", cost[10], cost[many], many)
	if cost[many] > cost[10]+cost[10]/5 { // the other commands of the store, a subscription and the like, are few
		t.Errorf("20 claims took %d commands beside 10 jobs and %d beside %d", cost[10], cost[many], many)
	}
}

// TestClockSetBack: numbers grow also when the server that takes over has a clock
// that is behind.
func TestClockSetBack(t *testing.T) {
	c := storetest.NewClock()
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{Clock: c.Now})
	last, end := int64(0), int64(0)
	for i := range 10 {
		_, _, err := s.Enqueue(t.Context(), analysis(digest(t.Name(), i), gate.TriggerPush))
		no(t, err)
		job := must(s.Claim(t.Context(), claimFor("w")))(t)
		if job.Epoch <= last {
			t.Fatalf("epoch %d after %d", job.Epoch, last)
		}
		if next := newest(t, s, end); next <= end {
			t.Fatalf("the feed ends at %d after %d", next, end)
		} else {
			last, end = job.Epoch, next
		}
		c.Advance(-time.Minute)
	}
}
