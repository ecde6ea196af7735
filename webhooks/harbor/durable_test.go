package harbor_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/harbor"
)

// servers is the Redis of this package's tests.
var servers redistest.Shared

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

// endless is a quota whose counts no end of a month divides.
var endless = gate.QuotaConfig{Period: "none", TimeZone: "UTC"}

// stores opens an empty store of each kind.
var stores = map[string]func(testing.TB) store.Store{
	"sqlite": func(t testing.TB) store.Store {
		st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "digestgate.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return st
	},
	"redis": func(t testing.TB) store.Store {
		key := filepath.Join(t.TempDir(), "mac.key")
		if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)), 0o600); err != nil {
			t.Fatal(err)
		}
		c := store.Config{URL: servers.Plain(t).URL(), Prefix: redistest.Prefix(), MACKeyFile: key}
		st, err := redis.Open(t.Context(), c, redis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return st
	},
}

// durable is a receiver over a store, served on loopback, with the limits of a
// configuration.
func durable(t testing.TB, open func(testing.TB) store.Store, limits webhooks.Config) (post func(body string) webhooks.Replayed, st store.Store) {
	t.Helper()
	st = open(t)
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "prod", Host: "harbor.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(endless)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("Bearer hook"), 0o600); err != nil {
		t.Fatal(err)
	}
	limits.Auth, limits.SecretFiles = webhooks.AuthHeader, []string{secret}
	auth, err := webhooks.NewAuthenticator(limits, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhooks.NewHandler([]webhooks.Endpoint{{Name: "prod", Receiver: harbor.Receiver(), Auth: auth}},
		intake.New(registries, quota, st), webhooks.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	client := srv.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	t.Cleanup(func() {
		srv.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(body string) webhooks.Replayed {
		rec := webhooks.Recording{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
		got, err := webhooks.Post(context.Background(), client, srv.URL+"/webhooks/prod", rec, auth)
		if err != nil {
			t.Error(err)
		}
		return got
	}, st
}

func delivery(digest gate.Digest, tag string) string {
	return fmt.Sprintf(`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":%[1]q,"tag":%[2]q,"resource_url":"harbor.example.com/team/app:%[2]s"}],"repository":{"repo_full_name":"team/app"}}}`, digest, tag)
}

// herd sends n deliveries from 64 senders and returns the states and the times
// they took.
func herd(n int, body func(i int) string, post func(string) webhooks.Replayed) (states map[gate.PushState]int, took []time.Duration) {
	states = map[gate.PushState]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range next {
				start := time.Now()
				got := post(body(i))
				d := time.Since(start)
				mu.Lock()
				states[got.Answer.State]++
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	slices.Sort(took)
	return states, took
}

// TestHerd: 10,000 deliveries of one digest are one live resolve job, in every
// store.
func TestHerd(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { stampede(t, open) })
	}
}

func stampede(t *testing.T, open func(testing.TB) store.Store) {
	const n = 10000
	post, st := durable(t, open, webhooks.Config{})
	states, _ := herd(n, func(int) string { return delivery(alpine, "1.0") }, post)
	if states[gate.PushQueued] != 1 || states[gate.PushDuplicate] != n-1 {
		t.Errorf("states: got %v, want 1 queued and %d duplicate", states, n-1)
	}
	var jobs []gate.Job
	var dirty int
	if _, err := st.Scan(t.Context(), func(item store.Item) error {
		if item.Job != nil {
			jobs = append(jobs, *item.Job)
		}
		if item.Tag != nil && item.Tag.Dirty {
			dirty++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 1 || jobs[0].Kind != gate.JobResolve || !jobs[0].State.Live() || jobs[0].Digest != alpine || !slices.Equal(jobs[0].Tags, []string{"1.0"}) {
		t.Errorf("jobs: got %+v, want one live resolve", jobs)
	}
	if dirty != 1 {
		t.Errorf("dirty tags: got %d, want 1", dirty)
	}
	quota, err := gate.NewQuota(endless)
	if err != nil {
		t.Fatal(err)
	}
	use, err := st.Quota(t.Context(), quota.Period(time.Now()).Key)
	if err != nil || use.Used != 0 || use.Avoided != n-1 {
		t.Errorf("quota: got %+v, %v, want nothing used and %d avoided", use, err, n-1)
	}
}

// TestTagsOfOneDigest: the same digest under several tags is one job that
// confirms them all.
func TestTagsOfOneDigest(t *testing.T) {
	post, st := durable(t, stores["sqlite"], webhooks.Config{})
	for i, want := range []gate.PushState{gate.PushQueued, gate.PushDuplicate, gate.PushDuplicate} {
		if got := post(delivery(alpine, fmt.Sprintf("1.%d", i))); got.Answer.State != want {
			t.Errorf("tag %d: got %+v, want %s", i, got, want)
		}
	}
	job, err := st.Claim(t.Context(), gate.ClaimRequest{Worker: "w", Lease: time.Minute, MaxAttempts: 1, Period: gate.Period{Key: "none"}})
	if err != nil || strings.Join(job.Tags, " ") != "1.0 1.1 1.2" {
		t.Errorf("Claim: got %+v, %v, want the three tags", job, err)
	}
}

// BenchmarkDurable measures what senders wait for: acknowledged deliveries of
// distinct digests, and of one, over HTTP on loopback into each store.
func BenchmarkDurable(b *testing.B) {
	for name, body := range map[string]func(i int) string{
		"distinct":  func(i int) string { return delivery(gate.Digest(fmt.Sprintf("sha256:%064x", i)), "1.0") },
		"duplicate": func(int) string { return delivery(alpine, "1.0") },
	} {
		for kind, open := range stores {
			b.Run(name+"/"+kind, func(b *testing.B) {
				post, _ := durable(b, open, webhooks.Config{})
				b.ResetTimer()
				_, took := herd(b.N, body, post)
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			})
		}
	}
}

// TestHarborBurst: a push of 1,500 tags, sent by the ten workers of a Harbor as fast as they
// are answered, is taken whole under the limits that hold without a configuration.
func TestHarborBurst(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			post, st := durable(t, open, webhooks.DefaultConfig())
			const tags, workers = 1500, 10
			var next atomic.Int64
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for i := next.Add(1); i <= tags; i = next.Add(1) {
						d := gate.Digest(fmt.Sprintf("sha256:%064x", i))
						if got := post(delivery(d, fmt.Sprint("v", i))); got.Answer.State != gate.PushQueued {
							t.Errorf("tag %d: got %+v", i, got)
						}
					}
				})
			}
			wg.Wait()
			jobs := 0
			_, err := st.Scan(t.Context(), func(item store.Item) error {
				if item.Job != nil {
					jobs++
				}
				return nil
			})
			if err != nil || jobs != tags {
				t.Errorf("%d jobs for %d tags, %v", jobs, tags, err)
			}
		})
	}
}
