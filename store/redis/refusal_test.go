package redis_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// calls are one of each kind that the store answers; those that write must never
// take a refusal for an answer.
var calls = []struct {
	name   string
	writes bool
	run    func(ctx context.Context, s *redis.Store, d gate.Digest) error
}{
	{"enqueue", true, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		_, _, err := s.Enqueue(ctx, analysis(d, gate.TriggerPush))
		return err
	}},
	{"claim", true, func(ctx context.Context, s *redis.Store, _ gate.Digest) error {
		return second(s.Claim(ctx, claimFor("w")))
	}},
	{"restore", true, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		return second(s.Restore(ctx, d, "p", time.Unix(1, 0)))
	}},
	{"spend", true, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		return second(s.Spend(ctx, string(d), 9, time.Hour))
	}},
	{"avoid", true, func(ctx context.Context, s *redis.Store, _ gate.Digest) error { return s.Avoid(ctx, "p", 1) }},
	{"fence", true, func(ctx context.Context, s *redis.Store, d gate.Digest) error { return s.Fence(ctx, d, 1<<51) }},
	{"put_inventory", true, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		return storetest.PutInventory(ctx, s, 1<<51, inventory(d, "other"))
	}},
	{"put_tag", true, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		return second(s.PutTag(ctx, gate.TagKey{Location: app, Tag: "v1"}, d, time.Now(), ""))
	}},
	{"put_setting", true, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		return second(s.PutSetting(ctx, string(d), nil, 0))
	}},
	{"check", true, func(ctx context.Context, s *redis.Store, _ gate.Digest) error { return s.Check(ctx) }},
	{"read", false, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		res, err := s.Admission().Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}})
		if err == nil && res.Digests[d].Record.InventoryID == "" {
			return errors.New("a record that is there reads as absent")
		}
		return err
	}},
	{"inventory", false, func(ctx context.Context, s *redis.Store, d gate.Digest) error { return second(s.Inventory(ctx, d)) }},
	{"setting", false, func(ctx context.Context, s *redis.Store, _ gate.Digest) error {
		_, _, err := s.Setting(ctx, "kept")
		return err
	}},
	{"charges_of", false, func(ctx context.Context, s *redis.Store, d gate.Digest) error {
		return second(s.ChargesOf(ctx, []gate.Digest{d}))
	}},
	{"charged", false, func(ctx context.Context, s *redis.Store, d gate.Digest) error { return second(s.Charged(ctx, d)) }},
	{"changes", false, func(ctx context.Context, s *redis.Store, _ gate.Digest) error {
		_, _, err := s.Changes(ctx, 0, 10)
		return err
	}},
}

// filled writes what the calls that read look for, and a job to claim.
func filled(t *testing.T, s *redis.Store, d gate.Digest) {
	t.Helper()
	no(t, storetest.PutInventory(t.Context(), s, 1, inventory(d, "set")))
	must(s.PutSetting(t.Context(), "kept", []byte("x"), 0))(t)
	_, _, err := s.Enqueue(t.Context(), analysis(digest(t.Name(), 99), gate.TriggerPush))
	no(t, err)
}

// refuses runs all calls: those that write must say that the store is unavailable,
// those that read too, unless they are answered as always.
func refuses(t *testing.T, s *redis.Store, d gate.Digest, reads bool, words string) {
	t.Helper()
	for _, c := range calls {
		err := c.run(t.Context(), s, d)
		switch {
		case err == nil && reads && !c.writes:
		case !errors.Is(err, gate.ErrStoreUnavailable):
			t.Errorf("%s: got %v, want %q", c.name, err, gate.ErrStoreUnavailable)
		case reads && !c.writes:
			t.Errorf("%s: got %v, want the answer as always", c.name, err)
		case !strings.Contains(err.Error(), words):
			t.Errorf("%s: got %q, which lacks %q", c.name, err, words)
		}
	}
}

