package gate_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// storeCalls counts by name the calls that works make of a store. It embeds nothing:
// a method that a work begins to use does not compile before it is counted here.
type storeCalls struct {
	store  store.Store
	mu     sync.Mutex
	names  []string
	before func() // unless nil, is called before each call
}

// called notes a call; those that write are in capitals.
func (c *storeCalls) called(name string) store.Store {
	if c.before != nil {
		c.before()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
	return c.store
}

// take returns the calls since the last take, in order.
func (c *storeCalls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.names
	c.names = nil
	return names
}

// counted makes a site's works go through a counter. Calls of what surrounds them are
// not counted: the intake, the worker's claim, heartbeat and finish, and the lists.
func (s *site) counted() *storeCalls {
	c := &storeCalls{store: s.store}
	s.keepIn(c)
	s.Scheduler, s.sweeping = c, c
	return c
}

// each returns the calls of every job that is handled until none is left, by kind.
func (s *site) each(c *storeCalls) map[gate.JobKind][]string {
	s.t.Helper()
	calls := map[gate.JobKind][]string{}
	s.clock.Advance(time.Millisecond)
	for {
		job, err := s.store.Claim(s.ctx, s.claim())
		if err != nil {
			return calls
		}
		c.take()
		err = s.Handlers()[job.Kind](s.ctx, gate.NewRun(job))
		calls[job.Kind] = append(calls[job.Kind], strings.Join(c.take(), " "))
		if _, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: err, MaxAttempts: 3}); err != nil {
			s.t.Fatalf("finishing %s: %v", job.Key, err)
		}
	}
}

func (c *storeCalls) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	return c.called("Read").Read(ctx, req)
}

func (c *storeCalls) Marks(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Mark, error) {
	return c.called("Marks").Marks(ctx, digests)
}

func (c *storeCalls) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	return c.called("Inventory").Inventory(ctx, d)
}

func (c *storeCalls) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	return c.called("Findings").Findings(ctx, d)
}

func (c *storeCalls) Now(ctx context.Context) (time.Time, error) { return c.called("Now").Now(ctx) }

func (c *storeCalls) ChargesOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Charge, error) {
	return c.called("ChargesOf").ChargesOf(ctx, digests)
}

func (c *storeCalls) Fence(ctx context.Context, d gate.Digest, epoch int64) error {
	return c.called("FENCE").Fence(ctx, d, epoch)
}

func (c *storeCalls) PutManifest(ctx context.Context, m gate.Manifest) error {
	return c.called("PUTMANIFEST").PutManifest(ctx, m)
}

func (c *storeCalls) Sight(ctx context.Context, s gate.Sighting) (gate.Sighted, error) {
	return c.called("SIGHT").Sight(ctx, s)
}

func (c *storeCalls) MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error {
	return c.called("MARKGONE").MarkGone(ctx, d, loc)
}

func (c *storeCalls) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error) {
	return c.called("PUTINVENTORY").PutInventory(ctx, epoch, inv)
}

func (c *storeCalls) PutUnassessable(ctx context.Context, d gate.Digest, epoch int64, reason string) error {
	return c.called("PUTUNASSESSABLE").PutUnassessable(ctx, d, epoch, reason)
}

func (c *storeCalls) PutFindings(ctx context.Context, f *gate.Findings, replaces string) (gate.Written, error) {
	return c.called("PUTFINDINGS").PutFindings(ctx, f, replaces)
}

func (c *storeCalls) History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error) {
	return c.called("HISTORY").History(ctx, d, q)
}

func (c *storeCalls) PutVerdicts(ctx context.Context, d gate.Digest, basis gate.Basis, verdicts []gate.Verdict) ([]gate.Verdict, error) {
	return c.called("PUTVERDICTS").PutVerdicts(ctx, d, basis, verdicts)
}

func (c *storeCalls) PutTag(ctx context.Context, key gate.TagKey, d gate.Digest, readAt time.Time, host string) (gate.TagMapping, error) {
	return c.called("PUTTAG").PutTag(ctx, key, d, readAt, host)
}

func (c *storeCalls) Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	return c.called("ENQUEUE").Enqueue(ctx, req)
}

func (c *storeCalls) Serve(ctx context.Context, lease gate.Lease) error {
	return c.called("SERVE").Serve(ctx, lease)
}

func (c *storeCalls) Avoid(ctx context.Context, period string, n int64) error {
	return c.called("AVOID").Avoid(ctx, period, n)
}

func (c *storeCalls) Restore(ctx context.Context, d gate.Digest, period string, at time.Time) (bool, error) {
	return c.called("RESTORE").Restore(ctx, d, period, at)
}

// most is the longest of several lists of calls.
func most(calls []string) string {
	return slices.MaxFunc(calls, func(a, b string) int { return len(strings.Fields(a)) - len(strings.Fields(b)) })
}
