package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// lossy is a store that loses answers, and one beside it that sees what the
// server holds.
type lossy struct {
	*testing.T
	proxy          *redistest.FaultProxy
	broken, direct *redis.Store
	d              gate.Digest
}

func newLossy(t *testing.T, o redis.Options) *lossy {
	s := servers.Plain(t)
	proxy := redistest.Proxy(t, s.Addr())
	c := config(t, "redis://"+proxy.Addr()+"/0")
	l := &lossy{T: t, proxy: proxy, broken: open(t, c, o), d: digest(t.Name(), 0)}
	c.URL = s.URL()
	l.direct = open(t, c, o)
	return l
}

// claimed queues and claims an analysis, with nothing lost.
func (l *lossy) claimed() gate.Job {
	l.Helper()
	_, _, err := l.direct.Enqueue(l.Context(), analysis(l.d, gate.TriggerPush))
	no(l, err)
	return must(l.direct.Claim(l.Context(), claimFor("w")))(l)
}

func (l *lossy) job(id string) gate.Job {
	l.Helper()
	return must(l.direct.Job(l.Context(), id))(l)
}

// TestAnswerLost: a call that was carried out, and whose answer was lost, is
// repeated by the client. It answers as the first, and has done no harm twice.
func TestAnswerLost(t *testing.T) {
	for name, run := range map[string]func(*lossy){
		"enqueue": func(l *lossy) {
			job, _, err := l.broken.Enqueue(l.Context(), analysis(l.d, gate.TriggerPush))
			no(l, err)
			if got := must(l.direct.Claim(l.Context(), claimFor("w")))(l); got.ID != job.ID {
				l.Fatalf("claimed %q, want %q", got.ID, job.ID)
			}
			_, err = l.direct.Claim(l.Context(), claimFor("w"))
			wantErr(l, "a second claim", err, gate.ErrNoJob)
		},
		"claim": func(l *lossy) {
			_, _, err := l.direct.Enqueue(l.Context(), analysis(l.d, gate.TriggerPush))
			no(l, err)
			job := must(l.broken.Claim(l.Context(), claimFor("w")))(l)
			if now := l.job(job.ID); now.State != gate.JobRunning || now.Epoch != job.Epoch || now.Attempts != 0 {
				l.Fatalf("got %+v, stored %+v", job, now)
			}
			_, err = l.direct.Claim(l.Context(), claimFor("w"))
			wantErr(l, "a second claim", err, gate.ErrNoJob)
		},
		"heartbeat": func(l *lossy) {
			_, err := l.broken.Heartbeat(l.Context(), l.claimed().Lease(), time.Minute, gate.Progress{Phase: gate.PhaseLayers})
			no(l, err)
		},
		"finish": func(l *lossy) {
			job := l.claimed()
			got := must(l.broken.Finish(l.Context(), job.Lease(), gate.Result{Err: gate.ErrScanFailed, MaxAttempts: 3}))(l)
			if got.State != gate.JobQueued || got.Attempts != 1 || l.job(job.ID).Attempts != 1 {
				l.Fatalf("got %+v", got)
			}
		},
		"cancel": func(l *lossy) {
			if got := must(l.broken.Cancel(l.Context(), l.claimed().ID))(l); got.State != gate.JobCancelled {
				l.Fatalf("got %+v", got)
			}
		},
		"serve": func(l *lossy) { no(l, l.broken.Serve(l.Context(), l.claimed().Lease())) },
		"restore": func(l *lossy) {
			_, err := l.broken.Restore(l.Context(), l.d, "q", time.Unix(1_790_000_000, 0))
			no(l, err)
			if use := must(l.direct.Quota(l.Context(), "q"))(l); use.Used != 1 {
				l.Fatalf("got %+v", use)
			}
		},
		"put_setting": func(l *lossy) {
			if v := must(l.broken.PutSetting(l.Context(), "tick", []byte("x"), 0))(l); v != 1 {
				l.Fatalf("got version %d", v)
			}
			_, err := l.direct.PutSetting(l.Context(), "tick", []byte("x"), 0)
			wantErr(l, "the same value over the same version", err, gate.ErrConflict)
		},
		"put_tag": func(l *lossy) {
			key := gate.TagKey{Location: app, Tag: "v1"}
			m := must(l.broken.PutTag(l.Context(), key, l.d, must(l.direct.Now(l.Context()))(l), ""))(l)
			res := must(l.direct.Read(l.Context(), gate.ReadRequest{Tags: []gate.TagKey{key}}))(l)
			if diff := cmp.Diff(m, res.Tags[key]); diff != "" {
				l.Fatalf("answered and stored (-answered +stored):\n%s", diff)
			}
		},
		"fence": func(l *lossy) { no(l, l.broken.Fence(l.Context(), l.d, 7)) },
		"put_inventory": func(l *lossy) {
			no(l, storetest.PutInventory(l.Context(), l.broken, 7, inventory(l.d, "set")))
			if inv := must(l.direct.Inventory(l.Context(), l.d))(l); inv.AnalyzerSet != "set" {
				l.Fatalf("got %+v", inv)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLossy(t, redis.Options{})
			warm(l)
			l.proxy.LoseAnswer("evalsha", 1)
			run(l)
			if l.proxy.Lost() != 1 {
				t.Fatalf("%d answers were lost, want 1", l.proxy.Lost())
			}
		})
	}
}

