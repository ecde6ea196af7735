package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// scriptedMatcher finds something critical in what bad names.
type scriptedMatcher struct {
	number int64
	bad    map[gate.Digest]bool
}

func (m *scriptedMatcher) Version() string { return "scripted" }

func (m *scriptedMatcher) Generation() (gate.Generation, bool) {
	// The same content means the same findings, as with real data: decisions
	// rest on it.
	content := gate.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, m.bad))))
	return gate.Generation{Number: m.number, Content: content, UpdatedAt: time.Now()}, true
}

func (m *scriptedMatcher) Match(_ context.Context, inv *gate.Inventory) (*gate.Findings, error) {
	g, _ := m.Generation()
	f := &gate.Findings{Digest: inv.Digest, Generation: g.Number, Advisories: g.Content, UpdatedAt: g.UpdatedAt, Matcher: m.Version()}
	if m.bad[inv.Digest] {
		f.Vulnerabilities = []gate.Vulnerability{{ID: "CVE-2026-1", Package: "curl", InstalledVersion: "1", FixedVersion: "2", Severity: gate.SeverityCritical, CVSS: 9.8}}
	}
	return f, nil
}

// replica is a process as far as decisions go.
type replica struct {
	*standing.Standing
	store  *redis.Store
	lookup *lookup.Lookup
}

