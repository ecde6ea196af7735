package transfer_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
	"github.com/digestgate/digestgate/store/transfer"
)

var servers redistest.Shared

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

func closing(t *testing.T, s store.Store) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func embedded(t *testing.T, c *storetest.Clock) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, s)
	return s
}

func shared(t *testing.T, c *storetest.Clock) (*redis.Store, store.Config) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "mac.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	config := store.Config{URL: servers.Plain(t).URL(), Prefix: redistest.Prefix(), MACKeyFile: key}
	s, err := redis.Open(context.Background(), config, redis.Options{Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, s)
	return s, config
}

// TestBetweenKinds runs the cases of the contract from one kind of store to the
// other.
func TestBetweenKinds(t *testing.T) {
	toSQLite := func(t *testing.T) storetest.Harness {
		c := storetest.NewClock()
		return storetest.Harness{Store: embedded(t, c), Advance: c.Advance}
	}
	toRedis := func(t *testing.T) storetest.Harness {
		c := storetest.NewClock()
		s, _ := shared(t, c)
		return storetest.Harness{Store: s, Advance: c.Advance}
	}
	t.Run("sqlite_to_redis", func(t *testing.T) { storetest.RunCopy(t, toSQLite, toRedis) })
	t.Run("redis_to_sqlite", func(t *testing.T) { storetest.RunCopy(t, toRedis, toSQLite) })
}

func copyOf(from transfer.Source, to transfer.Target) *transfer.Copy {
	return &transfer.Copy{From: from, To: to, Name: "sqlite:///source.db", Log: slog.New(slog.DiscardHandler)}
}

// finished runs a copy that must come to an end without a difference.
func finished(t *testing.T, c *transfer.Copy) transfer.Result {
	t.Helper()
	r, err := c.Run(t.Context())
	if err != nil || len(r.Differences) > 0 {
		t.Fatalf("got %q, %v", r.Differences, err)
	}
	if err := transfer.Refuse(t.Context(), c.To); err != nil {
		t.Errorf("a finished copy is refused: %v", err)
	}
	return r
}

func filled(t *testing.T, c *storetest.Clock) *sqlite.Store {
	s := embedded(t, c)
	storetest.Fill(t, storetest.Harness{Store: s, Advance: c.Advance})
	return s
}

func total(c transfer.Counts) (n int) {
	for _, k := range c {
		n += k
	}
	return n
}

// TestRoundTrip goes from SQLite to Redis, to another prefix, and back.
func TestRoundTrip(t *testing.T) {
	c := storetest.NewClock()
	first, last := filled(t, c), embedded(t, c)
	second, _ := shared(t, c)
	third, _ := shared(t, c)
	var counts []transfer.Counts
	for _, step := range []*transfer.Copy{copyOf(first, second), copyOf(second, third), copyOf(third, last)} {
		r := finished(t, step)
		if diff := cmp.Diff(r.Seen, r.Written) + cmp.Diff(r.Seen, r.Compared); diff != "" {
			t.Errorf("read, written and compared differ:\n%s", diff)
		}
		counts = append(counts, r.Seen)
	}
	if diff := cmp.Diff(counts[0], counts[2]); diff != "" || total(counts[0]) < 70 {
		t.Errorf("counts (-first +last):\n%s\n%v", diff, counts)
	}
	r := finished(t, copyOf(first, &refusing{Target: last})) // compares only
	if total(r.Seen) != 0 || total(r.Compared) != total(counts[0]) {
		t.Errorf("run again: got %+v", r)
	}
}

var errRefused = errors.New("refused")

// refusing is a target that takes only so many pieces.
type refusing struct {
	transfer.Target
	left atomic.Int64
}

func (r *refusing) Import(ctx context.Context, p store.Piece) (bool, error) {
	if r.left.Add(-1) < 0 {
		return false, errRefused
	}
	return r.Target.Import(ctx, p)
}

