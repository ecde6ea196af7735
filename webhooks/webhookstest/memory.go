package webhookstest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

type goneKey struct {
	digest gate.Digest
	loc    gate.Location
}

// memory is the part of a store that takes pushes in. It refuses requests that a
// receiver must never cause.
type memory struct {
	mu      sync.Mutex
	jobs    map[string]gate.Job
	dirty   map[gate.TagKey]bool
	gone    map[goneKey]bool
	records map[gate.Digest]gate.Record
	avoided int64
	wrong   []string // requests that must never be made
	err     error
}

func newMemory() *memory {
	return &memory{
		jobs: map[string]gate.Job{}, dirty: map[gate.TagKey]bool{},
		gone: map[goneKey]bool{}, records: map[gate.Digest]gate.Record{},
	}
}

func (m *memory) Enqueue(_ context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return gate.Job{}, "", m.err
	}
	loc := req.Location
	if req.Kind != gate.JobResolve || req.Trigger != gate.TriggerPush || loc.Registry == "" || !gate.ValidRepository(loc.Repository) ||
		(req.Digest == "" && req.Tag == "") || (req.Digest != "" && !req.Digest.Valid()) || (req.Tag != "" && !gate.ValidTag(req.Tag)) {
		m.wrong = append(m.wrong, fmt.Sprintf("%+v", req))
	}
	key := req.Key()
	if job := m.jobs[key]; job.State.Live() {
		job.AddTag(req.Tag)
		m.jobs[key] = job
		return job, gate.EnqueuedJoined, nil
	}
	job := gate.Job{ID: key, Kind: req.Kind, Key: key, Location: loc, Digest: req.Digest, Trigger: req.Trigger, State: gate.JobQueued}
	job.AddTag(req.Tag)
	m.jobs[key] = job
	return job, gate.EnqueuedNew, nil
}

func (m *memory) MarkDirty(_ context.Context, key gate.TagKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.dirty[key] = true
	}
	return m.err
}

func (m *memory) MarkGone(_ context.Context, d gate.Digest, loc gate.Location) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.gone[goneKey{d, loc}] = true
	}
	return m.err
}

func (m *memory) Avoid(_ context.Context, _ string, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.avoided += n
	}
	return m.err
}

func (m *memory) Read(_ context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := gate.ReadResult{Digests: map[gate.Digest]gate.Entry{}, Now: time.Now()}
	for _, d := range req.Digests {
		out.Digests[d] = gate.Entry{Record: m.records[d]}
	}
	return out, m.err
}

// scanned ends all jobs and gives the digest an inventory.
func (m *memory) scanned(d gate.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, job := range m.jobs {
		job.State = gate.JobDone
		m.jobs[key] = job
	}
	m.records[d] = gate.Record{Digest: d, Version: 1, InventoryID: "i", Manifest: gate.Manifest{Digest: d, Kind: gate.KindImage}}
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// touched reports whether anything was written.
func (m *memory) touched() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.jobs)+len(m.dirty)+len(m.gone) > 0 || m.avoided > 0
}

// misused returns the first request that a receiver must never cause.
func (m *memory) misused() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.wrong) == 0 {
		return ""
	}
	return m.wrong[0]
}
