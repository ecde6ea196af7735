package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest/storebench"
)

// roundTrips counts what is sent to the server and waited for.
type roundTrips struct {
	mu        sync.Mutex
	pipelines []int // commands of each
	alone     []string
}

func (r *roundTrips) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (r *roundTrips) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		r.mu.Lock()
		r.alone = append(r.alone, cmd.Name())
		r.mu.Unlock()
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		r.mu.Lock()
		r.pipelines = append(r.pipelines, len(cmds))
		r.mu.Unlock()
		return next(ctx, cmds)
	}
}

// scanned answers questions about what is stored without policies.
type scanned struct{}

func (scanned) Question(_ gate.Reader, e gate.Entry, loc gate.Location, event gate.Event, _ func(error)) gate.Question {
	return gate.Question{Event: event, Digest: e.Record.Digest, Location: loc, Record: e.Record, State: e.State()}
}

func (scanned) Evaluate(_ context.Context, q gate.Question) gate.Decision {
	if q.State != gate.StateScanned {
		return gate.Decision{Outcome: gate.OutcomeNone, Code: gate.CodeUnscanned}
	}
	return gate.Decision{Outcome: gate.OutcomeAllow}
}

func (scanned) Loaded() bool { return true }

// TestReviewIsOneRoundTrip: what a warm review reads of 40 tags and their records is
// one pipeline on the wire, although they are in 80 slots. A first review needs
// another for the records. Scripts that the server has forgotten are the exception.
func TestReviewIsOneRoundTrip(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	s := open(t, config(t, server.URL()), redis.Options{})
	const images = 40
	if err := storebench.Fill(s, images, storebench.Small); err != nil {
		t.Fatal(err)
	}
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "harbor", Type: "harbor", Host: "harbor.example"}})
	if err != nil {
		t.Fatal(err)
	}
	start := func() *lookup.Lookup {
		return lookup.New(lookup.Parts{
			Reader: s.Admission(), Standing: scanned{}, Queue: s, Tags: s, Budget: s, Changed: s.Changed, Registries: registries,
			Now: time.Now, Log: slog.New(slog.DiscardHandler),
		}, lookup.Options{TagMaxAge: time.Hour}, nil)
	}
	var refs []gate.Reference
	for i := range images {
		ref, err := gate.ParseReference(fmt.Sprintf("harbor.example/library/app:v%d", i))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	decide := func(l *lookup.Lookup) {
		t.Helper()
		r := l.Rounds(refs)
		r.Read(t.Context())
		for _, ref := range refs {
			if a, ok := r.Decide(t.Context(), ref, gate.Request{Namespace: "team-a", DryRun: true}); !ok || !a.Permits() {
				t.Fatalf("%s: got %+v, %t", ref, a, ok)
			}
		}
	}
	decide(start()) // the server learns the scripts
	l, wire := start(), &roundTrips{}
	s.HookReads(wire)
	for i, want := range []int{2, 1, 1} {
		wire.pipelines = nil
		decide(l)
		if len(wire.pipelines) != want || len(wire.alone) > 0 {
			t.Errorf("review %d: pipelines of %v commands and %v alone, want %d pipelines and nothing alone", i+1, wire.pipelines, wire.alone, want)
		}
	}
	// What has not changed is not sent again: a few bytes for each record and tag.
	if sent := output(t, server, func() { decide(l) }); sent > 20*2*images {
		t.Errorf("a warm review of %d images reads %d bytes", images, sent)
	}
}

// TestSightingIsThreeRoundTrips: what a resolve records of a new image with two tags, and
// the request for its analysis, is one pipeline that reads and two that write.
func TestSightingIsThreeRoundTrips(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	s := open(t, config(t, server.URL()), redis.Options{})
	see := func(c string, tags ...string) {
		t.Helper()
		m := gate.Manifest{Digest: digestOf(c), Kind: gate.KindImage, Hashed: true}
		found := gate.Sighting{
			Digest: m.Digest, Manifest: &m, Location: place,
			Request: &gate.JobRequest{Kind: gate.JobAnalyze, Location: place, Digest: m.Digest, Trigger: gate.TriggerPush},
		}
		for _, tag := range tags {
			found.Tags = append(found.Tags, gate.TagReading{Tag: tag, ReadAt: time.Now()})
		}
		out, err := s.Sight(t.Context(), found)
		if err != nil {
			t.Fatal(err)
		}
		if out.Outcome != gate.EnqueuedNew || len(out.Tags) != len(tags) {
			t.Errorf("got %+v", out)
		}
	}
	see("a", "v0") // the server learns the scripts
	wire := &roundTrips{}
	s.HookCalls(wire)
	see("b", "v1", "v2")
	if got, want := fmt.Sprint(wire.pipelines), "[3 2 4]"; got != want || len(wire.alone) > 0 {
		t.Errorf("pipelines of %s commands and %v alone, want %s and nothing alone", got, wire.alone, want)
	}
}
