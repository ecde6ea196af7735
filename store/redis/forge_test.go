package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// What honest processes store in these tests, and the same of something else,
// from which values are copied.
var (
	honest = things{digest: digestOf("d"), tag: gate.TagKey{Location: place, Tag: "1.0"}, setting: "auth/admin-token"}
	other  = things{digest: digestOf("e"), tag: gate.TagKey{Location: place, Tag: "2.0"}, setting: "advisories/current"}
	place  = gate.Location{Registry: "hub", Repository: "team/app"}
)

type things struct {
	digest  gate.Digest
	tag     gate.TagKey
	setting string
}

func digestOf(c string) gate.Digest { return gate.Digest("sha256:" + strings.Repeat(c, 64)) }

// spot is where a value lies; field is "" for a string.
type spot struct{ key, field string }

// spots are the places of signed values, and of the large ones that a signed
// record names, by the words that log and metrics have for them.
func (x things) spots(prefix string) map[string]spot {
	of := func(what string) string { return prefix + ":{" + string(x.digest) + "}:" + what }
	return map[string]spot{
		"record": {key: of("record")}, "location": {of("locations"), "hub\nteam/app"},
		"inventory": {key: of("inventory")}, "findings": {key: of("findings")},
		"tag": {key: prefix + ":tag:" + store.TagName(x.tag)}, "setting": {key: prefix + ":setting:" + x.setting},
	}
}

// attacker can do everything to a Redis, and has no key of store.macKeyFile.
type attacker struct {
	t   *testing.T
	raw *goredis.Client
}

func (a attacker) get(s spot) string {
	a.t.Helper()
	value, err := a.raw.Get(a.t.Context(), s.key).Result()
	if s.field != "" {
		value, err = a.raw.HGet(a.t.Context(), s.key, s.field).Result()
	}
	if err != nil {
		a.t.Fatalf("reading %+v: %v", s, err)
	}
	return value
}

func (a attacker) set(s spot, value string) {
	a.t.Helper()
	err := a.raw.Set(a.t.Context(), s.key, value, 0).Err()
	if s.field != "" {
		a.no(a.raw.Del(a.t.Context(), s.key).Err())
		err = a.raw.HSet(a.t.Context(), s.key, s.field, value).Err()
	}
	a.no(err)
}

func (a attacker) no(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// fill stores one of everything, as honest processes do; with each round the
// values are later ones.
func (x things) fill(t testing.TB, s store.Store, round int) {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	epoch := int64(round)
	must(s.PutManifest(ctx, gate.Manifest{Digest: x.digest, Kind: gate.KindImage, Size: epoch}))
	must(storetest.PutInventory(ctx, s, epoch, &gate.Inventory{Format: 1, Digest: x.digest, AnalyzerSet: fmt.Sprint("set-", round)}))
	must(s.MarkGone(ctx, x.digest, place))
	_, err := s.AddLocation(ctx, x.digest, place)
	must(err)
	res, err := s.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{x.digest}})
	must(err)
	must(storetest.PutFindings(ctx, s, &gate.Findings{Digest: x.digest, Generation: epoch, InventoryID: res.Digests[x.digest].Record.InventoryID}))
	verdict := gate.Decision{Outcome: gate.OutcomeDeny, PolicyRevision: fmt.Sprint(round)}
	must(storetest.PutVerdicts(ctx, s, x.digest, []gate.Verdict{{Location: place, Decision: verdict}}))
	must(s.MarkDirty(ctx, x.tag))
	now, err := s.Now(ctx)
	must(err)
	_, err = s.PutTag(ctx, x.tag, digestOf(fmt.Sprint(round%10)), now, "")
	must(err)
	_, version, err := s.Setting(ctx, x.setting)
	if !errors.Is(err, gate.ErrNotFound) {
		must(err)
	}
	_, err = s.PutSetting(ctx, x.setting, []byte(fmt.Sprint("value ", round)), version)
	must(err)
}

// there says which things a store believes.
func (x things) there(t testing.TB, s store.Store) map[string]bool {
	t.Helper()
	ctx := context.Background()
	res, err := s.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{x.digest}, Tags: []gate.TagKey{x.tag}})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	r := res.Digests[x.digest].Record
	out := map[string]bool{"record": r.Known(), "location": len(r.Locations) > 0}
	_, out["tag"] = res.Tags[x.tag]
	found := func(thing string, err error) {
		t.Helper()
		if err != nil && !errors.Is(err, gate.ErrNotFound) {
			t.Errorf("reading the %s: got %v, want ErrNotFound", thing, err)
		}
		out[thing] = err == nil
	}
	_, err = s.Inventory(ctx, x.digest)
	found("inventory", err)
	_, err = s.Findings(ctx, x.digest)
	found("findings", err)
	_, _, err = s.Setting(ctx, x.setting)
	found("setting", err)
	return out
}

