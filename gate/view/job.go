package view

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Job is one unit of queued work.
type Job struct {
	ID         string        `json:"id"`
	Kind       gate.JobKind  `json:"kind"`
	Key        string        `json:"key"`
	Registry   string        `json:"registry"`
	Repository string        `json:"repository"`
	Digest     gate.Digest   `json:"digest"`
	Tags       []string      `json:"tags"`
	State      gate.JobState `json:"state"`
	Priority   string        `json:"priority"`
	Trigger    gate.Trigger  `json:"trigger"`
	Attempts   int           `json:"attempts"`
	Progress   gate.Progress `json:"progress"`
	Reason     string        `json:"reason" doc:"why it waits or has failed, in a sentence; empty when nothing keeps it"`
	WaitsUntil *time.Time    `json:"waitsUntil" doc:"when what it waits for is over, or it is tried again; null when it does not wait, or the time is not known"`
	Error      string        `json:"error" doc:"the last error, with all details"`
	CreatedAt  time.Time     `json:"createdAt"`
	UpdatedAt  time.Time     `json:"updatedAt"`
	StartedAt  *time.Time    `json:"startedAt"`
	FinishedAt *time.Time    `json:"finishedAt"`
	NotBefore  *time.Time    `json:"notBefore"`
}

func OfJob(j gate.Job) Job {
	return Job{
		ID: j.ID, Kind: j.Kind, Key: j.Key, Registry: j.Location.Registry, Repository: j.Location.Repository, Digest: j.Digest,
		Tags: orEmpty(j.Tags), State: j.State, Priority: j.Priority.String(), Trigger: j.Trigger, Attempts: j.Attempts,
		Progress: j.Progress, Error: j.Error, CreatedAt: j.CreatedAt, UpdatedAt: j.UpdatedAt,
		StartedAt: optional(j.StartedAt), FinishedAt: optional(j.FinishedAt), NotBefore: optional(j.NotBefore),
	}
}

// Job makes views of jobs with what they wait for, as of now.
func (s Views) Job(ctx context.Context) func(gate.Job) Job {
	if s.Obstacles == nil {
		return OfJob
	}
	obstacles := s.Obstacles()
	return func(j gate.Job) Job {
		v := OfJob(j)
		reason, until := obstacles.Reason(ctx, j)
		v.Reason, v.WaitsUntil = refusal.English(reason), optional(until.UTC())
		return v
	}
}
