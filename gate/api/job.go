package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

type listJobsInput struct {
	State  string `query:"state" enum:"queued,running,quota_exhausted,done,failed,cancelled"`
	Kind   string `query:"kind" enum:"resolve,analyze,provenance"`
	Digest string `query:"digest" maxLength:"80"`
	Cursor string `query:"cursor" maxLength:"400"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type listJobsOutput struct {
	Body struct {
		Jobs []view.Job `json:"jobs"`
		Next string     `json:"next" doc:"cursor of the next page, empty at the end"`
	}
}

func (s *server) listJobs(ctx context.Context, in *listJobsInput) (*listJobsOutput, error) {
	if d := gate.Digest(in.Digest); d != "" && !d.Valid() {
		return nil, s.problem(ctx, "listing jobs", fmt.Errorf("filtering by digest %q: %w", in.Digest, gate.ErrDigestInvalid))
	}
	jobs, next, err := s.Lists.Jobs(ctx, gate.JobFilter{
		State: gate.JobState(in.State), Kind: gate.JobKind(in.Kind), Digest: gate.Digest(in.Digest), Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, s.problem(ctx, "listing jobs", err)
	}
	out := &listJobsOutput{}
	out.Body.Jobs = []view.Job{}
	out.Body.Next = next
	view := s.views().Job(ctx)
	for _, j := range jobs {
		out.Body.Jobs = append(out.Body.Jobs, view(j))
	}
	return out, nil
}

type jobInput struct {
	ID string `path:"id" maxLength:"200"`
}

type jobOutput struct{ Body view.Job }

func (s *server) getJob(ctx context.Context, in *jobInput) (*jobOutput, error) {
	j, err := s.Jobs.Job(ctx, in.ID)
	if err != nil {
		return nil, s.problem(ctx, "reading the job", err)
	}
	return &jobOutput{s.views().Job(ctx)(j)}, nil
}

func (s *server) cancelJob(ctx context.Context, in *jobInput) (*jobOutput, error) {
	j, err := s.Jobs.Cancel(ctx, in.ID)
	if err != nil {
		return nil, s.problem(ctx, "cancelling the job", err)
	}
	s.Log.InfoContext(ctx, "job cancelled", "job", j.ID, "jobKind", j.Kind, "jobKey", gate.Printable(j.Key, 200))
	return &jobOutput{view.OfJob(j)}, nil
}

type createScansInput struct {
	Body struct {
		Images []string    `json:"images,omitempty" minItems:"1" maxItems:"1000" doc:"references with a tag or a digest; without scope"`
		Scope  *scopeInput `json:"scope,omitempty" doc:"which of the known images are scanned, as a task; without images"`
		ScanInput
	}
}

type createScansOutput struct {
	Body struct {
		Jobs []view.Job     `json:"jobs" doc:"one for each of images"`
		Scan *view.ScanTask `json:"scan,omitempty" doc:"the task, when a scope was given"`
	}
}

// createScans starts a scan task of a scope, or queues the scans of images: all scans or none as far as the references go: each is
// checked first. If the store fails in between, asking again joins the jobs
// that were made.
func (s *server) createScans(ctx context.Context, in *createScansInput) (*createScansOutput, error) {
	out := &createScansOutput{}
	out.Body.Jobs = []view.Job{}
	if in.Body.Scope != nil {
		if in.Body.Images != nil {
			return nil, huma.NewError(http.StatusUnprocessableEntity, "images and scope are both given; leave out one of them")
		}
		task, err := s.startScan(ctx, *in.Body.Scope, in.Body.ScanInput)
		out.Body.Scan = &task
		return out, err
	}
	if in.Body.Images == nil {
		return nil, huma.NewError(http.StatusUnprocessableEntity, `neither images nor a scope is given; write {"images":["REFERENCE"]}, or {"scope":{"all":true}}`)
	}
	if keys := in.Body.given(); len(keys) > 0 {
		return nil, huma.NewError(http.StatusUnprocessableEntity, strings.Join(keys, ", ")+": for a scope, and images are given; leave out one or the other")
	}
	var wrong []error
	for i, image := range in.Body.Images {
		if _, err := s.Scans.Request(image); err != nil {
			wrong = append(wrong, &huma.ErrorDetail{
				Message: gate.Printable(err.Error(), 500), Location: fmt.Sprintf("body.images[%d]", i), Value: gate.Printable(image, 300),
			})
		}
	}
	if wrong != nil {
		return nil, huma.NewError(http.StatusUnprocessableEntity, "no scan was queued; correct these images", wrong...)
	}
	jobs, err := s.queueScans(ctx, in.Body.Images, in.Body.Force)
	if err != nil {
		return nil, s.problem(ctx, "queuing scans", err)
	}
	view := s.views().Job(ctx)
	for _, j := range jobs {
		out.Body.Jobs = append(out.Body.Jobs, view(j))
	}
	return out, nil
}

// scansAtOnce is how many scans of one call are queued at a time: each waits for the
// disk of the store, and what waits together is written together.
const scansAtOnce = 16

// queueScans queues scans and returns their jobs in the order of the images, or the first
// error.
func (s *server) queueScans(ctx context.Context, images []string, force bool) ([]gate.Job, error) {
	jobs := make([]gate.Job, len(images))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(scansAtOnce)
	for i, image := range images {
		group.Go(func() (err error) {
			jobs[i], err = s.Scans.Scan(ctx, image, force)
			return err
		})
	}
	return jobs, group.Wait()
}
