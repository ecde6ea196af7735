package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

const scanHeader = "SCAN\tKIND\tSTATE\tPROGRESS\tFAILED\tSKIPPED\tCREATED\tEXPECTED END\tSCHEDULE\tWHY"

func NewScansCommand(o *app.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scans",
		Short: "Start, list and stop scans of many images",
		Long: `Start, list and stop scan tasks: scans of many images at once. The runs of schedules
are scan tasks too. Single images are scanned with "digestgate scan IMAGE".`,
	}
	cmd.AddCommand(newScansListCommand(o), newScansShowCommand(o), newScansStartCommand(o))
	for _, v := range runVerbs() {
		cmd.AddCommand(newVerbCommand(o, verbCommand{
			use: v.verb + " SCAN...", short: v.short + " scan tasks", path: func(id string) string { return "/scans/" + url.PathEscape(id) + "/" + v.verb },
			print: printScans,
		}))
	}
	return cmd
}

func printScans(w io.Writer, format string, rows []json.RawMessage) error {
	if format == "json" {
		return show.PrintJSON(w, map[string]any{"scans": rows})
	}
	return printList(w, io.Discard, format, "scans", rows, "", scanHeader, scanLine)
}

func scanLine(t view.ScanTask) string {
	end := "-"
	if t.ExpectedEnd != nil {
		end = since(t.ExpectedEnd)
	}
	if t.FinishedAt != nil {
		end = since(t.FinishedAt)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s", gate.Printable(t.ID, 100), t.Kind, t.State, progressOf(t), t.Failed, t.Skipped,
		since(&t.CreatedAt), end, orDash(gate.Printable(t.Schedule, 63)), show.Cell(whyOf(t), 300))
}

// whyOf says why a task waits, has failed, or has nothing to do.
func whyOf(t view.ScanTask) string {
	why := t.Error
	switch {
	case why == "" && t.Note != "":
		why = t.Note
	case t.RetryAt != nil:
		why += " (tried again at " + since(t.RetryAt) + ")"
	case t.State == gate.ScanWaiting && why == "" && t.Window != "":
		why = "waits for its window " + t.Window + " " + t.TimeZone
	}
	return why
}

// progressOf is how many images of a task were dealt with: done, failed or skipped.
func progressOf(t view.ScanTask) string {
	if t.Total == nil {
		return "-"
	}
	return fmt.Sprintf("%d of %d", t.Done+t.Failed+t.Skipped, *t.Total)
}

func newScansListCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format, state, name string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scan tasks of a server, the newest first",
		Long: `List the scan tasks of a server, the newest first: those that have not ended, the
last 50 that have, and the last run of each schedule.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := oneOf("state", state, gate.ScanQueued, gate.ScanRunning, gate.ScanWaiting, gate.ScanPaused, gate.ScanDone, gate.ScanCancelled, gate.ScanFailed)
			if err != nil {
				return err
			}
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			q := url.Values{}
			for key, value := range map[string]string{"state": state, "schedule": name} {
				if value != "" {
					q.Set(key, value)
				}
			}
			var out struct{ Scans []json.RawMessage }
			if err := c.Call(cmd.Context(), http.MethodGet, "/scans?"+q.Encode(), nil, &out); err != nil {
				return err
			}
			return printScans(cmd.OutOrStdout(), format, out.Scans)
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().StringVar(&state, "state", "", "only tasks in this state: queued, running, waiting, paused, done, cancelled or failed")
	cmd.Flags().StringVar(&name, "schedule", "", "only runs of this schedule")
	return cmd
}

func newScansShowCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use: "show SCAN", Short: "Show one scan task", Args: cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		var raw json.RawMessage
		if err := c.Call(cmd.Context(), http.MethodGet, "/scans/"+url.PathEscape(args[0]), nil, &raw); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), raw)
		}
		var t view.ScanTask
		if err := json.Unmarshal(raw, &t); err != nil {
			return fmt.Errorf("reading the server's answer: %w", err)
		}
		return showScan(cmd.OutOrStdout(), t)
	})
}
