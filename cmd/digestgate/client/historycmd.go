package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// historyPage is how many changes one request asks for.
const historyPage = 199

func newHistoryCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format string
	var limit int
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "history IMAGE",
		Short: "Show the changes of an image, with their times",
		Long: `Show the changes of an image, the newest first: vulnerabilities found and fixed,
severities and verdicts, each with its trigger and the generation of the advisory data.
IMAGE is a reference, a digest or the beginning of one; for an index each platform is shown.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return fmt.Errorf("--limit %d: want 1 or more", limit)
			}
			if since < 0 {
				return fmt.Errorf("--since %s: want a positive duration, such as 720h", since)
			}
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			list, err := c.histories(cmd.Context(), args[0], limit, since)
			if err != nil {
				return err
			}
			if format == "json" {
				return show.PrintJSON(cmd.OutOrStdout(), map[string]any{"histories": list})
			}
			return printHistories(cmd.OutOrStdout(), list)
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().IntVar(&limit, "limit", 50, "most changes listed for each platform")
	cmd.Flags().DurationVar(&since, "since", 0, "only changes within this time, such as 720h for 30 days")
	return cmd
}

// platformHistory is the history of one platform's image.
type platformHistory struct {
	Platform string `json:"platform"`
	view.History
}

func (c *Client) histories(ctx context.Context, image string, limit int, since time.Duration) ([]platformHistory, error) {
	d, err := c.find(ctx, image)
	if err != nil {
		return nil, err
	}
	own, err := c.history(ctx, d, limit, since)
	if err != nil || len(own.Platforms) == 0 {
		return []platformHistory{{History: own}}, err
	}
	var list []platformHistory
	for _, p := range own.Platforms {
		if !p.Judged {
			continue
		}
		h, err := c.history(ctx, p.Digest, limit, since)
		if err != nil {
			return nil, err
		}
		list = append(list, platformHistory{p.Platform, h})
	}
	return list, nil
}

// history asks for page after page of one digest.
func (c *Client) history(ctx context.Context, d gate.Digest, limit int, since time.Duration) (all view.History, err error) {
	q := url.Values{}
	if since > 0 {
		q.Set("since", time.Now().Add(-since).UTC().Format(time.RFC3339))
	}
	for {
		q.Set("limit", strconv.Itoa(min(historyPage, limit-len(all.Entries))))
		var page view.History
		if err := c.Call(ctx, http.MethodGet, "/images/"+string(d)+"/history?"+q.Encode(), nil, &page); err != nil {
			return all, err
		}
		page.Entries = append(all.Entries, page.Entries...)
		before := all.Next
		if all = page; all.Next == 0 || len(all.Entries) >= limit {
			return all, nil
		}
		if all.Next == before {
			return all, fmt.Errorf("reading the server's answer: the history of %s does not end", d)
		}
		q.Set("before", strconv.FormatInt(all.Next, 10))
	}
}

func printHistories(w io.Writer, list []platformHistory) error {
	for i, h := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if h.Platform != "" {
			fmt.Fprintf(w, "%s %s\n", show.Cell(h.Platform, 60), h.Digest)
		}
		if len(h.Entries) == 0 {
			fmt.Fprintln(w, "no changes in the history that is kept")
			continue
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "TIME\tTRIGGER\tADVISORIES\tCHANGE")
		for _, e := range h.Entries {
			for n, line := range changeLines(e) {
				head := "\t\t"
				if n == 0 {
					head = fmt.Sprintf("%s\t%s\t%d", e.At.UTC().Format("2006-01-02 15:04 UTC"), show.Cell(orDash(string(e.Trigger)), 20), e.Generation)
				}
				fmt.Fprintf(t, "%s\t%s\n", head, line)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// changeLines say what changed, one line each.
func changeLines(e view.HistoryEntry) (lines []string) {
	if f := e.Findings; f != nil {
		lines = findingLines(f)
	}
	for _, v := range e.Verdicts {
		before := string(v.Before.Decision)
		if before == "" {
			before = "no verdict"
		}
		line := fmt.Sprintf("verdict %s -> %s at %s/%s", before, v.After.Decision, v.Registry, v.Repository)
		if len(v.After.Rules) > 0 {
			line += " by " + strings.Join(v.After.Rules, ", ")
		}
		lines = append(lines, show.Cell(line, 200))
	}
	if e.MoreVerdicts > 0 {
		lines = append(lines, fmt.Sprintf("and %s", show.Count(e.MoreVerdicts, "other verdict")))
	}
	if len(lines) == 0 {
		lines = []string{"-"}
	}
	return lines
}

func findingLines(f *view.FindingsChange) (lines []string) {
	switch {
	case f.First:
		lines = append(lines, fmt.Sprintf("first findings: %s", countsText(f.Counts)))
	case f.Lost:
		lines = append(lines, fmt.Sprintf("the earlier findings could not be read; now %s", countsText(f.Counts)))
	}
	if f.Unassessable != "" {
		lines = append(lines, show.Cell("cannot be judged: "+f.Unassessable, 200))
	}
	list := func(what string, c view.ChangedFindings) {
		for _, x := range c.List {
			line := fmt.Sprintf("%s %s %s in %s %s", what, x.Severity, x.ID, x.Package, x.InstalledVersion)
			if x.FixedVersion != "" {
				line += " (fixed in " + x.FixedVersion + ")"
			}
			lines = append(lines, show.Cell(line, 200))
		}
		if more := c.Counts.Total() - len(c.List); more > 0 && !f.First {
			lines = append(lines, fmt.Sprintf("%s %d more", what, more))
		}
	}
	list("found", f.Found)
	list("gone", f.Fixed)
	for _, x := range f.Severity {
		lines = append(lines, show.Cell(fmt.Sprintf("severity %s -> %s of %s in %s", x.Before, x.Severity, x.ID, x.Package), 200))
	}
	if f.MoreSeverity > 0 {
		lines = append(lines, fmt.Sprintf("and %s", show.Count(f.MoreSeverity, "other severity")))
	}
	if n := f.Unseen.Total(); n > 0 {
		lines = append(lines, fmt.Sprintf("%d earlier findings are no longer seen, but may still apply", n))
	}
	return lines
}

func countsText(c gate.Counts) string {
	return fmt.Sprintf("%d critical, %d high, %d medium, %d low, %d unknown", c.Critical, c.High, c.Medium, c.Low, c.Unknown)
}

// NewVulnerabilityCommand makes the command "vulnerability".
func NewVulnerabilityCommand(o *app.Options) *cobra.Command {
	var flags listFlags
	var registry, repository, severity, decision string
	var running, fixed bool
	cmd := &cobra.Command{
		Use:   "vulnerability ID",
		Short: "List the images that a vulnerability affects",
		Long: `List the images that have a vulnerability, with the packages and when it was first seen in each
