package client

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strings"
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
		return c.advisories(cmd, http.MethodGet, "", nil, format, nil)
	}
}

// advisories calls an operation and shows how the data stands then.
func (c *Client) advisories(cmd *cobra.Command, method, path string, in any, format string, says func(gate.AdvisoryData) string) error {
	var v gate.AdvisoryData
	if err := c.Call(cmd.Context(), method, "/advisories"+path, in, &v); err != nil {
		return err
	}
	if says != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), says(v))
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
// says, when it is there, what the order comes to, for people.
func ordering(o *app.Options, cmd *cobra.Command, order func(args []string) (path string, in map[string]any, err error), says func(gate.AdvisoryData) string) *cobra.Command {
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
		return c.advisories(cmd, http.MethodPost, path, in, format, says)
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
	}, func([]string) (string, map[string]any, error) { return "/update", map[string]any{}, nil }, updateSays)
}

// updateSays is what an order to ask for newer data comes to.
func updateSays(v gate.AdvisoryData) string {
	asked := slices.Clone(v.Repositories)
	for _, s := range v.Sources {
		if s.Kind != "path" && s.Kind != "trivy-db" {
			asked = append(asked, s.Name)
		}
	}
	if len(asked) == 0 {
		return "nothing was asked: this server has no repository and no feed of advisory data. It looks at its directories (advisories.path, advisories.sources[].path) every 15 s by itself; put new data there"
	}
	return gate.Printable("asked for newer data now: "+strings.Join(asked, ", "), 1000) + "; \"digestgate advisories status\" shows how far it is"
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
	}, nil)
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
	}, nil)
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