// warm lets the server know all scripts that the cases need, so that the answer
// that is lost is one of a script that ran.
func warm(l *lossy) {
	l.Helper()
	d := digest(l.Name(), 1)
	_, _, err := l.direct.Enqueue(l.Context(), analysis(d, gate.TriggerPush))
	no(l, err)
	job := must(l.direct.Claim(l.Context(), claimFor("w")))(l)
	_, err = l.direct.Heartbeat(l.Context(), job.Lease(), time.Minute, gate.Progress{})
	no(l, err)
	no(l, l.direct.Serve(l.Context(), job.Lease()))
	no(l, storetest.PutInventory(l.Context(), l.direct, job.Epoch, inventory(d, "set")))
	_, err = l.direct.Restore(l.Context(), d, "other", time.Unix(1, 0))
	no(l, err)
	_, err = l.direct.PutTag(l.Context(), gate.TagKey{Location: app, Tag: "warm"}, d, time.Unix(1, 0), "")
	no(l, err)
	_, err = l.direct.Finish(l.Context(), job.Lease(), gate.Result{})
	no(l, err)
	_, err = l.direct.Cancel(l.Context(), job.ID)
	wantErr(l, "cancelling what has ended", err, gate.ErrConflict)
	job, _, err = l.direct.Enqueue(l.Context(), analysis(d, gate.TriggerPush))
	no(l, err)
	_, err = l.direct.Cancel(l.Context(), job.ID)
	no(l, err)
}

// TestClaimUnheard: a claim that went through, and of which the worker heard
// nothing at all, is taken up by its next one. The job neither rests until its
// lease has run out, nor loses an attempt.
func TestClaimUnheard(t *testing.T) {
	l := newLossy(t, redis.Options{})
	warm(l)
	queued, _, err := l.direct.Enqueue(t.Context(), analysis(l.d, gate.TriggerPush))
	no(t, err)
	l.proxy.LoseAnswer("evalsha", 4) // the client tries four times
	_, err = l.broken.Claim(t.Context(), claimFor("w"))
	wantErr(t, "a claim without an answer", err, gate.ErrStoreUnavailable)
	held := l.job(queued.ID)
	if held.State != gate.JobRunning {
		t.Fatalf("got %+v", held)
	}
	_, err = l.broken.Claim(t.Context(), claimFor("another"))
	wantErr(t, "the claim of another worker", err, gate.ErrNoJob)
	job := must(l.broken.Claim(t.Context(), claimFor("w")))(t)
	if job.ID != queued.ID || job.Epoch != held.Epoch || job.Attempts != 0 {
		t.Fatalf("got %+v, held %+v", job, held)
	}
	_, err = l.broken.Claim(t.Context(), claimFor("w"))
	wantErr(t, "the claim after it", err, gate.ErrNoJob)
}

// TestClaimRepeatedLate: a claim whose repetition arrives when others have had
// the job gets another one: the epoch of the present holder stays its own.
func TestClaimRepeatedLate(t *testing.T) {
	c := storetest.NewClock()
	l := newLossy(t, redis.Options{Clock: c.Now})
	enqueue := func(i int) {
		_, _, err := l.direct.Enqueue(t.Context(), analysis(digest(t.Name(), i), gate.TriggerPush))
		no(t, err)
	}
	enqueue(1)
	first := must(l.direct.ClaimAs(t.Context(), claimFor("slow"), "nonce"))(t)
	c.Advance(30 * time.Second)
	second := must(l.direct.Claim(t.Context(), claimFor("fast")))(t)
	if second.ID != first.ID || second.Epoch <= first.Epoch {
		t.Fatalf("got %+v after %+v", second, first)
	}
	for _, state := range []gate.JobState{gate.JobRunning, gate.JobDone} {
		if got := l.job(first.ID).State; got != state {
			t.Fatalf("the job is %q, want %q", got, state)
		}
		late, err := l.direct.ClaimAs(t.Context(), claimFor("slow"), "nonce")
		if !errors.Is(err, gate.ErrNoJob) {
			t.Fatalf("while another's claim is %s the repetition got %+v, %v", state, late, err)
		}
		if state == gate.JobRunning {
			must(l.direct.Finish(t.Context(), second.Lease(), gate.Result{}))(t)
		}
	}
	enqueue(2)
	if late := must(l.direct.ClaimAs(t.Context(), claimFor("slow"), "nonce"))(t); late.Digest != digest(t.Name(), 2) {
		t.Fatalf("got %+v", late)
	}
}

// TestSettingOnce: of replicas that write the same bytes over the same version,
// one does; that is what makes a tick happen once.
func TestSettingOnce(t *testing.T) {
	c := config(t, servers.Plain(t).URL())
	const replicas, ticks = 4, 20
	var stores []*redis.Store
	for range replicas {
		stores = append(stores, open(t, c, redis.Options{}))
	}
	for version := range int64(ticks) {
		results := make(chan error, replicas)
		for _, s := range stores {
			go func() {
				_, err := s.PutSetting(context.Background(), "tick", []byte("due"), version)
				results <- err
			}()
		}
		won := 0
		for range replicas {
			err := <-results
			if err == nil {
				won++
			} else if !errors.Is(err, gate.ErrConflict) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d replicas wrote version %d", won, replicas, version+1)
		}
	}
}
