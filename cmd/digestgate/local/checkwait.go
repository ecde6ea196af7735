package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/view"
)

// settle waits until a resolve and the analyses that it has queued have ended, and
// returns the image. A job that waits for a registry says why, and this command does
// not wait with it.
func settle(ctx context.Context, a *app.App, resolve gate.Job, progress io.Writer) (view.ImageDetail, error) {
	shown := map[string]gate.Progress{}
	entry, err := pipeline.Settled(ctx, a.Store, resolve, func(job gate.Job) {
		if job.Progress != shown[job.ID] {
			shown[job.ID] = job.Progress
			fmt.Fprintf(progress, "%s: %s\n", job.Kind, show.DescribeProgress(job.Progress))
		}
	})
	var stopped *pipeline.Stopped
	switch {
	case errors.As(err, &stopped) && stopped.Job.State.Live():
		return view.ImageDetail{}, unreadable("the image cannot be read now", stopped.Job)
	case errors.As(err, &stopped):
		return view.ImageDetail{}, unreadable("the image cannot be read", stopped.Job)
	case err != nil:
		return view.ImageDetail{}, err
	}
	if err := a.Catalog.CatchUp(ctx); err != nil {
		return view.ImageDetail{}, err
	}
	return view.Views{Reader: a.Store, Lists: a.Catalog}.Detail(ctx, entry)
}

// unreadable is the error of a job that has not led to an image.
func unreadable(what string, job gate.Job) error {
	return show.ExitError{Code: show.ExitNoVerdict, Text: what + ": " + gate.Printable(job.Error, 500), Reason: job.Reason}
}
