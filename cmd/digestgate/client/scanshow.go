package client

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

func showScan(out io.Writer, t view.ScanTask) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, gate.Printable(value, 500))
		}
	}
	at := func(key string, t *time.Time) {
		if t != nil {
			line(key, since(t))
		}
	}
	line("scan", t.ID)
	kind := string(t.Kind)
	if t.Force {
		kind += ", also images that the present analysers have seen"
	}
	line("kind", kind)
	line("scope", scopeText(t.Scope))
	line("risks", joinedRisks(t.Risks))
	line("rate", rateText(t.Rate))
	if t.Concurrency > 0 {
		line("at a time", show.Count(t.Concurrency, "image"))
	}
	if t.Window != "" {
		line("window", t.Window+" "+t.TimeZone)
	}
	line("schedule", t.Schedule)
	at("due", t.Tick)
	line("state", string(t.State))
	line("why", whyOf(t))
	line("progress", progressOf(t)+fmt.Sprintf(" images: %d done (%d analysed), %d failed, %d skipped", t.Done, t.Analyzed, t.Failed, t.Skipped))
	at("created", &t.CreatedAt)
	at("begun", t.StartedAt)
	at("expected end", t.ExpectedEnd)
	at("ended", t.FinishedAt)
	return w.Flush()
}

func joinedRisks(list []gate.Risk) string {
	words := make([]string, len(list))
	for i, r := range list {
		words[i] = string(r)
	}
	return strings.Join(words, ", ")
}

func rateText(rate int) string {
	if rate == 0 {
		return "no limit"
	}
	return fmt.Sprintf("at most %d images an hour", rate)
}

// scopeText is a scope for people.
func scopeText(s view.ScanScope) string {
	if s.All {
		return "every image"
	}
	var parts []string
	for _, l := range []struct {
		key  string
		list []string
	}{{"registry", s.Registries}, {"registry type", s.RegistryTypes}, {"repository", s.Repositories}, {"tag", s.Tags}} {
		if len(l.list) > 0 {
			parts = append(parts, l.key+" "+strings.Join(l.list, " or "))
		}
	}
	if s.PushedWithin != "" {
		parts = append(parts, "first seen within "+s.PushedWithin)
	}
	if s.Running {
		parts = append(parts, "running")
	}
	if s.Verdict != "" {
		parts = append(parts, "verdict "+s.Verdict)
	}
	if s.Recommended {
		parts = append(parts, "recommended")
	}
	return strings.Join(parts, ", ")
}
