package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// scanFlags say which images are scanned, and how.
type scanFlags struct {
	registries, types, repositories, tags []string
	pushedWithin                          time.Duration
	running, recommended                  bool
	verdict                               string
	risks                                 []string
	rate, concurrency                     int
	window, timeZone                      string
}

func (f *scanFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.registries, "registry", nil, "only images of this configured registry; repeatable")
	flags.StringSliceVar(&f.types, "registry-type", nil, "only images of registries of this type, such as harbor; repeatable")
	flags.StringSliceVar(&f.repositories, "repository", nil, "only images of repositories that match this pattern, such as 'library/**'; repeatable")
	flags.StringSliceVar(&f.tags, "tag", nil, "only images with a tag that matches this pattern, such as 'v1.*'; repeatable")
	flags.DurationVar(&f.pushedWithin, "pushed-within", 0, "only images that were first seen within this time, such as 360h for 15 days")
	flags.BoolVar(&f.running, "running", false, "only images that admission was asked for lately")
	flags.BoolVar(&f.recommended, "recommended", false, "only images that are running, were pushed in the last 7 days, or were never scanned")
	flags.StringVar(&f.verdict, "verdict", "", "only images with this standing verdict: allow, warn, deny or none")
	flags.StringSliceVar(&f.risks, "risk", nil, "risk to look at, such as vulnerabilities for --kind match; all by default; repeatable")
	flags.IntVar(&f.rate, "rate", 0, "most images begun in an hour; 0 sets no limit")
	flags.IntVar(&f.concurrency, "concurrency", 0, "images at a time; 0 leaves it to the server")
	flags.StringVar(&f.window, "window", "", "time of the day in which images are begun, such as 00:00-07:00; any time by default")
	flags.StringVar(&f.timeZone, "time-zone", "", "IANA name of the time zone, such as Asia/Shanghai; UTC by default")
}

// scope is the scope of a request; empty when nothing chooses images.
func (f *scanFlags) scope() map[string]any {
	scope := map[string]any{}
	for key, list := range map[string][]string{"registries": f.registries, "registryTypes": f.types, "repositories": f.repositories, "tags": f.tags} {
		if len(list) > 0 {
			scope[key] = list
		}
	}
	for key, is := range map[string]bool{"running": f.running, "recommended": f.recommended} {
		if is {
			scope[key] = true
		}
	}
	if f.pushedWithin != 0 {
		scope["pushedWithin"] = f.pushedWithin.String()
	}
	if f.verdict != "" {
		scope["verdict"] = f.verdict
	}
	return scope
}

// request adds how images are scanned.
func (f *scanFlags) request(in map[string]any) map[string]any {
	if len(f.risks) > 0 {
		in["risks"] = f.risks
	}
	for key, n := range map[string]int{"rate": f.rate, "concurrency": f.concurrency} {
		if n != 0 {
			in[key] = n
		}
	}
	for key, text := range map[string]string{"window": f.window, "timeZone": f.timeZone} {
		if text != "" {
			in[key] = text
		}
	}
	return in
}

func newScansStartCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var chosen scanFlags
	var format, kind string
	var all, force, wait bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Scan all images of a server, or those of a scope",
		Long: `Start a scan task: a scan of every known image (--all), or of the images that meet all
of the other flags. Images that were never analysed, or not by the present analysers, are
analysed. The others are matched with the vulnerability data in force, or analysed again
with --force. With --kind match nothing is pulled. No image is charged twice. The scan
continues when this command ends: see "digestgate scans list", "pause" and "cancel".`,
		Example: `  digestgate scans start --recommended
  digestgate scans start --registry-type harbor --rate 500 --force
  digestgate scans start --all --kind match --wait`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			scope := chosen.scope()
			switch {
			case all && len(scope) > 0:
				return fmt.Errorf("--all chooses every image, and other flags choose some of them; leave out one or the other")
			case !all && len(scope) == 0:
				return fmt.Errorf("no flag chooses images: give --all, --recommended, or another flag that chooses images")
			case all:
				scope["all"] = true
			}
			if err := oneOf("kind", kind, gate.ScanKinds()...); err != nil {
				return err
			}
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			in := chosen.request(map[string]any{"scope": scope})
			if force {
				in["force"] = true
			}
			if kind != "" {
				in["kind"] = kind
			}
			var out struct{ Scan json.RawMessage }
			if err := c.Call(cmd.Context(), http.MethodPost, "/scans", in, &out); err != nil {
				return err
			}
			if wait {
				if out.Scan, err = c.followScan(cmd.Context(), out.Scan, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			if format == "json" {
				return show.PrintJSON(cmd.OutOrStdout(), out.Scan)
			}
			return printScans(cmd.OutOrStdout(), format, []json.RawMessage{out.Scan})
		},
	}
	flags.add(cmd)
	addFormat(cmd, &format)
	chosen.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every known image")
	cmd.Flags().BoolVar(&force, "force", false, "also analyse images that the present analysers have seen; they are not charged again")
	cmd.Flags().StringVar(&kind, "kind", "", "match (nothing is pulled) or content (default)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the scan has ended or is paused, with progress on stderr")
	return cmd
}

// followScan polls until a task has ended, or a person has paused it.
func (c *Client) followScan(ctx context.Context, raw json.RawMessage, progress io.Writer) (json.RawMessage, error) {
	shown := ""
	for {
		var t view.ScanTask
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("reading the server's answer: %w", err)
		}
		line := strings.TrimSpace(fmt.Sprintf("%s: %s, %s images %s", t.ID, t.State, progressOf(t), gate.Printable(t.Error+t.Note, 200)))
		if line != shown {
			shown = line
			fmt.Fprintln(progress, line)
		}
		if slices.Contains([]gate.ScanState{gate.ScanDone, gate.ScanCancelled, gate.ScanFailed, gate.ScanPaused}, t.State) {
			return raw, nil
		}
		wait := time.NewTimer(waitPoll)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, context.Cause(ctx)
		case <-wait.C:
		}
		if err := c.Call(ctx, http.MethodGet, "/scans/"+url.PathEscape(t.ID), nil, &raw); err != nil {
			return nil, err
		}
	}
}
