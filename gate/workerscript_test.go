package gate_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/work"
)

// script is a queue whose answers the test gives. Time is that of a synctest
// bubble.
type script struct {
	mu       sync.Mutex
	waiting  []gate.Job
	claimErr error
	claims   []gate.ClaimRequest
	beats    []gate.Progress
	beat     func(gate.Lease) (gate.Beat, error) // nil: the lease is extended
	results  map[string]gate.Result
	ended    map[string]time.Time
	changed  chan struct{}
}

func newScript(jobs ...gate.Job) *script {
	return &script{waiting: jobs, results: map[string]gate.Result{}, ended: map[string]time.Time{}, changed: make(chan struct{})}
}

func (s *script) Claim(_ context.Context, req gate.ClaimRequest) (gate.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = append(s.claims, req)
	if len(s.claims) > 10_000 {
		panic("the worker spins") // time in a bubble would never go on
	}
	if s.claimErr != nil {
		return gate.Job{}, s.claimErr
	}
	for i, j := range s.waiting {
		if req.NoRescan && j.Priority == gate.PriorityRescan {
			continue
		}
		s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
		return j, nil
	}
	return gate.Job{}, gate.ErrNoJob
}

func (s *script) Heartbeat(ctx context.Context, lease gate.Lease, _ time.Duration, p gate.Progress) (gate.Beat, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return gate.Beat{}, err
	}
	s.beats = append(s.beats, p)
	if s.beat == nil {
		return gate.Beat{}, nil
	}
	return s.beat(lease)
}

func (s *script) Finish(ctx context.Context, lease gate.Lease, r gate.Result) (gate.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return gate.Job{}, err
	}
	s.results[lease.JobID], s.ended[lease.JobID] = r, time.Now()
	return gate.Job{}, nil
}

func (s *script) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *script) result(t *testing.T, id string) gate.Result {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.results[id]
	if !ok {
		t.Fatalf("job %q has no result", id)
	}
	return r
}

func job(id string, p gate.Priority) gate.Job {
	return gate.Job{ID: id, Kind: gate.JobAnalyze, Key: id, Priority: p, Epoch: 1}
}

func workerOptions(t *testing.T, concurrency int, h gate.Handler) work.Options {
	t.Helper()
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "hub", Host: "hub.example.com", Limits: gate.Limits{Concurrency: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(gate.QuotaConfig{Limit: 7, Period: "none", TimeZone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	return work.Options{
		Name: "w", Concurrency: concurrency, MaxAttempts: 3, Registries: registries, Quota: quota,
		Handlers: map[gate.JobKind]gate.Handler{gate.JobAnalyze: h}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

// running starts a worker; stop ends it and waits.
func running(t *testing.T, q work.Queue, o work.Options, grace time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); work.NewWorker(q, o).Run(ctx, grace) }()
	return func() { cancel(); <-done }
}