func startReplica(t *rapid.T, c store.Config, matcher standing.Matcher, engine standing.Evaluator) replica {
	s, err := redis.Open(context.Background(), c, redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "hub", Type: "harbor", Host: "hub.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(gate.DefaultQuota())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	standing := &standing.Standing{Records: s, Matcher: matcher, Evaluator: engine, Registries: registries, Now: time.Now, Log: log}
	p := &pipeline.Pipeline{Records: s, Scheduler: s, Verdicts: standing, Registries: registries, Quota: quota, Now: time.Now, Log: log}
	return replica{standing, s, lookup.New(lookup.Parts{
		Reader: s.Admission(), Standing: standing, Resolver: p, Explain: &explain.Explainer{Registries: registries, Quota: quota, Now: time.Now},
		Queue: s, Tags: s, Budget: s, Changed: s.Changed, Registries: registries, Now: time.Now, Log: log,
	}, lookup.Options{}, nil)}
}

// scan stores an inventory and matches it, as a worker does.
func (r replica) scan(t *rapid.T, d gate.Digest, epoch int64) {
	risks := map[gate.Risk]gate.RiskStatus{}
	for _, risk := range gate.Risks() {
		risks[risk] = gate.RiskStatus{Coverage: gate.Complete}
	}
	err := errors.Join(
		r.store.PutManifest(context.Background(), gate.Manifest{Digest: d, Kind: gate.KindImage}),
		storetest.PutInventory(context.Background(), r.store, epoch, &gate.Inventory{
			Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set", AnalyzedAt: time.Now(), PackageDatabase: true, Risks: risks,
			OS: gate.OS{Family: "debian", Name: "12.1"}, Config: gate.ImageConfig{User: "65532"}, Isolation: gate.Isolation{Level: "strict"},
		}),
		r.rematch(d, gate.EventPush),
	)
	if err != nil {
		t.Logf("scanning: %v", err) // an attacker may keep it from working
	}
}

// rematch matches what is stored.
func (r replica) rematch(d gate.Digest, event gate.Event) error {
	entry, err := gate.ReadEntry(context.Background(), r.store, d)
	if err != nil {
		return err
	}
	return r.Match(context.Background(), gate.Known{Entry: entry}, gate.Occasion{Event: event})
}

// permits asks whether an image may run.
func (r replica) permits(t *rapid.T, d gate.Digest) bool {
	ref, err := gate.ParseReference("hub.example.com/team/app@" + string(d))
	if err != nil {
		t.Fatal(err)
	}
	return r.lookup.Decide(context.Background(), ref, gate.Request{Namespace: "a", Operation: "CREATE"}).Permits()
}

// TestForgeryNeverAllows plays honest work and an attacker who puts back any
// earlier value of any key, moves values, deletes and cuts them. A process that
// has run all the time, and one that has just started, never allow an image that
// was not scanned, or in which the present data finds something.
func TestForgeryNeverAllows(t *testing.T) {
	redistest.Available(t)
	server := redistest.Plain(t, redistest.Options{})
	raw := server.Client(t)
	engine, err := policy.New(t.Context(), policy.Options{Config: policy.Default(), Risks: []gate.Risk{gate.RiskVulnerabilities}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "mac.key")
	if err := os.WriteFile(keyFile, []byte(strings.Repeat("k", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	digests := make([]gate.Digest, 3)
	for i := range digests {
		digests[i] = gate.Digest("sha256:" + strings.Repeat(string(rune('a'+i)), 64))
	}
	allowed, attacks, histories := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		if histories++; histories > 25 {
			return // each takes half a second
		}
		c := store.Config{URL: server.URL(), Prefix: redistest.Prefix(), MACKeyFile: keyFile}
		matcher := &scriptedMatcher{number: 1, bad: map[gate.Digest]bool{}}
		running := startReplica(t, c, matcher, engine)
		scanned := map[gate.Digest]bool{}
		var history []kept
		digest := rapid.SampledFrom(digests)
		epoch, touched := int64(0), false
		t.Repeat(map[string]func(*rapid.T){
			"scan": func(t *rapid.T) {
				d := digest.Draw(t, "digest")
				epoch++
				running.scan(t, d, epoch)
				scanned[d] = true
				history = append(history, keep(t, raw, c.Prefix)...)
			},
			"new_data": func(t *rapid.T) {
				touched = true
				matcher.number++
				d := digest.Draw(t, "digest")
				matcher.bad[d] = !matcher.bad[d]
			},
			"sweep": func(t *rapid.T) {
				_ = running.rematch(digest.Draw(t, "digest"), gate.EventRescan)
				history = append(history, keep(t, raw, c.Prefix)...)
			},
			"attack": func(t *rapid.T) {
				if len(history) == 0 {
					t.Skip("nothing to put back")
				}
				attacks, touched = attacks+1, true
				from, to := rapid.SampledFrom(history).Draw(t, "value"), rapid.SampledFrom(history).Draw(t, "key")
				switch rapid.SampledFrom([]string{"put_back", "put_back_all", "move", "cut", "delete"}).Draw(t, "how") {
				case "put_back":
					from.restore(t, raw, from.key, from.value)
				case "put_back_all": // of the same moment and digest
					for _, k := range history {
						if k.moment == from.moment {
							k.restore(t, raw, k.key, k.value)
						}
					}
				case "move":
					from.restore(t, raw, to.key, from.value)
				case "cut":
					from.restore(t, raw, from.key, from.value[:len(from.value)-1])
				case "delete":
					raw.Del(context.Background(), from.key)
				}
			},
			"": func(t *rapid.T) {
				replicas := []replica{running}
				if touched { // starting one costs as much as all the rest
					replicas, touched = append(replicas, startReplica(t, c, matcher, engine)), false
				}
				for _, r := range replicas {
					for _, d := range digests {
						if !r.permits(t, d) {
							continue
						}
						allowed++
						if !scanned[d] || matcher.bad[d] {
							t.Fatalf("%s is allowed; scanned %v, bad %v", d.Short(), scanned[d], matcher.bad[d])
						}
					}
				}
			},
		})
	})
	t.Logf("%d attacks, %d answers allowed", attacks, allowed)
	if allowed == 0 && !t.Failed() {
		t.Error("nothing was ever allowed: the test shows nothing")
	}
}

// kept is a value as an attacker has kept it.
type kept struct {
	key, value string
	moment     string // what was read together
}

// keep reads all strings of an installation.
func keep(t *rapid.T, raw *goredis.Client, prefix string) (list []kept) {
	names, err := raw.Keys(context.Background(), prefix+":*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	moment := redistest.Prefix()
	for _, name := range names {
		if value, err := raw.Get(context.Background(), name).Result(); err == nil && value != "" {
			list = append(list, kept{name, value, moment})
		}
	}
	return list
}

func (k kept) restore(t *rapid.T, raw *goredis.Client, key, value string) {
	if err := raw.Set(context.Background(), key, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}
