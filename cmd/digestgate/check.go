package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/scanner/registry"
)

func newCheckCommand(o *rootOptions) *cobra.Command {
	var format string
	var plainHTTP, verbose bool
	cmd := &cobra.Command{
		Use:   "check IMAGE",
		Short: "Scan and decide once, without a server",
		Long: `Scan an image with the configured advisories and policies and print the verdict.
No server is needed, nothing is kept and no quota is charged. A registry that is
not configured is read without credentials.

Exit status: 0 allowed, 1 error, 2 denied, 3 no verdict.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validFormat(format); err != nil {
				return err
			}
			c, err := o.load()
			if err != nil {
				return err
			}
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = o.logger(cmd.ErrOrStderr())
			}
			view, err := check(cmd.Context(), c, args[0], plainHTTP, log, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return printVerdict(cmd.OutOrStdout(), format, view)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	cmd.Flags().BoolVar(&plainHTTP, "plain-http", false, "read a registry that is not configured over plain HTTP")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log to stderr")
	return cmd
}

// checkConfig turns a server's configuration into one for a single image: a
// store of its own that is thrown away, and only a worker.
func checkConfig(c Config, image, dir string, plainHTTP bool) (Config, error) {
	ref, err := gate.ParseReference(image)
	if err != nil {
		return c, err
	}
	regs, err := gate.NewRegistries(c.registries())
	if err != nil {
		return c, err
	}
	if _, ok := regs.ByHost(ref.Host); !ok {
		r := RegistryConfig{Config: registry.DefaultConfig()}
		r.Name, r.Type, r.Host, r.PlainHTTP = "command-line", "distribution", ref.Host, plainHTTP
		c.Registries = append(c.Registries, r)
	}
	for i := range c.Registries {
		c.Registries[i].PullsPerHour = 0
	}
	c.DataDir, c.Store.URL = dir, "sqlite://"+filepath.Join(dir, "check.db")
	c.Roles, c.Quota = []string{roleWorker}, gate.DefaultQuota()
	c.Auth.AdminTokenFile = ""
	return c, nil
}

// check runs the whole pipeline for one image in a temporary directory.
func check(ctx context.Context, c Config, image string, plainHTTP bool, log *slog.Logger, progress io.Writer) (_ api.ImageDetail, err error) {
	dir, err := os.MkdirTemp("", "digestgate-check-")
	if err != nil {
		return api.ImageDetail{}, fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if c, err = checkConfig(c, image, dir, plainHTTP); err != nil {
		return api.ImageDetail{}, err
	}
	a, err := newApp(ctx, c, log)
	if err != nil {
		return api.ImageDetail{}, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if st := a.advisories.Status(); st.Problem != "" {
		fmt.Fprintf(progress, "advisories: %s\n", st.Problem)
	}
	// Nothing follows the feed here, and rules may look at tags.
	tags := a.pipeline.Tags
	a.pipeline.Tags = func(ctx context.Context, d gate.Digest, loc gate.Location) []string {
		if err := a.catalog.CatchUp(ctx); err != nil {
			log.Warn("reading what is stored", "error", err)
		}
		return tags(ctx, d, loc)
	}
	background, cancel := context.WithCancel(ctx)
	s := &running{log: log, cancel: cancel}
	defer s.work.Wait()
	defer cancel()
	for _, w := range a.workers() {
		s.work.Go(func() { w.Run(background, 0) })
	}
	job, err := a.pipeline.Ask(ctx, image, false)
	if err != nil {
		return api.ImageDetail{}, err
	}
	return a.settle(ctx, job, progress)
}

// settle waits until a resolve and the analyses that it asked for have ended,
// and returns the image.
func (a *app) settle(ctx context.Context, resolve gate.Job, progress io.Writer) (api.ImageDetail, error) {
	job, err := a.finished(ctx, resolve.ID, progress)
	if err != nil {
		return api.ImageDetail{}, err
	}
	if job.State != gate.JobDone {
		return api.ImageDetail{}, noVerdict("the image cannot be read: %s", gate.Printable(job.Error, 500))
	}
	digest := job.Digest
	if digest == "" {
		key := gate.TagKey{Location: job.Location, Tag: job.Tags[0]}
		res, err := a.store.Read(ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
		if err != nil {
			return api.ImageDetail{}, err
		}
		digest = res.Tags[key].Digest
	}
	for {
		changed := a.store.Changed()
		entry, pending, err := a.outstanding(ctx, digest)
		if err != nil {
			return api.ImageDetail{}, err
		}
		if pending == "" {
			if err := a.catalog.CatchUp(ctx); err != nil {
				return api.ImageDetail{}, err
			}
			return api.View(ctx, a.store, a.catalog, entry)
		}
		if _, err := a.finished(ctx, pending, progress); err != nil {
			return api.ImageDetail{}, err
		}
		if _, again, err := a.outstanding(ctx, digest); err == nil && again == pending {
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
	}
}

// outstanding finds a live job of a digest or, for an index, of its children.
func (a *app) outstanding(ctx context.Context, d gate.Digest) (gate.Entry, string, error) {
	want := []gate.Digest{d}
	res, err := a.store.Read(ctx, gate.ReadRequest{Digests: want})
	if err != nil {
		return gate.Entry{}, "", err
	}
	entry := res.Digests[d]
	for _, c := range entry.Record.Manifest.Children {
		if c.Judged && c.Digest.Valid() {
			want = append(want, c.Digest)
		}
	}
	if res, err = a.store.Read(ctx, gate.ReadRequest{Digests: want}); err != nil {
		return gate.Entry{}, "", err
	}
	for _, d := range want {
		if j := res.Digests[d].Job; j != nil && j.State.Live() {
			return entry, j.ID, nil
		}
	}
	return res.Digests[d], "", nil
}

// finished waits for the end of a job. A job that waits for a registry tells
// why, and this command does not wait with it.
func (a *app) finished(ctx context.Context, id string, progress io.Writer) (gate.Job, error) {
	var shown gate.Progress
	for {
		changed := a.store.Changed()
		job, err := a.store.Job(ctx, id)
		if err != nil {
			return job, err
		}
		if job.Progress != shown {
			shown = job.Progress
			fmt.Fprintf(progress, "%s: %s\n", job.Kind, describeProgress(shown))
		}
		if !job.State.Live() {
			return job, nil
		}
		if job.State == gate.JobQueued && job.Error != "" {
			return job, noVerdict("the image cannot be read now: %s", gate.Printable(job.Error, 500))
		}
		select {
		case <-ctx.Done():
			return job, context.Cause(ctx)
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

func describeProgress(p gate.Progress) string {
	switch p.Phase {
	case gate.PhaseLayers:
		return fmt.Sprintf("layer %d of %d (%d known), %.1f of %.1f MB", p.LayersDone, p.LayersTotal, p.LayersKnown, float64(p.Bytes)/1e6, float64(p.BytesTotal)/1e6)
	case "":
		return "starting"
	}
	return string(p.Phase)
}
