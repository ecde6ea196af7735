package redis_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/storetest"
)

// before runs a script of the scheduler as it was before lanes were shared out by
// repository.
func before(t *testing.T, client goredis.UniversalClient, prefix, name string, clock *storetest.Clock, a map[string]any) any {
	t.Helper()
	var text []byte
	for _, file := range []string{"lua/common.lua", "testdata/before/jobs.lua", "testdata/before/" + name + ".lua"} {
		text = append(text, must(os.ReadFile(file))(t)...)
	}
	a["now"], a["keep"] = clock.Now().UnixMicro(), 100_000
	packed := must(msgpack.Marshal(a))(t)
	answer, err := client.Eval(t.Context(), string(text), []string{"{" + prefix + "}:clock"}, packed).Result()
	no(t, err)
	return answer
}

func oldRequest(req gate.JobRequest, i int) map[string]any {
	return map[string]any{
		"kind": store.KindBit(req.Kind), "key": req.Key(), "registry": req.Location.Registry, "repository": req.Location.Repository,
		"digest": string(req.Digest), "tag": req.Tag, "trigger": string(req.Trigger), "priority": int(req.Trigger.Priority()),
		"force": req.Force, "random": fmt.Sprint("old", i), "rest": 0, "restart": false, "maxTags": store.MaxTags, "resolve": store.KindResolve,
	}
}

// TestUpgrade: what an earlier version has queued, before and while it is being
// replaced, is claimed in the order of class and age; what runs in it is finished.
func TestUpgrade(t *testing.T) {
	server := servers.Plain(t)
	c, clock, client := config(t, server.URL()), storetest.NewClock(), server.Client(t)
	ask := func(i int, trigger gate.Trigger) {
		clock.Advance(time.Second)
		before(t, client, c.Prefix, "enqueue", clock, oldRequest(analysis(digest(t.Name(), i), trigger), i))
	}
	ask(0, gate.TriggerPush)
	before(t, client, c.Prefix, "claim", clock, map[string]any{
		"worker": "old", "mask": store.AllKinds, "norescan": false, "limits": map[string]any{}, "period": "none", "quota": 0,
		"lease": time.Minute.Microseconds(), "max": 5, "rescan": int(gate.PriorityRescan), "classes": len(gate.Priorities()),
		"patience": store.FairAfter, "lost": store.LostReason, "retention": time.Hour.Microseconds(), "nonce": "n",
	})
	const backlog = 1200 // more than one claim takes over
	for i := range backlog {
		ask(1+i, gate.TriggerRescan)
	}
	ask(5000, gate.TriggerPush)

	s := open(t, c, redis.Options{Clock: clock.Now})
	next := func(want int) gate.Job {
		t.Helper()
		clock.Advance(time.Millisecond)
		job := must(s.Claim(t.Context(), gate.ClaimRequest{Worker: "w", Lease: 24 * time.Hour}))(t)
		if job.Digest != digest(t.Name(), want) {
			t.Fatalf("claimed %+v, want number %d", job, want)
		}
		return job
	}
	next(0) // the old worker is lost
	next(5000)
	for i := range backlog {
		if i == 2 {
			ask(6000, gate.TriggerPush) // by one that is not replaced yet
			job := next(6000)
			no(t, finishedBefore(t, client, c.Prefix, clock, job))
			clock.Advance(time.Second)
			next(6000) // returned to the queue by the old version
		}
		next(1 + i)
	}
	_, err := s.Claim(t.Context(), claimFor("w"))
	wantErr(t, "a claim of the empty queue", err, gate.ErrNoJob)
}

// finishedBefore gives a job back as the earlier version does when it stops.
func finishedBefore(t *testing.T, client goredis.UniversalClient, prefix string, clock *storetest.Clock, job gate.Job) error {
	t.Helper()
	answer := before(t, client, prefix, "finish", clock, map[string]any{
		"id": job.ID, "epoch": job.Epoch, "verb": "again", "max": 5, "after": 0, "backoff": []int64{1}, "error": "", "reason": "", "nonce": "m",
	})
	if list, _ := answer.([]any); len(list) == 0 || list[0] != "ok" {
		return fmt.Errorf("finishing: %v", answer)
	}
	return nil
}
