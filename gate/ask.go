package gate

import (
	"context"
	"fmt"
)

// Ask queues a scan that a person or a program asked for. The reference is
// resolved by a worker; with force an analysis is repeated although an
// inventory exists (which is free, the digest was charged before).
//
// Errors: ErrRefInvalid, ErrRefAmbiguous, ErrRegistryNotTrusted, those of the
// store.
func (p *Pipeline) Ask(ctx context.Context, image string, force bool) (Job, error) {
	req, err := p.Request(image)
	if err != nil {
		return Job{}, err
	}
	req.Force = force
	job, _, err := p.Scheduler.Enqueue(ctx, req)
	return job, err
}

// Request turns a reference into the request for its resolve, without queuing
// it; errors as for Ask.
func (p *Pipeline) Request(image string) (JobRequest, error) {
	ref, err := ParseReference(image)
	if err != nil {
		return JobRequest{}, err
	}
	reg, ok := p.Registries.ByHost(ref.Host)
	if !ok {
		return JobRequest{}, fmt.Errorf("image %s: host %s: %w", Quoted(image, 300), Quoted(ref.Host, 120), ErrRegistryNotTrusted)
	}
	return JobRequest{
		Kind: JobResolve, Location: Location{reg.Name, ref.Repository},
		Digest: ref.Digest, Tag: ref.Tag, Trigger: TriggerAPI,
	}, nil
}