// TestRefusals: what a server says instead of doing something is never an answer.
func TestRefusals(t *testing.T) {
	for _, r := range []struct {
		name  string
		words string
		reads bool // go on
		cause [][]any
		also  error
	}{
		{"a_replica", "READONLY", true, [][]any{{"replicaof", "127.0.0.1", "1"}}, nil},
		{"a_replica_without_a_master", "", false, [][]any{{"config", "set", "replica-serve-stale-data", "no"}, {"replicaof", "127.0.0.1", "1"}}, nil},
		{"no_replica_that_is_asked_for", "NOREPLICAS", true, [][]any{{"config", "set", "min-replicas-to-write", "1"}}, nil},
		{"out_of_memory", "out of memory", true, [][]any{{"config", "set", "maxmemory", "1"}}, gate.ErrResource},
		{"no_password_given", "refuses the credentials", false, [][]any{{"config", "set", "requirepass", "secret"}, {"client", "kill", "type", "normal", "skipme", "yes"}}, nil},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Plain(t, redistest.Options{})
			s := open(t, config(t, server.URL()), redis.Options{})
			d := digest(t.Name(), 1)
			filled(t, s, d)
			admin := server.Client(t)
			for _, command := range r.cause {
				no(t, admin.Do(t.Context(), command...).Err())
			}
			refuses(t, s, d, r.reads, r.words)
			if err := s.Check(t.Context()); r.also != nil && !errors.Is(err, r.also) {
				t.Errorf("got %v, want %q", err, r.also)
			}
		})
	}
}

// TestRefusalOfTheDisk: a server that could not save takes no writes.
func TestRefusalOfTheDisk(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{Config: []string{"save 3600 1000000"}})
	s := open(t, config(t, server.URL()), redis.Options{})
	d := digest(t.Name(), 1)
	filled(t, s, d)
	no(t, os.RemoveAll(filepath.Join(server.Dir(), "data")))
	no(t, server.Do("bgsave").Err())
	for saved := ""; !strings.Contains(saved, "rdb_last_bgsave_status:err"); {
		no(t, t.Context().Err())
		saved = must(server.Do("info", "persistence").Text())(t)
	}
	refuses(t, s, d, true, "cannot write to its disk")
	wantErr(t, "a check", s.Check(t.Context()), gate.ErrResource)
}

// TestClusterDown: a cluster that lacks a master without a replica answers nobody.
func TestClusterDown(t *testing.T) {
	t.Parallel() // it waits for the cluster to notice, and for calls to give up
	servers := redistest.Cluster(t, redistest.Options{})
	s := open(t, config(t, servers.URL()), redis.Options{})
	d := digest(t.Name(), 1)
	filled(t, s, d)
	_, err := servers.Kill(0)
	no(t, err)
	other := must(servers.Master(1))(t)
	for state := ""; !strings.Contains(state, "cluster_state:fail"); {
		no(t, t.Context().Err())
		state = must(other.Do("cluster", "info").Text())(t)
	}
	t.Run("calls", func(t *testing.T) {
		for _, c := range calls {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				if err := c.run(ctx, s, d); !errors.Is(err, gate.ErrStoreUnavailable) && !errors.Is(err, gate.ErrTimeout) {
					t.Errorf("got %v", err)
				}
			})
		}
	})
}

