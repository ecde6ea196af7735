package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
)

// NewAdvisoriesCommands are the commands about the advisory data of a running server:
// update, rollback, accept, and what VEX documents would hide.
func NewAdvisoriesCommands(o *app.Options) []*cobra.Command {
	return []*cobra.Command{newAdvisoriesUpdateCommand(o), newAdvisoriesRollbackCommand(o), newAdvisoriesAcceptCommand(o), newVEXCommand(o)}
}

// AskAdvisories has the command "advisories status" ask a server when --server is given,
// or without a directory to look at.
func AskAdvisories(status *cobra.Command, o *app.Options, hasPath func() bool) {
	var flags clientFlags
	flags.add(status)
	local := status.RunE
	status.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("server") && hasPath() {
			return local(cmd, args)
		}
		format, err := cmd.Flags().GetString("format")
		if err != nil {
			return err
		}
		c, err := forFormat(o, &flags, format)
		if err != nil {
			if flags.server == "" {
				err = fmt.Errorf("advisories.path is empty, so that a server has the data: %w; or name a directory with --path", err)
			}
			return err
		}
		return c.advisories(cmd, http.MethodGet, "", nil, format)
	}
}

// advisories calls an operation and shows how the data stands then.
func (c *Client) advisories(cmd *cobra.Command, method, path string, in any, format string) error {
	var v gate.AdvisoryData
	if err := c.Call(cmd.Context(), method, "/advisories"+path, in, &v); err != nil {
		return err
	}
	if format == "json" {
		return show.PrintJSON(cmd.OutOrStdout(), v)
	}
	return printAdvisories(cmd.OutOrStdout(), v)
}

// whoOrders is who runs the command, for audits.
func whoOrders() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return gate.Printable(name, 100)
}

// ordering is a command that has a server do something about its data: order says which
// operation and with what, besides who orders it, and what follows is shown.
func ordering(o *app.Options, cmd *cobra.Command, order func(args []string) (path string, in map[string]any, err error)) *cobra.Command {
	var flags clientFlags
	var format string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, in, err := order(args)
		if err != nil {
			return err
		}
		c, err := forFormat(o, &flags, format)
		if err != nil {
			return err
		}
		in["by"] = whoOrders()
		return c.advisories(cmd, http.MethodPost, path, in, format)
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	return cmd
}

func newAdvisoriesUpdateCommand(o *app.Options) *cobra.Command {
	return ordering(o, &cobra.Command{
		Use:   "update",
		Short: "Have a server ask the repositories for newer advisory data now",
		Long:  "Have a server ask advisories.repositories now and not at the next advisories.refresh. It answers at once:\nthe process that asks downloads in the background, \"digestgate advisories status --server URL\" shows how far\nit is. Data that was refused is judged again.",
		Args:  cobra.NoArgs,
	}, func([]string) (string, map[string]any, error) { return "/update", map[string]any{}, nil })
}

