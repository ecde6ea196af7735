package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
)

// What an event tells of.
const (
	opDelivery  = "delivery"  // Digest; Outcome is what the intake said of it
	opClaim     = "claim"     // Job, Digest, Epoch, Attempts
	opFence     = "fence"     // Digest, Epoch
	opServe     = "serve"     // Job, Epoch
	opBegin     = "begin"     // Digest, Epoch, Inventory: a commit is on its way
	opCommit    = "commit"    // the same, with what came of it
	opFinish    = "finish"    // Job, Epoch; Outcome is the state
	opHeartbeat = "heartbeat" // Job, Epoch; only when refused
	opDecision  = "decision"  // Digest, Inventory that it was based on; Outcome
)

// event is one call and its answer. Times are the machine's, in microseconds,
// before and after the call; no clock of a process is skewed for them.
type event struct {
	Op        string
	Who       string
	From, To  int64
	Digest    gate.Digest `json:",omitempty"`
	Job       string      `json:",omitempty"`
	Epoch     int64       `json:",omitempty"`
	Attempts  int         `json:",omitempty"`
	Inventory string      `json:",omitempty"`
	Outcome   string      `json:",omitempty"`
	Err       string      `json:",omitempty"` // label of its class, "" for success
}

func (e event) ok() bool { return e.Err == "" }

// history is a file to which a process writes down what it was told. A line that
// was written stays, also when the process is killed.
type history struct {
	who  string
	mu   sync.Mutex
	file *os.File
}

func openHistory(dir, who string) (*history, error) {
	f, err := os.OpenFile(filepath.Join(dir, who+".history"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &history{who: who, file: f}, err
}

// write notes an event that began at a time.
func (h *history) write(from time.Time, e event, err error) {
	e.Who, e.From, e.To = h.who, from.UnixMicro(), time.Now().UnixMicro()
	if err != nil {
		class, _ := gate.Classify(err)
		e.Err = class.Label
	}
	line, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.file.Write(append(line, '\n')); err != nil {
		panic(err)
	}
}

// readHistories reads what all processes have written.
func readHistories(dir string) (all []event, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.history"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		events, err := readHistory(name)
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}

// readHistory reads what one process has written so far. A line is one write,
// none is cut.
func readHistory(name string) (events []event, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// recorded is a store that notes what a worker does with it.
type recorded struct {
	*redis.Store
	codec *store.Codec
	h     *history
}

func (r recorded) Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error) {
	from := time.Now()
	job, err := r.Store.Claim(ctx, req)
	if err == nil {
		r.h.write(from, event{Op: opClaim, Job: job.ID, Digest: job.Digest, Epoch: job.Epoch, Attempts: job.Attempts}, nil)
	}
	return job, err
}

func (r recorded) Heartbeat(ctx context.Context, lease gate.Lease, extend time.Duration, p gate.Progress) (gate.Beat, error) {
	from := time.Now()
	beat, err := r.Store.Heartbeat(ctx, lease, extend, p)
	if err != nil {
		r.h.write(from, event{Op: opHeartbeat, Job: lease.JobID, Epoch: lease.Epoch}, err)
	}
	return beat, err
}

func (r recorded) Finish(ctx context.Context, lease gate.Lease, result gate.Result) (gate.Job, error) {
	from := time.Now()
	job, err := r.Store.Finish(ctx, lease, result)
	r.h.write(from, event{Op: opFinish, Job: lease.JobID, Epoch: lease.Epoch, Outcome: string(job.State)}, err)
	return job, err
}

func (r recorded) Serve(ctx context.Context, lease gate.Lease) error {
	from := time.Now()
	err := r.Store.Serve(ctx, lease)
	r.h.write(from, event{Op: opServe, Job: lease.JobID, Epoch: lease.Epoch}, err)
	return err
}

func (r recorded) Fence(ctx context.Context, d gate.Digest, epoch int64) error {
	from := time.Now()
	err := r.Store.Fence(ctx, d, epoch)
	r.h.write(from, event{Op: opFence, Digest: d, Epoch: epoch}, err)
	return err
}

// PutInventory is sent whatever has happened to the lease meanwhile: as one that
// was on its way when the worker lost it.
func (r recorded) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error) {
	value, err := r.codec.Encode(inv)
	if err != nil {
		return gate.Written{}, err
	}
	e := event{Op: opBegin, Digest: inv.Digest, Epoch: epoch, Inventory: value.ID}
	from := time.Now()
	r.h.write(from, e, nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	written, err := r.Store.PutInventory(ctx, epoch, inv)
	e.Op = opCommit
	r.h.write(from, e, err)
	return written, err
}