// TestBlackHole: a server that takes connections and never answers holds no call
// beyond its context, and no Close.
func TestBlackHole(t *testing.T) {
	server := servers.Plain(t)
	proxy := redistest.Proxy(t, server.Addr())
	c := config(t, "redis://"+proxy.Addr()+"/0")
	s := must(redis.Open(t.Context(), c, redis.Options{}))(t)
	d := digest(t.Name(), 1)
	filled(t, s, d)
	proxy.Blackhole()
	// Far above the deadline, for a machine that is busy with other tests: what hangs never
	// ends.
	const deadline, late = 200 * time.Millisecond, 15 * time.Second
	for _, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		began := time.Now()
		err := call.run(ctx, s, d)
		cancel()
		if took := time.Since(began); took > late {
			t.Errorf("%s took %s", call.name, took)
		}
		wantErr(t, call.name, err, gate.ErrTimeout)
	}
	began := time.Now()
	no(t, s.Close())
	if took := time.Since(began); took > late {
		t.Errorf("Close took %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	began = time.Now()
	_, err := redis.Open(ctx, c, redis.Options{})
	if took := time.Since(began); err == nil || took > late {
		t.Errorf("Open took %s: %v", took, err)
	}
}

// TestOpenRefused: what is wrong with the connection is said at the start, in
// words, without the password.
func TestOpenRefused(t *testing.T) {
	const password = "hunter2-hunter2"
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "file")
		no(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	server := redistest.Plain(t, redistest.Options{TLS: true, Password: password, Config: []string{"bind 127.0.0.1 127.0.0.2"}})
	stranger := redistest.Plain(t, redistest.Options{TLS: true})
	host, port, _ := strings.Cut(server.Addr(), ":")
	for name, c := range map[string]struct {
		url, ca, password, words string
	}{
		"right":            {server.URL(), server.CAFile(), password, ""},
		"wrong_password":   {server.URL(), server.CAFile(), password + "x", "refuses the credentials"},
		"without_password": {server.URL(), server.CAFile(), "", "refuses the credentials"},
		"wrong_authority":  {server.URL(), stranger.CAFile(), password, "unknown authority"},
		"wrong_name":       {"rediss://127.0.0.2:" + port + "/0", server.CAFile(), password, "not 127.0.0.2"},
		"without_tls":      {"redis://" + host + ":" + port + "/0", "", password, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conf := store.Config{URL: c.url, CAFile: c.ca, Prefix: redistest.Prefix(), MACKeyFile: keyFile(t, strings.Repeat("k", 64))}
			if c.password != "" {
				conf.PasswordFile = file(c.password + "\n")
			}
			s, err := redis.Open(ctx, conf, redis.Options{})
			if name == "right" {
				no(t, err)
				no(t, s.Close())
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), password) {
				t.Fatalf("got %v, want words like %q and no password", err, c.words)
			}
			if !errors.Is(err, gate.ErrStoreUnavailable) && !errors.Is(err, gate.ErrTimeout) {
				t.Fatalf("got %v, of no class", err)
			}
		})
	}
}

// TestRefusalOfABusyServer: a server that loads its data, or that runs somebody's
// script without end, answers nobody; afterwards everything is there.
func TestRefusalOfABusyServer(t *testing.T) {
	for _, r := range []struct {
		name, words string
		begin       []any // does not return while it lasts
		end         []any
	}{
		{"a_script_without_end", "BUSY", []any{"eval", "while true do end", 0}, []any{"script", "kill"}},
		{"loading", "LOADING", []any{"debug", "reload"}, []any{"config", "set", "key-load-delay", 0}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Plain(t, redistest.Options{Config: []string{"lua-time-limit 1", "loading-process-events-interval-bytes 1024"}})
			s := open(t, config(t, server.URL()), redis.Options{})
			d := digest(t.Name(), 1)
			filled(t, s, d)
			for i := range 500 { // at 50 ms each: longer than all calls with their second
				must(s.PutSetting(t.Context(), digest("filler", i).Short(), []byte(strings.Repeat("x", 4096)), 0))(t)
			}
			no(t, server.Do("config", "set", "key-load-delay", 50_000).Err())
			done := make(chan struct{})
			go func() { defer close(done); _ = server.Do(r.begin...).Err() }() // it may give up before the server does
			busy := func() string {
				if err := server.Do("get", "x").Err(); err != nil {
					return err.Error()
				}
				return ""
			}
			for !strings.HasPrefix(busy(), r.words) {
				no(t, t.Context().Err())
			}
			for _, c := range calls {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				err := c.run(ctx, s, d)
				cancel()
				if !errors.Is(err, gate.ErrStoreUnavailable) && !errors.Is(err, gate.ErrTimeout) {
					t.Errorf("%s: got %v", c.name, err)
				}
			}
			if !strings.HasPrefix(busy(), r.words) {
				t.Fatal("it did not last; the calls have shown nothing")
			}
			no(t, server.Do(r.end...).Err())
			<-done
			for busy() != "" && !strings.Contains(busy(), "nil") {
				no(t, t.Context().Err())
			}
			for _, c := range calls {
				if err := c.run(t.Context(), s, d); err != nil && !errors.Is(err, gate.ErrNoJob) {
					t.Errorf("%s afterwards: %v", c.name, err)
				}
			}
		})
	}
}