// TestGoesOn breaks a copy off and runs it again: what is there is not copied
// again, and until it is finished nobody is served.
func TestGoesOn(t *testing.T) {
	c := storetest.NewClock()
	from := filled(t, c)
	to, _ := shared(t, c)
	limited := &refusing{Target: to}
	limited.left.Store(20) // the charges and some of the tags
	broken, err := copyOf(from, limited).Run(t.Context())
	if !errors.Is(err, errRefused) || total(broken.Written) == 0 {
		t.Fatalf("got %+v, %v", broken, err)
	}
	err = transfer.Refuse(t.Context(), to)
	if !errors.Is(err, gate.ErrConflict) || !strings.Contains(err.Error(), "run the same digestgate store copy again") {
		t.Errorf("an unfinished copy is not refused: %v", err)
	}
	other := copyOf(from, to)
	other.Name = "sqlite:///other.db"
	if _, err := other.Run(t.Context()); !errors.Is(err, gate.ErrConflict) {
		t.Errorf("a copy of another source: %v", err)
	}
	rest := finished(t, copyOf(from, to))
	if total(rest.Seen) != total(rest.Compared)-total(broken.Seen) {
		t.Errorf("it began anew: first %v, then %v", broken.Seen, rest.Seen)
	}
}

// TestSourceInUse changes the source under a copy, which must not pass for
// finished, and is when it is run again.
func TestSourceInUse(t *testing.T) {
	c := storetest.NewClock()
	from := filled(t, c)
	to, _ := shared(t, c)
	busy := copyOf(from, to)
	busy.Skip = func(ctx context.Context, p store.Piece) string {
		if err := from.MarkDirty(ctx, gate.TagKey{Location: gate.Location{Registry: "r", Repository: "x"}, Tag: p.Name}); err != nil {
			t.Error(err)
		}
		return ""
	}
	if _, err := busy.Run(t.Context()); !errors.Is(err, gate.ErrConflict) || !strings.Contains(err.Error(), "stop every server") {
		t.Fatalf("got %v", err)
	}
	if err := transfer.Refuse(t.Context(), to); !errors.Is(err, gate.ErrConflict) {
		t.Errorf("got %v", err)
	}
	finished(t, copyOf(from, to))
}

func TestTargetMustBeEmpty(t *testing.T) {
	c := storetest.NewClock()
	from, to := filled(t, c), embedded(t, c)
	if _, err := to.PutSetting(t.Context(), "auth/admin-token", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := copyOf(from, to).Run(t.Context())
	if !errors.Is(err, gate.ErrConflict) || !strings.Contains(err.Error(), `it has settings "auth/admin-token"`) {
		t.Errorf("got %v", err)
	}
	if err := transfer.Refuse(t.Context(), to); err != nil {
		t.Errorf("a store that nothing was copied to is refused: %v", err)
	}
}

// TestDifferencesAreFound damages a finished copy in three ways, and one that
// has not been compared yet.
func TestDifferencesAreFound(t *testing.T) {
	c := storetest.NewClock()
	from := filled(t, c)
	to, config := shared(t, c)
	finished(t, copyOf(from, to))
	client := servers.Plain(t).Client(t)
	for _, pattern := range []string{":{*}:inventory", ":tag:harbor\nlibrary/app\nt-0003"} {
		keys, err := client.Keys(t.Context(), config.Prefix+pattern).Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys of %q: %q, %v", pattern, keys, err)
		}
		if err := client.Del(t.Context(), keys...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := to.PutSetting(t.Context(), "only/here", nil, 0); err != nil {
		t.Fatal(err)
	}
	r, err := copyOf(from, to).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(r.Differences, "\n")
	for _, want := range []string{"settings only/here: only the target has it", "t-0003: it is missing in the target", ": they differ in inventory"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not among\n%s", want, got)
		}
	}
	if len(r.Differences) != 3 {
		t.Errorf("got\n%s", got)
	}
}

// TestClocksApart refuses stores whose times cannot be compared.
func TestClocksApart(t *testing.T) {
	c, late := storetest.NewClock(), storetest.NewClock()
	late.Advance(2 * time.Minute)
	if _, err := copyOf(filled(t, c), embedded(t, late)).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "2m0s apart") {
		t.Errorf("got %v", err)
	}
}
