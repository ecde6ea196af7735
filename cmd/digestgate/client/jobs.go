package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

const jobHeader = "JOB\tKIND\tSTATE\tATTEMPTS\tUPDATED\tIMAGE\tWHY"

func NewJobsCommand(o *app.Options) *cobra.Command {
	var flags listFlags
	var state, kind, digest string
	cmd := &cobra.Command{
		Use:   "jobs [JOB]",
		Short: "List the jobs of a server, or show one",
		Long: `List the jobs of a server, the last changed first, or show one. WHY is what a job
waits for or why it failed, or how far it is.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := errors.Join(
				oneOf("state", state, gate.JobQueued, gate.JobRunning, gate.JobParked, gate.JobDone, gate.JobFailed, gate.JobCancelled),
				oneOf("kind", kind, gate.JobKinds()...))
			if err != nil {
				return err
			}
			c, err := flags.open(o)
			if err != nil {
				return err
			}
			if len(args) == 1 && args[0] != "list" { // as in "registries list"
				if err := errors.Join(alone(cmd, "JOB", "state", "kind", "digest"), jobID(args[0])); err != nil {
					return err
				}
				var raw json.RawMessage
				if err := c.Call(cmd.Context(), http.MethodGet, "/jobs/"+url.PathEscape(args[0]), nil, &raw); err != nil {
					return jobAdvice(err)
				}
				if flags.format == "json" {
					return show.PrintJSON(cmd.OutOrStdout(), raw)
				}
				return printList(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format, "jobs", []json.RawMessage{raw}, "", jobHeader, jobLine)
			}
			if digest != "" {
				d, err := c.find(cmd.Context(), digest)
				if err != nil {
					return fmt.Errorf("--digest: %w", err)
				}
				digest = string(d)
			}
			rows, next, err := flags.list(cmd.Context(), c, "jobs", url.Values{"state": {state}, "kind": {kind}, "digest": {digest}})
			if err != nil {
				return err
			}
			return printList(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format, "jobs", rows, next, jobHeader, jobLine)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&state, "state", "", "only jobs in this state: queued, running, quota_exhausted, done, failed or cancelled")
	cmd.Flags().StringVar(&kind, "kind", "", "only this kind: resolve, analyze or provenance")
	cmd.Flags().StringVar(&digest, "digest", "", "only jobs of this image: a digest, its beginning, or a reference")
	return cmd
}

func jobLine(j view.Job) string {
	image := j.Registry + "/" + j.Repository
	switch {
	case j.Digest != "":
		image += "@" + j.Digest.Short()
	case len(j.Tags) > 0:
		image += ":" + strings.Join(j.Tags, ",")
	}
	why := j.Error
	if why == "" && j.State == gate.JobRunning {
		why = show.DescribeProgress(j.Progress)
	}
	if j.NotBefore != nil && j.State == gate.JobQueued {
		why = strings.TrimSpace(why + " (tried again at " + since(j.NotBefore) + ")")
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s\t%s", gate.Printable(j.ID, 100), j.Kind, j.State, j.Attempts, since(&j.UpdatedAt), gate.Printable(image, 200), show.Cell(why, 300))
}

func NewScanCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format string
	var force bool
	cmd := &cobra.Command{
		Use:   "scan IMAGE...",
		Short: "Ask a server to scan images",
		Long: `Ask a server for the scan of images, by tag or digest, on its configured registries,
and print the jobs. If one reference is wrong nothing is queued. An image that is
known is not analysed again unless --force is given. It does not wait for the end:
"digestgate wait IMAGE" does.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			var out struct {
				Jobs []json.RawMessage `json:"jobs"`
			}
			if err := c.Call(cmd.Context(), http.MethodPost, "/scans", map[string]any{"images": args, "force": force}, &out); err != nil {
				return err
			}
			return printJobs(cmd.OutOrStdout(), format, out.Jobs)
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().BoolVar(&force, "force", false, "analyse again although the image is known; this is not charged again")
	return cmd
}

// printJobs prints the jobs that a command has made or ended.
func printJobs(w io.Writer, format string, rows []json.RawMessage) error {
	if format == "json" {
		return show.PrintJSON(w, map[string]any{"jobs": rows})
	}
	return printList(w, io.Discard, format, "jobs", rows, "", jobHeader, jobLine)
}

func NewCancelCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format string
	cmd := &cobra.Command{
		Use:   "cancel JOB...",
		Short: "Cancel jobs of a server",
		Long: `Cancel jobs by their id ("digestgate jobs" lists them), or all jobs of an image that
have not ended, by its digest. A cancelled job stays cancelled until its scan is asked
for again. If one argument is wrong, the others are cancelled all the same; the exit
status is then 1.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			rows := []json.RawMessage{}
			var problems []error
			for _, arg := range args {
				done, err := c.cancel(cmd.Context(), arg)
				rows = append(rows, done...)
				if err != nil {
					problems = append(problems, fmt.Errorf("cancelling %s: %w", gate.Quoted(arg, 100), err))
				}
			}
			if len(rows) > 0 || format == "json" {
				problems = append(problems, printJobs(cmd.OutOrStdout(), format, rows))
			}
			return errors.Join(problems...)
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	return cmd
}

// cancel cancels one job, or those of a digest that have not ended.
func (c *Client) cancel(ctx context.Context, arg string) (done []json.RawMessage, err error) {
	ids := []string{arg}
	if strings.HasPrefix(arg, "sha256:") {
		if ids, err = c.live(ctx, arg); err != nil {
			return nil, err
		}
	} else if err := jobID(arg); err != nil {
		return nil, err
	}
	for _, id := range ids {
		var raw json.RawMessage
		if err := c.Call(ctx, http.MethodPost, "/jobs/"+url.PathEscape(id)+"/cancel", nil, &raw); err != nil {
			return done, jobAdvice(err)
		}
		done = append(done, raw)
	}
	return done, nil
}

// jobAdvice says where to find ids when the server has no job with the given one.
func jobAdvice(err error) error {
	var p *problem
	if !errors.As(err, &p) || p.Status != http.StatusNotFound && p.Status != http.StatusBadRequest && p.Status != http.StatusUnprocessableEntity {
		return err
	}
	p.advice = "; \"digestgate jobs\" lists the jobs with their ids; jobs that ended long ago are no longer known"
	return err
}

// jobID refuses what is no id of a job, but perhaps an image.
func jobID(id string) error {
	if !strings.ContainsAny(id, "/:@.") {
		return nil
	}
	return fmt.Errorf("%s is not the id of a job, it looks like an image: \"digestgate jobs --digest IMAGE\" lists the jobs of one with their ids", gate.Quoted(id, 100))
}

// live finds the jobs of an image that have not ended.
func (c *Client) live(ctx context.Context, digest string) ([]string, error) {
	d, err := c.find(ctx, digest)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, state := range []gate.JobState{gate.JobQueued, gate.JobRunning, gate.JobParked} {
		all := listFlags{all: true}
		rows, _, err := all.list(ctx, c, "jobs", url.Values{"digest": {string(d)}, "state": {string(state)}})
		if err != nil {
			return nil, err
		}
		for _, raw := range rows {
			var j view.Job
			if err := json.Unmarshal(raw, &j); err != nil {
				return nil, fmt.Errorf("reading the server's answer: %w", err)
			}
			ids = append(ids, j.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("the image has no queued or running job, so there is nothing to cancel; \"digestgate jobs --digest IMAGE\" shows those that have ended")
	}
	return ids, nil
}