func newAdvisoriesRollbackCommand(o *app.Options) *cobra.Command {
	var reason string
	cmd := ordering(o, &cobra.Command{
		Use:   "rollback",
		Short: "Put the generation of advisory data before the one in force in force again",
		Long:  "Put the generation before the one in force in force again, under a new number and for all processes.\nIt stays until the repositories offer newer data than that gone back from.",
		Args:  cobra.NoArgs,
	}, func([]string) (string, map[string]any, error) {
		return "/rollback", map[string]any{"reason": reason}, nil
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for audits")
	return cmd
}

func newAdvisoriesAcceptCommand(o *app.Options) *cobra.Command {
	var until, reason string
	cmd := ordering(o, &cobra.Command{
		Use:     "accept DIGEST|BUCKET --until DATE --reason TEXT",
		Short:   "Override the refusal of advisory data, until a date",
		Long:    "Have a server take advisory data that it refuses: a whole generation by its digest, or one bucket by its name\n(\"digestgate advisories status\" lists both). The repositories are asked again at once. The override ends at\nthe date; who made it and why is kept.",
		Example: "  digestgate advisories accept \"debian 12\" --until 2026-12-24 --reason \"Debian moved its tracker\" --server https://gate.example.com",
		Args:    cobra.ExactArgs(1),
	}, func(args []string) (string, map[string]any, error) {
		end, err := parseUntil(until)
		if err == nil && strings.TrimSpace(reason) == "" {
			err = errors.New("--reason is empty: say why, it is kept for audits")
		}
		return "/accept", map[string]any{"what": args[0], "until": end, "reason": reason}, err
	})
	cmd.Flags().StringVar(&until, "until", "", "when the override ends: a day such as 2026-12-24 (its end, UTC), or a time in RFC 3339")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for audits")
	return cmd
}

// parseUntil reads the end of an override: a day counts to its end.
func parseUntil(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--until %s is not a date: write a day such as 2026-12-24, or a time such as 2026-12-24T18:00:00Z", gate.Quoted(text, 60))
	}
	return t, nil
}

func printAdvisories(w io.Writer, v gate.AdvisoryData) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	generation := func(name string, g gate.AdvisoryGeneration) {
		if g.Number == 0 {
			row(name, "none")
			return
		}
		row(name, "generation %d, %s, %s", g.Number, g.Content.Short(), dataOf(g.UpdatedAt))
		for _, s := range g.Sources {
			switch {
			case s.Name != "":
				row("", "source %s, data of %s, %d advisories%s", s.Name, s.UpdatedAt.UTC().Format(time.RFC3339), s.Rows, decidedText(s))
			case s.From != "":
				row("", "from %s", gate.Printable(s.From, 200))
			}
		}
		if j := g.Java; j != nil {
			row("", "index of %d Java archives, %s%s %s", j.Archives, dataOf(j.UpdatedAt), map[bool]string{true: ", older than advisories.java.maxAge"}[j.Stale], gate.Printable(j.From, 200))
		}
		for _, h := range g.Held {
			row("", "bucket %s keeps its rows of %s: %s", gate.Quoted(h.Bucket, 100), h.UpdatedAt.UTC().Format(time.RFC3339), gate.Printable(h.Reason, 300))
		}
	}
	generation("in force", v.InForce)
	if v.InForce.Number > 0 { // whole, as "accept" wants it
		row("", "content %s", v.InForce.Content)
	}
	generation("before", v.Before)
	if b := v.RolledBack; b != nil {
		row("rolled back", "from generation %d, data of %s, by %s at %s: %s", b.Number, b.UpdatedAt.UTC().Format(time.RFC3339), gate.Printable(b.By, 100), b.At.UTC().Format(time.RFC3339), gate.Printable(b.Reason, 200))
	}
	if v.Changed != "" {
		row("sources", "%s: many images may be matched again, those that run first", gate.Printable(v.Changed, 500))
	}
	printSources(row, v)
	printRefresh(row, v)
	printTables(row, v.Tables)
	for _, a := range v.Accepted {
		row("accepted", "%s until %s, by %s: %s", gate.Quoted(a.What, 100), a.Until.UTC().Format(time.RFC3339), gate.Printable(a.By, 100), gate.Printable(a.Reason, 200))
	}
	for _, p := range v.Processes {
		row("process", "%s keeps %d generations", gate.Printable(p.Process, 100), len(p.Contents))
	}
	return t.Flush()
}

