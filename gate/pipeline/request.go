package pipeline

import (
	"context"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// Scan queues a scan that a person or a program asked for. The reference is
// resolved by a worker; with force an analysis is repeated although an
// inventory exists (which is free, the digest was charged before).
//
// Errors: ErrRefInvalid, ErrRefAmbiguous, ErrRegistryNotTrusted, those of the
// store.
func (p *Pipeline) Scan(ctx context.Context, image string, force bool) (gate.Job, error) {
	req, err := p.Request(image)
	if err != nil {
		return gate.Job{}, err
	}
	req.Force = force
	job, _, err := p.Scheduler.Enqueue(ctx, req)
	return job, err
}

// Request turns a reference into the request for its resolve, without queuing
// it; errors as for Scan.
func (p *Pipeline) Request(image string) (gate.JobRequest, error) {
	ref, err := gate.ParseReference(image)
	if err != nil {
		return gate.JobRequest{}, err
	}
	reg, ok := p.Registries.ByHost(ref.Host)
	if !ok {
		return gate.JobRequest{}, fmt.Errorf("image %s: host %s: %w", gate.Quoted(image, 300), gate.Quoted(ref.Host, 120), gate.ErrRegistryNotTrusted)
	}
	return gate.JobRequest{
		Kind: gate.JobResolve, Location: gate.Location{Registry: reg.Name, Repository: ref.Repository},
		Digest: ref.Digest, Tag: ref.Tag, Trigger: gate.TriggerAPI,
	}, nil
}
