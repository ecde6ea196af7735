package client

import (
	"context"
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

func NewFindingsCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format, severity string
	cmd := &cobra.Command{
		Use:   "findings IMAGE",
		Short: "Show what a server has found in an image",
		Long: `Show the vulnerabilities, secrets and gaps of an image, for an index those of each
platform that is judged. IMAGE is a reference, a digest or the beginning of one.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("severity", severity, gate.Severities()...); err != nil {
				return err
			}
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			found, err := c.findings(cmd.Context(), args[0], severity, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if format == "json" {
				return show.PrintJSON(cmd.OutOrStdout(), map[string]any{"findings": found})
			}
			return printFound(cmd.OutOrStdout(), found)
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().StringVar(&severity, "severity", "", "only vulnerabilities of this severity: CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN")
	return cmd
}

// PlatformFindings is what the API says of one platform.
type PlatformFindings struct {
	Platform string `json:"platform"`
	view.FindingsDetail
}

// Findings asks for each platform that is judged. A platform that was not analysed
// has none; where none was, the server's words about it are the error.
func (c *Client) findings(ctx context.Context, image, severity string, notes io.Writer) ([]PlatformFindings, error) {
	d, err := c.find(ctx, image)
	if err != nil {
		return nil, err
	}
	var v view.ImageDetail
	if err := c.Call(ctx, http.MethodGet, "/images/"+string(d), nil, &v); err != nil {
		return nil, err
	}
	platforms := v.Platforms
	if v.Kind != gate.KindIndex {
		platforms = []view.PlatformDetail{{Digest: d, Judged: true}}
		if len(v.Platforms) == 1 {
			platforms[0].Platform = v.Platforms[0].Platform
		}
	}
	query := ""
	if severity != "" {
		query = "?" + url.Values{"severity": {severity}}.Encode()
	}
	var list []PlatformFindings
	var missing error
	for _, p := range platforms {
		if !p.Judged {
			continue
		}
		f := PlatformFindings{Platform: p.Platform}
		var raw json.RawMessage
		if err := c.Call(ctx, http.MethodGet, "/images/"+string(p.Digest)+"/findings"+query, nil, &raw); err != nil {
			missing = err
			if p.Platform != "" {
				fmt.Fprintf(notes, "note: %s is %s, and has no findings\n", gate.Printable(p.Platform, 100), p.State)
			}
			continue
		}
		if err := json.Unmarshal(raw, &f.FindingsDetail); err != nil {
			return nil, fmt.Errorf("reading the server's answer: %w", err)
		}
		list = append(list, f)
	}
	if len(list) == 0 && missing == nil {
		missing = fmt.Errorf("no platform of %s is judged; its state is %s", d.Short(), v.State)
	}
	if len(list) == 0 {
		return nil, missing
	}
	return list, nil
}

func printFound(w io.Writer, list []PlatformFindings) error {
	for i, f := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s  %s\n", show.Cell(f.Platform, 100), f.Digest)
		switch why := show.NotCompared(f.FindingsDetail); {
		case why != "":
			fmt.Fprintf(w, "vulnerabilities: not compared: %s\n", why)
		case len(f.Vulnerabilities) == 0:
			fmt.Fprintf(w, "no vulnerability found in %s\n", show.Count(f.Packages, "package"))
		}
		if err := show.PrintFindings(w, "", f.FindingsDetail); err != nil {
			return err
		}
	}
	return nil
}