// printRefresh shows how asking the repositories goes.
func printRefresh(row func(name, format string, args ...any), v gate.AdvisoryData) {
	if len(v.Repositories) > 0 {
		row("repositories", "%s", gate.Printable(strings.Join(v.Repositories, ", "), 500))
	}
	for _, m := range v.Mirrors {
		row("repository", "%s: %s", gate.Printable(m.Repository, 200), mirrorText(m))
	}
	if !v.CheckedAt.IsZero() {
		row("asked", "at %s by %s, again at %s", v.CheckedAt.UTC().Format(time.RFC3339), gate.Printable(v.CheckedBy, 100), v.NextAt.UTC().Format(time.RFC3339))
	}
	if d := v.Download; d != nil {
		row("under way", "%s %s%s, by %s", gate.Printable(d.Doing, 40), gate.Printable(d.Repository, 200), howFar(d), gate.Printable(d.By, 100))
	}
	if o := v.Offered; o != nil {
		row("offered", "%s, %s", gate.Printable(o.From, 200), dataOf(o.UpdatedAt))
		if o.Content != "" {
			row("", "content %s", o.Content)
		}
		if o.Refused != "" {
			row("", "refused: %s", gate.Printable(o.Refused, 500))
		}
	}
	if j := v.JavaRefresh; j != nil && j.Problem != "" {
		row("Java archives", "%s (%d times in a row), again at %s", gate.Printable(j.Problem, 500), j.Failures, j.NextAt.UTC().Format(time.RFC3339))
	}
	if v.Waiting != "" {
		row("waiting", "%s", gate.Printable(v.Waiting, 600))
	} else if v.Problem != "" {
		row("problem", "%s (%d times in a row)", gate.Printable(v.Problem, 500), v.Failures)
	}
}

// mirrorText is how a repository is, for people.
func mirrorText(m gate.AdvisoryMirror) string {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	text := gate.Printable(m.State, 20)
	if m.Fails() {
		text = fmt.Sprintf("could not be used %d times in a row", m.Failures)
	}
	if !m.RestsUntil.IsZero() {
		text += ", not asked until " + at(m.RestsUntil)
	}
	worked := "never"
	if !m.WorkedAt.IsZero() {
		worked = at(m.WorkedAt)
	}
	text += "; last success: " + worked
	if !m.FailedAt.IsZero() {
		text += fmt.Sprintf("; last failure: %s, %s", at(m.FailedAt), gate.Printable(m.LastError, 300))
	}
	return text
}

// dataOf says of when data is; it may not be known here, or not at all.
func dataOf(at time.Time) string {
	if !gate.AgeKnown(at) {
		return "data of an unknown time"
	}
	return "data of " + at.UTC().Format(time.RFC3339)
}

// howFar is how much of a download there is, "" before that is known.
func howFar(d *gate.AdvisoryDownload) string {
	switch {
	case d.Total > 0:
		return fmt.Sprintf(": %s of %s", gate.ByteSize(d.Done), gate.ByteSize(d.Total))
	case d.Done > 0:
		return fmt.Sprintf(": %s", gate.ByteSize(d.Done))
	}
	return ""
}

// decidedText says how many advisories of a source others stand for.
func decidedText(s gate.AdvisorySource) string {
	if s.Alike+s.Overruled+s.Replaced == 0 {
		return ""
	}
	return fmt.Sprintf(", %d decided by sources before it (%d of these otherwise), %d replaced", s.Alike+s.Overruled, s.Overruled, s.Replaced)
}

// printSources shows how the sources go of which generations are composed.
func printSources(row func(name, format string, args ...any), v gate.AdvisoryData) {
	for _, s := range v.Sources {
		of := "no data yet"
		if !s.UpdatedAt.IsZero() {
			of = fmt.Sprintf("data of %s, %d advisories", s.UpdatedAt.UTC().Format(time.RFC3339), s.Rows)
		}
		row("source", "%s: %s, %s, priority %d", s.Name, s.State, of, s.Priority)
		if s.Where != "" {
			row("", "%s %s", s.Kind, gate.Printable(s.Where, 200))
		}
		if s.Licence != "" {
			row("", "licence: %s", gate.Printable(s.Licence, 200))
		}
		if s.Problem != "" {
			row("", "problem: %s", gate.Printable(s.Problem, 500))
		}
	}
}
