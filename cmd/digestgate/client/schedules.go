package client

import (
	"encoding/json"
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
	"github.com/digestgate/digestgate/gate/view"
)

const scheduleHeader = "NAME\tSOURCE\tENABLED\tKIND\tWHEN\tNEXT RUN\tLAST RUN\tPROBLEM"

func NewSchedulesCommand(o *app.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedules",
		Short: "List and change the schedules of a server, and their runs",
		Long: `List the schedules of a server with their next runs. Add, remove and switch schedules
that are kept in its store; those of the configuration file are changed there. Start, pause,
resume and cancel the runs of all schedules.`,
	}
	path := func(verb string) func(string) string {
		return func(name string) string { return "/schedules/" + url.PathEscape(name) + "/" + verb }
	}
	cmd.AddCommand(newSchedulesListCommand(o), newSchedulesShowCommand(o), newSchedulesAddCommand(o), newSchedulesSetCommand(o),
		newVerbCommand(o, verbCommand{
			use: "remove NAME...", short: "Remove schedules that were added through the API, and cancel their runs",
			method: http.MethodDelete, path: func(name string) string { return "/schedules/" + url.PathEscape(name) }, done: "removed",
		}),
		newVerbCommand(o, verbCommand{use: "enable NAME...", short: "Switch on schedules that were added through the API", path: path("enable"), print: printSchedules}),
		newVerbCommand(o, verbCommand{
			use: "disable NAME...", short: "Switch off schedules that were added through the API", path: path("disable"), print: printSchedules,
			long: `Switch off schedules that were added through the API. A run that is under way continues;
"digestgate schedules cancel" ends it. Runs that are due while a schedule is off are left out.
To switch off a schedule of the configuration file, set its key enabled to false.`,
		}),
		newVerbCommand(o, verbCommand{
			use: "run NAME...", short: "Start runs of schedules now", path: path("run"), print: printScans,
			long: `Start a run of each schedule now, whether it is enabled or not. Outside its window the
run waits.`,
		}))
	for _, v := range runVerbs() {
		cmd.AddCommand(newVerbCommand(o, verbCommand{use: v.verb + " NAME...", short: v.short + " runs of schedules", path: path(v.verb), print: printScans}))
	}
	return cmd
}

func printSchedules(w io.Writer, format string, rows []json.RawMessage) error {
	if format == "json" {
		return show.PrintJSON(w, map[string]any{"schedules": rows})
	}
	return printList(w, io.Discard, format, "schedules", rows, "", scheduleHeader, scheduleLine)
}

func scheduleLine(s view.Schedule) string {
	next, last := "-", "never"
	if len(s.Next) > 0 {
		next = since(&s.Next[0])
	}
	switch {
	case s.Run != nil:
		last = fmt.Sprintf("%s, %s images", s.Run.State, progressOf(*s.Run))
	case s.LastRun != nil:
		last = fmt.Sprintf("%s %s", s.LastRun.State, since(s.LastRun.FinishedAt))
	}
	return fmt.Sprintf("%s\t%s\t%t\t%s\t%s\t%s\t%s\t%s", gate.Printable(s.Name, 63), s.Source, s.Enabled, s.Kind, gate.Printable(when(s), 100), next, last, show.Cell(s.Problem, 200))
}

// when are the times of a schedule in words.
func when(s view.Schedule) string {
	text := s.Cron
	if s.Every != "" {
		at := s.At
		if at == "" {
			at = "00:00"
		}
		text = "every " + s.Every + " at " + at
	}
	return text + " " + s.TimeZone
}

func newSchedulesListCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use: "list", Short: "List the schedules of a server", Args: cobra.NoArgs,
	}, func(c *Client, cmd *cobra.Command, _ []string, format string) error {
		var out struct{ Schedules []json.RawMessage }
		if err := c.Call(cmd.Context(), http.MethodGet, "/schedules", nil, &out); err != nil {
			return err
		}
		return printSchedules(cmd.OutOrStdout(), format, out.Schedules)
	})
}

func newSchedulesShowCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use: "show NAME", Short: "Show one schedule: its next five runs, the run under way and the last one", Args: cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		var raw json.RawMessage
		if err := c.Call(cmd.Context(), http.MethodGet, "/schedules/"+url.PathEscape(args[0]), nil, &raw); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), raw)
		}
		var s view.Schedule
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("reading the server's answer: %w", err)
		}
		return showSchedule(cmd.OutOrStdout(), s)
	})
}

func showSchedule(out io.Writer, s view.Schedule) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, gate.Printable(value, 300))
		}
	}
	line("name", s.Name)
	line("source", s.Source)
	line("enabled", fmt.Sprint(s.Enabled))
	line("kind", string(s.Kind))
	line("when", when(s))
	line("window", s.Window)
	line("scope", scopeText(s.Scope))
	line("risks", joinedRisks(s.Risks))
	line("rate", rateText(s.Rate))
	if s.Concurrency > 0 {
		line("at a time", show.Count(s.Concurrency, "image"))
	}
	line("problem", s.Problem)
	for _, at := range s.Next {
		line("next run", since(&at))
	}
	if s.LastTick != nil {
		line("last due", since(s.LastTick)+" "+s.LastResult)
	}
	for key, t := range map[string]*view.ScanTask{"run": s.Run, "last run": s.LastRun} {
		if t == nil {
			continue
		}
		text := fmt.Sprintf("%s %s, %s images, %d failed, %d skipped", t.ID, t.State, progressOf(*t), t.Failed, t.Skipped)
		if t.ExpectedEnd != nil {
			text += ", expected to end at " + t.ExpectedEnd.Format(time.RFC3339)
		}
		if t.FinishedAt != nil {
			text += ", ended at " + t.FinishedAt.Format(time.RFC3339)
		}
		if why := whyOf(*t); why != "" {
			text += ": " + why
		}
		line(key, text)
	}
	return w.Flush()
}

func newSchedulesAddCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var chosen scheduleFlags
	var format string
	var disabled bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a schedule to a server",
		Long: `Add a schedule to a server, which keeps it in its store: every process on the store
follows it. Without a flag that chooses images it is for every image. It cannot change a
schedule of the configuration file.`,
		Example: `  digestgate schedules add nightly --kind match --cron "0 1 * * *" --time-zone Asia/Shanghai
  digestgate schedules add fortnight --kind content --every 15d --at 22:00 --window 22:00-06:00 --rate 200 --running`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			if chosen.cron == "" && chosen.every == "" {
				return errors.New("--cron and --every are both empty: give one of them, such as --cron \"0 1 * * *\" or --every 3d")
			}
			in := map[string]any{"name": args[0], "kind": chosen.kind, "enabled": !disabled}
			chosen.change(cmd, in)
			var raw json.RawMessage
			if err := c.Call(cmd.Context(), http.MethodPost, "/schedules", in, &raw); err != nil {
				return err
			}
			return printSchedules(cmd.OutOrStdout(), format, []json.RawMessage{raw})
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	chosen.add(cmd)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "add it switched off")
	return cmd
}