image. ID is a CVE (CVE-2021-44228), a GHSA or the id of a vendor's advisory.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("severity", severity, gate.Severities()...); err != nil {
				return err
			}
			if err := oneOf("decision", decision, gate.OutcomeAllow, gate.OutcomeWarn, gate.OutcomeDeny, gate.OutcomeNone); err != nil {
				return err
			}
			id, err := gate.VulnerabilityID(args[0])
			if err != nil {
				return err
			}
			c, err := flags.open(o)
			if err != nil {
				return err
			}
			filters := url.Values{"registry": {registry}, "repository": {repository}, "severity": {severity}, "decision": {decision}, "running": {""}, "fixed": {""}}
			for name, set := range map[string]bool{"running": running, "fixed": fixed} {
				if set {
					filters.Set(name, "true")
				}
			}
			rows, next, err := flags.listAt(cmd.Context(), c, "vulnerabilities/"+url.PathEscape(id), "images", filters)
			if err != nil {
				return err
			}
			return printList(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format, "images", rows, next,
				"DIGEST\tDECISION\tRUNNING\tSEVERITY\tFIRST SEEN\tPACKAGE\tFIXED IN\tIMAGE", affectedLine)
		},
	}
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&registry, "registry", "", "only images of this registry, by its configured name")
	f.StringVar(&repository, "repository", "", "only images of this repository, by its full name")
	f.StringVar(&severity, "severity", "", "only findings of this severity: CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN")
	f.StringVar(&decision, "decision", "", "only images with this standing verdict: allow, warn, deny or none")
	f.BoolVar(&running, "running", false, "only images that admission was asked for lately")
	f.BoolVar(&fixed, "fixed", false, "only packages for which a version with a fix is known")
	return cmd
}

func affectedLine(i view.AffectedImage) string {
	if len(i.Packages) == 0 {
		return i.Digest.Short()
	}
	p := i.Packages[0]
	name := p.Name + " " + p.InstalledVersion
	if more := len(i.Packages) - 1; more > 0 {
		name += fmt.Sprintf(" and %d more", more)
	}
	running := "-"
	if i.Running {
		running = "yes"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", i.Digest.Short(), i.Decision, running, p.Severity, p.FirstSeen.UTC().Format("2006-01-02"),
		show.Cell(name, 80), show.Cell(orDash(p.FixedVersion), 40), placesText(i.Locations))
}