// watched is a process whose log and metrics are looked at.
type watched struct {
	*redis.Store
	log     *lines
	metrics *prometheus.Registry
}

// lines are what a store logs, in the background too.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) Len() int { return len(l.String()) }

func watch(t testing.TB, c store.Config) watched {
	t.Helper()
	w := watched{log: new(lines), metrics: prometheus.NewRegistry()}
	w.Store = open(t, c, redis.Options{Logger: slog.New(slog.NewTextHandler(w.log, nil)), Metrics: redis.NewMetrics(w.metrics)})
	return w
}

// rejected is the metric's value of one thing and reason.
func (w watched) rejected(t testing.TB, thing, reason string) (n float64) {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "digestgate_store_rejected_values_total" && labels["thing"] == thing && labels["reason"] == reason {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// TestForgery changes values as somebody does who can write to Redis and has no
// key: each reads as absent, is told to the operator and counted, and the next
// honest write mends it.
func TestForgery(t *testing.T) {
	server := servers.Plain(t)
	c := config(t, server.URL())
	// Another installation on the same Redis with the same keys, one with other
	// keys and the same prefix of which something was kept.
	neighbour, stranger := c, c
	neighbour.Prefix = redistest.Prefix()
	stranger.MACKeyFile = keyFile(t, strings.Repeat("x", 64))

	signed := []string{"record", "location", "tag", "setting"}
	named := []string{"inventory", "findings"}
	all := append(append([]string{}, signed...), named...)
	flip := func(i int) func(string) string {
		return func(v string) string {
			b := []byte(v)
			b[(i+len(b))%len(b)] ^= 1
			return string(b)
		}
	}
	cases := []struct {
		name   string
		things []string
		reason string
		value  func(now string) string // of the value that is there
	}{
		{"plain_json", signed, "forged", func(v string) string { return v[strings.Index(v, "{"):] }},
		{"no_mac", signed, "forged", func(v string) string { return "1.." + v[strings.Index(v, "{"):] }},
		{"another_format", signed, "forged", func(v string) string { return "2" + v[1:] }},
		{"bit_of_mac", signed, "forged", flip(5)},
		{"bit_of_payload", signed, "forged", flip(-1)},
		{"bit_of_stamp", signed, "forged", func(v string) string { return strings.Replace(v, `"t":`, `"t":9`, 1) }},
		{"truncated", signed, "forged", func(v string) string { return v[:len(v)-3] }},
		{"cut_in_the_mac", signed, "forged", func(v string) string { return v[:9] }},
		{"more_behind", signed, "forged", func(v string) string { return v + " " }},
		{"enormous", signed, "forged", func(v string) string { return v + strings.Repeat(" ", 4<<20) }},
		{"bit_flipped", named, "damaged", flip(12)},
		{"cut", named, "damaged", func(v string) string { return v[:len(v)-4] }},
		{"no_zstd", named, "damaged", func(string) string { return `{"vulnerabilities":[]}` }},
		{"too_large", named, "damaged", func(v string) string { return v + strings.Repeat("x", 64<<20) }},
	}
	for _, thing := range all {
		t.Run(thing, func(t *testing.T) {
			t.Parallel()
			c, neighbour, stranger := c, neighbour, stranger
			c.Prefix, neighbour.Prefix = c.Prefix+thing, neighbour.Prefix+thing
			stranger.Prefix = c.Prefix
			at, from := honest.spots(c.Prefix)[thing], other.spots(c.Prefix)[thing]
			writer := open(t, c, redis.Options{})
			defer func() { _ = writer.Remove(context.Background()) }()
			evil := attacker{t, server.Client(t)}
			round := 0
			write := func() { round++; honest.fill(t, writer, round); other.fill(t, writer, round) }

			// check looks at what a new process makes of the thing as it lies
			// there now.
			check := func(t *testing.T, reason string) {
				t.Helper()
				reader := watch(t, c)
				if honest.there(t, reader)[thing] {
					t.Errorf("the %s is believed", thing)
				}
				if n := reader.rejected(t, thing, reason); n == 0 && reason != "" {
					t.Errorf("it is not counted as %s: %s", reason, reader.log)
				}
				if line := "level=ERROR"; reason != "" && (!strings.Contains(reader.log.String(), line) || !strings.Contains(reader.log.String(), "thing="+thing)) {
					t.Errorf("the operator is not told: %s", reader.log)
				}
				if reason == "forged" && !strings.Contains(reader.log.String(), "stored value is not believed") {
					t.Errorf("the log does not raise the alarm: %s", reader.log)
				}
				if _, err := reader.Scan(t.Context(), func(store.Item) error { return nil }); err != nil {
					t.Errorf("Scan: %v", err)
				}
				write()
				if later := watch(t, c); !honest.there(t, later)[thing] || later.log.Len() == 0 || strings.Contains(later.log.String(), "ERROR") {
					t.Errorf("the next write has not mended it: %s", later.log)
				}
			}
			for _, k := range cases {
				for _, of := range k.things {
					if of != thing {
						continue
					}
					t.Run(k.name, func(t *testing.T) {
						write()
						evil.set(at, k.value(evil.get(at)))
						check(t, k.reason)
					})
				}
			}
			copied := map[string]string{"record": "forged", "location": "forged", "tag": "forged", "setting": "forged",
				"inventory": "damaged", "findings": "damaged"}[thing]
			t.Run("of_something_else", func(t *testing.T) {
				write()
				evil.set(at, evil.get(from))
				check(t, copied)
			})
			t.Run("of_another_kind", func(t *testing.T) {
				for _, kind := range all {
					if kind != thing {
						write()
						evil.set(at, evil.get(honest.spots(c.Prefix)[kind]))
						check(t, copied)
					}
				}
			})
			if copied == "forged" {
				t.Run("of_another_installation", func(t *testing.T) {
					s := open(t, neighbour, redis.Options{})
					honest.fill(t, s, 1)
					value := evil.get(honest.spots(neighbour.Prefix)[thing])
					_ = s.Remove(t.Context())
					write()
					evil.set(at, value)
					check(t, "forged")
				})
				t.Run("signed_with_another_key", func(t *testing.T) {
					honest.fill(t, open(t, stranger, redis.Options{}), 1)
					value := evil.get(at)
					write()
					evil.set(at, value)
					check(t, "forged")
				})
			}
			// Only who has seen later values can tell; what a process that has
			// just started makes of an old one is gate's to bound.
			t.Run("put_back", func(t *testing.T) {
				write()
				old := evil.get(at)
				write()
				running := watch(t, c)
				if !honest.there(t, running)[thing] {
					t.Fatalf("the %s is not believed: %s", thing, running.log)
				}
				evil.set(at, old)
				reason := strings.Replace(copied, "forged", "replayed", 1)
				if honest.there(t, running)[thing] || running.rejected(t, thing, reason) == 0 || !strings.Contains(running.log.String(), "thing="+thing) {
					t.Errorf("the %s that was put back is believed, or nobody is told: %s", thing, running.log)
				}
				write()
				before := running.log.Len()
				if !honest.there(t, running)[thing] || running.log.Len() > before {
					t.Errorf("the next write has not mended it: %s", running.log.String()[before:])
				}
			})
			t.Run("deleted", func(t *testing.T) {
				write()
				evil.no(evil.raw.Del(t.Context(), at.key).Err())
				check(t, map[string]string{"inventory": "damaged", "findings": "damaged"}[thing])
			})
			t.Run("empty", func(t *testing.T) {
				write()
				evil.set(at, "")
				check(t, map[string]string{"inventory": "damaged", "findings": "damaged"}[thing])
			})
			t.Run("of_another_type", func(t *testing.T) {
				write()
				evil.no(evil.raw.Del(t.Context(), at.key).Err())
				evil.no(evil.raw.RPush(t.Context(), at.key, "x").Err())
				check(t, copied)
			})
		})
	}
}

// TestForgedLocations: a hash that somebody has blown up is not carried to
// readers.
func TestForgedLocations(t *testing.T) {
	server := servers.Plain(t)
	c := config(t, server.URL())
	writer := open(t, c, redis.Options{})
	defer func() { _ = writer.Remove(context.Background()) }()
	honest.fill(t, writer, 1)
	key := honest.spots(c.Prefix)["location"].key
	evil := attacker{t, server.Client(t)}
	for i := range 20 {
		evil.no(evil.raw.HSet(t.Context(), key, fmt.Sprint(i), strings.Repeat("x", 1<<20)).Err())
	}
	s := watch(t, c)
	if there := honest.there(t, s); !there["record"] || there["location"] || s.rejected(t, "location", "forged") != 1 {
		t.Fatalf("got %v and %g rejected", there, s.rejected(t, "location", "forged"))
	}
}

// TestNoFalseAlarm reads in one process while it writes: a read that is overtaken
// by a later one sees an older value, which nobody has put back.
func TestNoFalseAlarm(t *testing.T) {
	s := watch(t, config(t, servers.Plain(t).URL()))
	defer func() { _ = s.Remove(context.Background()) }()
	honest.fill(t, s, 1)
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range 8 {
		reading.Go(func() {
			for ctx.Err() == nil {
				res, err := s.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{honest.digest}, Tags: []gate.TagKey{honest.tag}})
				if err == nil && !res.Digests[honest.digest].Record.Known() {
					t.Error("the record reads as absent")
					return
				}
			}
		})
	}
	for round := range 40 {
		honest.fill(t, s, 2+round)
	}
	stop()
	reading.Wait()
	if strings.Contains(s.log.String(), "ERROR") {
		t.Errorf("somebody was alarmed: %.2000s", s.log)
	}
}
