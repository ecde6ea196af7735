package gate_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestStoreThatIsReadButNotWritten: a Redis that answers and takes no writes
// refuses nothing that can be decided from what is read.
func TestStoreThatIsReadButNotWritten(t *testing.T) {
	config := func(pairs ...any) func(*testing.T, *redistest.Server) {
		return func(t *testing.T, s *redistest.Server) {
			if err := s.Do(append([]any{"config", "set"}, pairs...)...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	do := func(args ...any) func(*testing.T, *redistest.Server) {
		return func(t *testing.T, s *redistest.Server) {
			if err := s.Do(args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range []struct {
		name       string
		words      string
		begin, end func(*testing.T, *redistest.Server)
	}{
		{"oom", "redis is out of memory (maxmemory)", config("maxmemory", "1"), config("maxmemory", "0")},
		{"readonly", "redis is a replica and takes no writes", do("replicaof", "127.0.0.1", "1"), do("replicaof", "no", "one")},
		{"noreplicas", "redis lacks the replicas", config("min-replicas-to-write", "1"), config("min-replicas-to-write", "0")},
		{"misconf", "redis cannot write to its disk", failSave, config("stop-writes-on-bgsave-error", "no")},
		{"no_permission", "redis denies a permission to the user", do("acl", "setuser", "default", "-set"), do("acl", "setuser", "default", "+set")},
	} {
		t.Run(f.name, func(t *testing.T) {
			server := redistest.Plain(t, redistest.Options{Config: []string{"save 3600 1000000"}})
			clk := &clock{now: time.Unix(1_790_000_000, 0).UTC()}
			st, err := openRedis(t, server, clk)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			unwritten(t, newSiteOn(t, month(0), st, clk), f.words,
				func() { f.begin(t, server) }, func() { f.end(t, server) })
		})
	}
}

func openRedis(t *testing.T, server *redistest.Server, clk *clock) (store.Store, error) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "mac.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return redis.Open(t.Context(), store.Config{URL: server.URL(), Prefix: "t", MACKeyFile: key}, redis.Options{Clock: clk.Now})
}

// failSave lets a save of the server fail, after which it takes no writes.
func failSave(t *testing.T, s *redistest.Server) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(s.Dir(), "data")); err != nil {
		t.Fatal(err)
	}
	if err := s.Do("bgsave").Err(); err != nil {
		t.Fatal(err)
	}
	for saved := ""; !strings.Contains(saved, "rdb_last_bgsave_status:err"); {
		var err error
		if saved, err = s.Do("info", "persistence").Text(); err != nil || t.Context().Err() != nil {
			t.Fatal(err, t.Context().Err())
		}
	}
}

// unwritten is the matrix: what is known of a reference before the store stops
// taking writes, and what is decided then.
func unwritten(t *testing.T, s *site, words string, begin, end func()) {
	loc := gate.Location{Registry: hub, Repository: "team/app"}
	good := s.push("team/app", "old", 1)
	bad := s.push("team/app", "bad", 2)
	s.matcher.bad[bad] = gate.SeverityCritical
	index, _ := s.pushIndex("team/app", "multi")
	confirm := func(tags map[string]gate.Digest) {
		for tag, d := range tags {
			if tag != "bad" && tag != "multi" && tag != "old" {
				s.push("team/app", tag, 1)
			}
			s.event("team/app", tag, d)
		}
		s.work()
	}
	confirm(map[string]gate.Digest{"old": good, "moved": good, "bad": bad, "multi": index})
	s.push("team/app", "moved", 2) // nobody says so
	s.clock.Advance(20 * time.Minute)
	confirm(map[string]gate.Digest{"stale": good, "silent": good})
	s.clock.Advance(2 * time.Minute)
	confirm(map[string]gate.Digest{"fresh": good, "dirty": good})
	for _, tag := range []string{"dirty"} {
		if err := s.store.MarkDirty(s.ctx, gate.TagKey{Location: loc, Tag: tag}); err != nil {
			t.Fatal(err)
		}
	}
	s.push("team/app", "unseen", 1) // the tag and where else the digest lies are not known
	s.push("team/other", "unseen", 1)
	members := s.members()
	slices.Reverse(members) // the images of multi, in an index of another digest
	again, err := s.registry.PushIndex("team/app", "again", fake.NewIndex(members...))
	if err != nil {
		t.Fatal(err)
	}
	unknown := s.push("team/app", "unknown", 9)
	s.clock.Advance(time.Second)
	copies := lookup.NewRecordCopy(s.store.Admission(), 5*time.Minute, s.clock.Now, nil, slog.New(slog.DiscardHandler))
	l := s.lookupOn(copies, s.store, lookup.Options{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute, NewDigestsPerHour: 60}, nil)
	begin()
	s.clock.Advance(time.Second)

	for _, c := range []struct {
		name, suffix string
		digest       gate.Digest
		code         gate.Code // "": allowed
		told         bool      // of what failed
		silent       bool      // the registry does not answer
	}{
		{name: "digest", suffix: "@" + string(good), digest: good},
		{name: "digest at another location", suffix: "other@" + string(good), digest: good},
		{name: "digest that is refused", suffix: "@" + string(bad), digest: bad, code: gate.CodePolicy},
		{name: "digest that nobody scanned", suffix: "@" + string(unknown), digest: unknown, code: gate.CodeStoreUnavailable, told: true},
		{name: "index by digest", suffix: "@" + string(index), digest: index},
		{name: "fresh tag", suffix: ":fresh", digest: good},
		{name: "tag within the grace", suffix: ":stale", digest: good, told: true},
		{name: "the same again", suffix: ":stale", digest: good, told: true},
		{name: "tag beyond the grace", suffix: ":old", digest: good, told: true},
		{name: "tag that moved", suffix: ":moved", digest: bad, code: gate.CodePolicy, told: true},
		{name: "tag that was never read", suffix: ":unseen", digest: good, told: true},
		{name: "the same at another location", suffix: "other:unseen", digest: good, told: true},
		{name: "new index of known images", suffix: ":again", digest: again, told: true},
		{name: "tag of an image that nobody scanned", suffix: ":unknown", digest: unknown, code: gate.CodeStoreUnavailable, told: true},
		{name: "tag that does not exist", suffix: ":none", code: gate.CodeUnscanned},
		{name: "dirty tag", suffix: ":dirty", code: gate.CodeStoreUnavailable, told: true},
		{name: "silent registry within the grace", suffix: ":silent", digest: good, silent: true},
		{name: "silent registry after a reading of ours", suffix: ":unseen", digest: good, silent: true, told: true},
		{name: "silent registry and nothing to go by", suffix: ":multi", code: gate.CodeTimeout, silent: true},
		{name: "silent registry and a dirty tag", suffix: ":dirty", code: gate.CodeTimeout, silent: true},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			image := s.at("team/app", c.suffix)
			if other, ok := strings.CutPrefix(c.suffix, "other"); ok {
				image = s.at("team/other", other)
			}
			source := s.Source
			defer func() { s.Source = source }()
			if c.silent {
				s.Source = downSource{source}
			}
			a := s.ask(l, image)
			if a.Code != c.code || a.Permits() != (c.code == "") || a.Digest != c.digest {
				t.Fatalf("got %+v, want code %q and digest %q", a, c.code, c.digest)
			}
			said := english(a) + strings.Join(a.Warnings, " ")
			if strings.Contains(said, words) != c.told {
				t.Errorf("got text %q and warnings %q, want %q in them: %t", english(a), a.Warnings, words, c.told)
			}
		})
	}
	calls := len(s.registry.Requests())
	if a := s.ask(l, s.at("team/app", ":stale")); !a.Permits() || len(s.registry.Requests()) != calls {
		t.Errorf("read less than tags.maxAge ago: got %+v, want it allowed without a call", a)
	}

	end()
	s.clock.Advance(2 * time.Minute)
	for _, tag := range []string{":stale", ":old", ":unseen"} {
		if a := s.ask(l, s.at("team/app", tag)); !a.Permits() || len(a.Warnings) != 0 {
			t.Errorf("%s once the store takes writes again: got %+v, want it allowed without a warning", tag, a)
		}
	}
}

// downSource is a registry that does not answer about tags.
type downSource struct{ gate.Source }

func (downSource) Head(context.Context, gate.Location, string) (gate.Digest, error) {
	return "", gate.ErrRegistryUnavailable
}

// hangingWrites is a store whose writes do not end before their context, as those
// to a disk that stalls.
type hangingWrites struct {
	store.Store
	hung atomic.Int64
}

func (h *hangingWrites) hang(ctx context.Context) error {
	h.hung.Add(1)
	<-ctx.Done()
	return errors.Join(gate.ErrTimeout, ctx.Err())
}

func (h *hangingWrites) PutTag(ctx context.Context, _ gate.TagKey, _ gate.Digest, _ time.Time, host string) (gate.TagMapping, error) {
	return gate.TagMapping{}, h.hang(ctx)
}

func (h *hangingWrites) Enqueue(ctx context.Context, _ gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	return gate.Job{}, "", h.hang(ctx)
}

func (h *hangingWrites) Spend(ctx context.Context, _ string, _ int, _ time.Duration) (bool, error) {
	return false, h.hang(ctx)
}

// TestWritesThatHang cost a review the time of one, not of all that it would make:
// those of an index add up.
func TestWritesThatHang(t *testing.T) {
	s := newSite(t, month(0))
	index, _ := s.pushIndex("team/app", "v1")
	s.event("team/app", "v1", index)
	s.work()
	s.pushIndex("team/other", "v1") // where neither the index nor its images were seen
	h := &hangingWrites{Store: s.store}
	s.Scheduler = h
	s.keepIn(h)
	l := s.lookupOn(h, h, lookup.Options{TagMaxAge: time.Minute, NewDigestsPerHour: 60}, nil)
	a := s.ask(l, s.at("team/other", ":v1"))
	if !a.Permits() || a.Digest != index || len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "the store did not take the write in time") {
		t.Errorf("got %+v, want it allowed with a warning", a)
	}
	if n := h.hung.Load(); n != 1 {
		t.Errorf("%d writes were waited for, want 1", n)
	}
}

// TestUrgencyThatCannotBeWritten: an image whose scan is queued stays PENDING, so
// that admission.wait still waits for it.
func TestUrgencyThatCannotBeWritten(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	if _, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{
		Kind: gate.JobResolve, Location: gate.Location{Registry: hub, Repository: "team/app"}, Digest: d, Trigger: gate.TriggerPush,
	}); err != nil {
		t.Fatal(err)
	}
	job, err := s.store.Claim(s.ctx, s.claim())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Handlers()[job.Kind](s.ctx, gate.NewRun(job)); err != nil {
		t.Fatal(err)
	}
	s.Scheduler = &hangingWrites{Store: s.store}
	if a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", "@"+string(d))); a.Code != gate.CodePending {
		t.Errorf("got %+v, want PENDING", a)
	}
}
