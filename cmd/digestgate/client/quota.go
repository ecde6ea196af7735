package client

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

func NewQuotaCommand(o *app.Options) *cobra.Command {
	return asking(o, &cobra.Command{
		Use:   "quota",
		Short: "Show what the period has used of the scan quota, and what it will need",
		Long: `Ask a server how its scan quota stands: the limit of the running period, what it
has used, the digests that wait because it is used up, the requests that
cost nothing, and what the period will have needed at its end at the present pace.

Exit status: 0, also when the quota is used up; 1 when the server cannot be
asked.`,
		Args: cobra.NoArgs,
	}, func(c *Client, cmd *cobra.Command, _ []string, format string) error {
		var q view.QuotaView
		if err := c.Call(cmd.Context(), http.MethodGet, "/quota", nil, &q); err != nil {
			return err
		}
		if format == "json" {
			return show.PrintJSON(cmd.OutOrStdout(), q)
		}
		return PrintQuota(cmd.OutOrStdout(), q)
	})
}

func PrintQuota(w io.Writer, q view.QuotaView) error {
	limit, forecast, ends := "unlimited", "-", "never"
	if q.Limit > 0 {
		limit = strconv.FormatInt(q.Limit, 10)
	}
	if q.Forecast != nil {
		forecast = strconv.FormatInt(*q.Forecast, 10)
	}
	if q.ResetsAt != nil {
		ends = q.ResetsAt.Format(time.RFC3339)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PERIOD\tLIMIT\tUSED\tWAITING\tAVOIDED\tFORECAST\tENDS")
	fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", gate.Printable(q.Period, 40), limit, q.Used, q.Waiting, q.Avoided, forecast, ends)
	if err := t.Flush(); err != nil {
		return err
	}
	var err error
	switch {
	case q.Limit > 0 && q.Used >= q.Limit && q.ResetsAt == nil:
		_, err = fmt.Fprintln(w, "The quota is used up: new digests wait until quota.limit is raised; known ones are still decided.")
	case q.Limit > 0 && q.Used >= q.Limit:
		_, err = fmt.Fprintf(w, "The quota is used up: new digests wait until %s; known ones are still decided.\n", ends)
	case q.ExhaustedAt != nil:
		_, err = fmt.Fprintf(w, "At this pace the quota is used up at %s.\n", q.ExhaustedAt.Format(time.RFC3339))
	}
	return err
}
