package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// scheduleFlags say what a schedule is.
type scheduleFlags struct {
	scanFlags
	kind, cron, every, at, from string
}

func (f *scheduleFlags) add(cmd *cobra.Command) {
	f.scanFlags.add(cmd)
	cmd.Flags().StringVar(&f.kind, "kind", string(gate.ScanMatch), "match (nothing is pulled) or content (images are analysed again)")
	cmd.Flags().StringVar(&f.cron, "cron", "", `when: five fields such as "0 1 * * *", or @hourly, @daily, @weekly, @monthly, @yearly, "@every 6h"`)
	cmd.Flags().StringVar(&f.every, "every", "", "when, instead of --cron: a number of days, such as 1d, 3d, 7d, 14d, 15d, 30d")
	cmd.Flags().StringVar(&f.at, "at", "", "time of day with --every; 00:00 by default")
	cmd.Flags().StringVar(&f.from, "from", "", "day from which --every counts, such as 2026-12-01; by default the first day on which it is due")
}

// change puts what flags were given into a request. A flag that is given empty takes its
// key back. --cron replaces --every, and the other way round.
func (f *scheduleFlags) change(cmd *cobra.Command, in map[string]any) {
	scope, _ := in["scope"].(map[string]any)
	if scope == nil {
		scope = map[string]any{}
	}
	all := f.request(map[string]any{"kind": f.kind})
	chosen := f.scope()
	for key, text := range map[string]string{"cron": f.cron, "every": f.every, "at": f.at, "from": f.from} {
		if text != "" {
			all[key] = text
		}
	}
	given := func(flag, key string, from, to map[string]any) {
		if !cmd.Flags().Changed(flag) {
			return
		}
		if value, ok := from[key]; ok {
			to[key] = value
		} else {
			delete(to, key)
		}
	}
	if cmd.Flags().Changed("cron") {
		for _, key := range []string{"every", "at", "from"} {
			delete(in, key)
		}
	}
	if cmd.Flags().Changed("every") {
		delete(in, "cron")
		delete(in, "from") // it counts from when it is due first
	}
	for flag, key := range map[string]string{
		"kind": "kind", "cron": "cron", "every": "every", "at": "at", "from": "from", "risk": "risks", "rate": "rate", "concurrency": "concurrency",
		"window": "window", "time-zone": "timeZone",
	} {
		given(flag, key, all, in)
	}
	for flag, key := range map[string]string{
		"registry": "registries", "registry-type": "registryTypes", "repository": "repositories", "tag": "tags", "pushed-within": "pushedWithin",
		"running": "running", "verdict": "verdict", "recommended": "recommended",
	} {
		given(flag, key, chosen, scope)
	}
	delete(in, "scope")
	if len(scope) > 0 {
		in["scope"] = scope
	}
}

// requestOf is the request that makes a schedule what it is.
func requestOf(s view.Schedule) map[string]any {
	in := map[string]any{"kind": s.Kind, "enabled": s.Enabled}
	scope := map[string]any{}
	put := func(to map[string]any, key string, is bool, value any) {
		if is {
			to[key] = value
		}
	}
	for key, text := range map[string]string{"cron": s.Cron, "every": s.Every, "at": s.At, "from": s.From, "window": s.Window} {
		put(in, key, text != "", text)
	}
	put(in, "timeZone", s.TimeZone != "" && s.TimeZone != "UTC", s.TimeZone) // UTC is shown where none is written
	put(in, "risks", len(s.Risks) > 0, s.Risks)
	put(in, "rate", s.Rate != 0, s.Rate)
	put(in, "concurrency", s.Concurrency != 0, s.Concurrency)
	for key, list := range map[string][]string{"registries": s.Scope.Registries, "registryTypes": s.Scope.RegistryTypes, "repositories": s.Scope.Repositories, "tags": s.Scope.Tags} {
		put(scope, key, len(list) > 0, list)
	}
	put(scope, "pushedWithin", s.Scope.PushedWithin != "", s.Scope.PushedWithin)
	put(scope, "verdict", s.Scope.Verdict != "", s.Scope.Verdict)
	put(scope, "running", s.Scope.Running, true)
	put(scope, "recommended", s.Scope.Recommended, true)
	put(in, "scope", len(scope) > 0, scope)
	return in
}

func newSchedulesSetCommand(o *app.Options) *cobra.Command {
	var chosen scheduleFlags
	var all bool
	cmd := asking(o, &cobra.Command{
		Use:   "set NAME",
		Short: "Change a schedule that was added through the API",
		Long: `Change what the flags say of a schedule that was added through the API; the rest stays. A flag
that is given empty takes its value back, and --all the whole scope. A run that is under way
ends as it began. "enable" and "disable" switch a schedule.`,
		Example: `  digestgate schedules set nightly --cron "0 3 * * *"
  digestgate schedules set fortnight --rate 400 --tag ""`,
		Args: cobra.ExactArgs(1),
	}, func(c *Client, cmd *cobra.Command, args []string, format string) error {
		path := "/schedules/" + url.PathEscape(args[0])
		var was view.Schedule
		if err := c.Call(cmd.Context(), http.MethodGet, path, nil, &was); err != nil {
			return err
		}
		in := requestOf(was)
		before, err := json.Marshal(in)
		if err != nil {
			return err
		}
		if all {
			delete(in, "scope")
		}
		chosen.change(cmd, in)
		after, err := json.Marshal(in)
		if err == nil && string(before) == string(after) {
			err = errors.New("nothing changes: give the flags of what is to be different; \"digestgate schedules show " + gate.Printable(args[0], 63) + "\" shows the schedule")
		}
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := c.Call(cmd.Context(), http.MethodPut, path, in, &raw); err != nil {
			return err
		}
		return printSchedules(cmd.OutOrStdout(), format, []json.RawMessage{raw})
	})
	chosen.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every image, instead of those of the present scope")
	return cmd
}
