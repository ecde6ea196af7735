package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/view"
)

func NewWaitCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait REF",
		Short: "Wait for a server's verdict on an image, for pipelines",
		Long: `Ask a running server for the scan of an image, wait for its standing verdict and
print it. The digest that is printed is the one to deploy. Meanwhile standard error
says what is waited for and how long that usually takes.

Exit status: 0 allowed, 1 error, 2 denied, 3 no verdict (in time).`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := show.ValidFormat(format); err != nil {
				return err
			}
			c, err := flags.client(o.Environ)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			v, err := c.wait(ctx, args[0], cmd.ErrOrStderr())
			if errors.Is(err, context.DeadlineExceeded) {
				return show.NoVerdict("no verdict within %s; the scan continues; ask again or wait longer (--timeout)", timeout)
			}
			if err != nil {
				return err
			}
			return show.PrintVerdict(cmd.OutOrStdout(), format, v)
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait")
	return cmd
}

// waitPoll is how often the server is asked.
const waitPoll = time.Second

// wait asks for a scan and polls until the image has a verdict or cannot get
// one.
func (c *Client) wait(ctx context.Context, image string, stderr io.Writer) (view.ImageDetail, error) {
	ref, err := gate.ParseReference(image)
	if err != nil {
		return view.ImageDetail{}, err
	}
	job, err := c.ask(ctx, image)
	if err != nil {
		return view.ImageDetail{}, err
	}
	p := NewProgress(stderr, time.Now)
	var v view.ImageDetail
	err = pipeline.Await(ctx, nil, waitPoll, func(ctx context.Context) (over bool, err error) {
		if job.State != gate.JobDone {
			if err := c.Call(ctx, http.MethodGet, "/jobs/"+url.PathEscape(job.ID), nil, &job); err != nil {
				return false, err
			}
		}
		switch job.State {
		case gate.JobFailed, gate.JobCancelled:
			return false, show.NoVerdict("the image cannot be read: %s", gate.Printable(job.Error, 500))
		case gate.JobDone:
			var listed bool
			if v, listed, err = c.image(ctx, ref, job); err != nil {
				return false, err
			}
			if listed {
				if !settled(v) {
					p.say(analysing(v))
				}
				return settled(v), nil
			}
		}
		p.say(resolving(image, job))
		return false, nil
	})
	return v, err
}

func (c *Client) ask(ctx context.Context, image string) (view.Job, error) {
	var out struct{ Jobs []view.Job }
	err := c.Call(ctx, http.MethodPost, "/scans", map[string]any{"images": []string{image}}, &out)
	if err == nil && len(out.Jobs) != 1 {
		err = fmt.Errorf("the server answered with %d jobs for one image", len(out.Jobs))
	}
	if err != nil {
		return view.Job{}, err
	}
	return out.Jobs[0], nil
}

// image finds the image that a finished resolve was about; ok is false while
// the server's lists do not show its tag yet.
func (c *Client) image(ctx context.Context, ref gate.Reference, job view.Job) (v view.ImageDetail, ok bool, err error) {
	digest := ref.Digest
	if digest == "" {
		if digest, err = c.tagged(ctx, job, ref.Tag); err != nil || digest == "" {
			return v, false, err
		}
	}
	err = c.Call(ctx, http.MethodGet, "/images/"+string(digest), nil, &v)
	return v, err == nil, err
}

// tagged finds the image that has a tag where a resolve has read it, "" when
// the lists do not show it. Many tags may contain the one that is looked for.
func (c *Client) tagged(ctx context.Context, job view.Job, tag string) (gate.Digest, error) {
	var digest gate.Digest
	q := url.Values{"registry": {job.Registry}, "repository": {job.Repository}, "q": {tag}}
	err := c.eachImage(ctx, q, func(i view.Image) bool {
		for _, p := range i.Locations {
			if p.Registry == job.Registry && p.Repository == job.Repository && slices.Contains(p.Tags, tag) {
				digest = i.Digest
			}
		}
		return digest == ""
	})
	return digest, err
}

// settled reports whether waiting longer cannot bring another answer soon.
func settled(v view.ImageDetail) bool {
	switch v.State {
	case gate.StateScanned:
		return v.Verdict != nil && v.Verdict.Code != gate.CodePending
	case gate.StateFailed, gate.StateCancelled, gate.StateUnassessable, gate.StateQuotaExhausted:
		return true
	}
	return false
}
