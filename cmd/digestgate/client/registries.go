package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/pipeline"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/gate/view"
)

func NewRegistriesCommand(o *app.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registries",
		Short: "List, test and synchronise the registries of a server",
	}
	cmd.AddCommand(newRegistriesListCommand(o), newRegistriesTestCommand(o), newRegistriesSyncCommand(o))
	return cmd
}

func newRegistriesListCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use:   "list",
		Short: "List the registries, when they were last heard of and how their synchronisation stands",
		Args:  cobra.NoArgs,
	}, func(c *Client, cmd *cobra.Command, _ []string, format string) error {
		var out struct {
			Registries []view.Registry `json:"registries"`
		}
		if err := c.Call(cmd.Context(), http.MethodGet, "/registries", nil, &out); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), out)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tTYPE\tHOST\tLAST EVENT\tSYNC\tLAST SYNC\tPROBLEM")
		for _, r := range out.Registries {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Type, r.Host, lastEvent(r.LastEvent),
				r.Sync.State, since(r.Sync.LastTags), gate.Printable(r.Sync.Error, 100))
		}
		return w.Flush()
	})
}

func newRegistriesTestCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format, repository string
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Test the connection from a server to a registry",
		Long: `Have the server test its connection to a registry step by step: reachability,
certificate, login, catalog, pull. Of one image the manifest and the beginning of a layer are read.

Exit status: 0 when no step failed, otherwise 1.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			var out struct {
				OK    bool        `json:"ok"`
				Steps []view.Step `json:"steps"`
			}
			err = c.Call(cmd.Context(), http.MethodPost, "/registries/"+url.PathEscape(args[0])+"/test", map[string]any{"repository": repository}, &out)
			if err != nil {
				return err
			}
			if format == "json" {
				err = show.PrintJSON(cmd.OutOrStdout(), out)
			} else {
				printSteps(cmd.OutOrStdout(), out.Steps)
			}
			if err == nil && !out.OK {
				err = errors.New("the connection test failed")
			}
			return err
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().StringVar(&repository, "repository", "", "where a manifest is looked for, instead of one that the registry lists")
	return cmd
}

func printSteps(w io.Writer, steps []view.Step) {
	for _, s := range steps {
		fmt.Fprintf(w, "%-8s %-13s %s\n", s.Result, s.Name, gate.Printable(s.Text, 600))
		if s.Advice != "" {
			fmt.Fprintf(w, "%-8s %-13s -> %s\n", "", "", gate.Printable(s.Advice, 600))
		}
	}
}

func newRegistriesSyncCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format string
	var full, wait bool
	cmd := &cobra.Command{
		Use:   "sync NAME",
		Short: "Have a registry synchronised now",
		Long: `Ask the server to compare a registry's tags with those that are known and to
read the new, moved and vanished ones, at low priority. The run continues
when this command ends; a second request while it runs is harmless.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			path := "/registries/" + url.PathEscape(args[0]) + "/sync"
			var st view.Sync
			if err := c.Call(cmd.Context(), http.MethodPost, path, map[string]any{"full": full}, &st); err != nil {
				return err
			}
			if wait {
				if err := c.follow(cmd.Context(), path, &st, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			if format == "json" {
				return show.PrintJSON(cmd.OutOrStdout(), st)
			}
			printSync(cmd.OutOrStdout(), st)
			return nil
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().BoolVar(&full, "full", false, "confirm every tag, not only new ones and some of the known")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the end, with progress on stderr")
	return cmd
}

// follow polls until the synchronisation that was asked for has ended.
func (c *Client) follow(ctx context.Context, path string, st *view.Sync, progress io.Writer) error {
	shown, looked := "", false
	return pipeline.Await(ctx, nil, waitPoll, func(ctx context.Context) (bool, error) {
		if looked { // the request has been answered with how it stands
			if err := c.Call(ctx, http.MethodGet, path, nil, st); err != nil {
				return false, err
			}
		}
		looked = true
		if st.State == registrysync.Done {
			return true, nil
		}
		line := fmt.Sprintf("%s: %s, %d of %d repositories, %d queued %s", st.Registry, st.State,
			st.Counts.Done, st.Counts.Repositories, st.Counts.Queued+st.Counts.Gone, gate.Printable(st.Error, 200))
		if line != shown {
			shown = line
			fmt.Fprintln(progress, line)
		}
		return false, nil
	})
}

func printSync(w io.Writer, st view.Sync) {
	kind := "comparison of tags"
	if st.Full {
		kind = "full synchronisation"
	}
	fmt.Fprintf(w, "%s: %s", st.Registry, st.State)
	if st.StartedAt != nil {
		fmt.Fprintf(w, "; %s begun %s: %d of %d repositories, %d tags, %d queued, %d gone, %d problems",
			kind, since(st.StartedAt), st.Counts.Done, st.Counts.Repositories, st.Counts.Tags, st.Counts.Queued, st.Counts.Gone, st.Counts.Problems)
	}
	fmt.Fprintln(w)
	if st.NextTryAt != nil {
		fmt.Fprintf(w, "continues at %s\n", st.NextTryAt.Format(time.RFC3339))
	}
	for _, text := range []string{st.Error, st.Note} {
		if text != "" {
			fmt.Fprintln(w, gate.Printable(text, 500))
		}
	}
}

func lastEvent(e *view.LastEvent) string {
	if e == nil {
		return "never"
	}
	return fmt.Sprintf("%s (%s)", e.At.Format(time.RFC3339), e.State)
}

func since(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format(time.RFC3339)
}

// addFormat gives a command the flag that forFormat checks.
func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "table", "table or json")
}

// asking is a command that calls the server once and shows what it answers.
func asking(o *app.Options, cmd *cobra.Command, run func(c *Client, cmd *cobra.Command, args []string, format string) error) *cobra.Command {
	var flags clientFlags
	var format string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := forFormat(o, &flags, format)
		if err != nil {
			return err
		}
		return run(c, cmd, args, format)
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	return cmd
}

// forFormat is the client of a command that prints in one of the formats.
func forFormat(o *app.Options, flags *clientFlags, format string) (*Client, error) {
	if err := show.ValidFormat(format); err != nil {
		return nil, err
	}
	return flags.client(o.Environ)
}
