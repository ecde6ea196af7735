package client

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
)

func printAdvisories(w io.Writer, v gate.AdvisoryData) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	generation := func(name string, g gate.AdvisoryGeneration) {
		if g.Number == 0 {
			row(name, "none")
			return
		}
		since := ""
		if !g.ActivatedAt.IsZero() {
			since = ", in force since " + utc(g.ActivatedAt)
		}
		row(name, "generation %d, %s%s", g.Number, dataOf(g.UpdatedAt), since)
		row("", "content %s", g.Content) // whole, as "accept" wants it
		for _, s := range g.Sources {
			switch {
			case s.Name != "":
				row("", "source %s, data of %s, %d advisories%s", s.Name, utc(s.UpdatedAt), s.Rows, decidedText(s))
			case s.From != "":
				row("", "from %s", gate.Printable(s.From, 200))
			}
		}
		if j := g.Java; j != nil {
			row("", "index of %d Java archives, %s%s %s", j.Archives, dataOf(j.UpdatedAt), map[bool]string{true: ", older than advisories.java.maxAge"}[j.Stale], gate.Printable(j.From, 200))
		}
		for _, h := range g.Held {
			row("", "bucket %s keeps its rows of %s: %s", gate.Quoted(h.Bucket, 100), utc(h.UpdatedAt), gate.Printable(h.Reason, 300))
		}
	}
	generation("in force", v.InForce)
	generation("before", v.Before)
	if b := v.RolledBack; b != nil {
		row("rolled back", "from generation %d, data of %s, by %s at %s: %s", b.Number, utc(b.UpdatedAt), gate.Printable(b.By, 100), utc(b.At), gate.Printable(b.Reason, 200))
	}
	if v.Changed != "" {
		row("sources", "%s: many images may be matched again, those that run first", gate.Printable(v.Changed, 500))
	}
	printSources(row, v)
	printRefresh(row, v)
	printTables(row, v.Tables)
	for _, a := range v.Accepted {
		row("accepted", "%s until %s, by %s: %s", gate.Quoted(a.What, 100), utc(a.Until), gate.Printable(a.By, 100), gate.Printable(a.Reason, 200))
	}
	for _, p := range v.Processes {
		row("process", "%s", holderText(p, v, time.Now()))
	}
	return t.Flush()
}

// utc is how times are shown.
func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// offeredFrom is where what was offered last comes from.
func offeredFrom(o gate.OfferedAdvisories, v gate.AdvisoryData) string {
	switch {
	case o.From != "":
		return gate.Printable(o.From, 200)
	case len(v.Sources) > 0:
		return "a composition of the sources"
	}
	return "data without an address"
}

// offeredIs says that what was offered last is known already.
func offeredIs(o gate.OfferedAdvisories, v gate.AdvisoryData) string {
	switch o.Content {
	case "":
		return ""
	case v.InForce.Content:
		return ", which is in force"
	case v.Before.Content:
		return ", which was in force before"
	}
	return ""
}

// quiet is after how long without a word a process may be gone: each says every five
// minutes what it keeps.
const quiet = 6 * time.Minute

// holderText is what a process keeps. Besides generations these are the data of sources
// that they are composed of, and candidates.
func holderText(p gate.AdvisoryHolder, v gate.AdvisoryData, now time.Time) string {
	var kept []string
	others := 0
	for _, c := range p.Contents {
		switch c {
		case v.InForce.Content:
			kept = append(kept, fmt.Sprintf("generation %d (in force)", v.InForce.Number))
		case v.Before.Content:
			kept = append(kept, fmt.Sprintf("generation %d (before)", v.Before.Number))
		default:
			others++
		}
	}
	slices.Sort(kept)
	if others > 0 {
		kept = append(kept, show.Count(others, "database")+" beside them")
	}
	text := gate.Printable(p.Process, 100) + " keeps " + strings.Join(kept, ", ")
	if len(kept) == 0 {
		text = gate.Printable(p.Process, 100) + " keeps nothing yet"
	}
	if now.Sub(p.SeenAt) > quiet {
		return text + "; not heard of since " + utc(p.SeenAt) + ", it may have ended"
	}
	return text
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
		row("asked", "at %s by %s, again at %s", utc(v.CheckedAt), gate.Printable(v.CheckedBy, 100), utc(v.NextAt))
	}
	if d := v.Download; d != nil {
		row("under way", "%s %s%s, by %s", gate.Printable(d.Doing, 40), gate.Printable(d.Repository, 200), howFar(d), gate.Printable(d.By, 100))
	}
	if o := v.Offered; o != nil {
		row("offered", "%s, %s%s", offeredFrom(*o, v), dataOf(o.UpdatedAt), offeredIs(*o, v))
		if o.Content != "" && o.Content != v.InForce.Content && o.Content != v.Before.Content {
			row("", "content %s", o.Content)
		}
		if o.Refused != "" {
			row("", "refused: %s", gate.Printable(o.Refused, 500))
		}
	}
	if j := v.JavaRefresh; j != nil && j.Problem != "" {
		row("Java archives", "%s (%d times in a row), again at %s", gate.Printable(j.Problem, 500), j.Failures, utc(j.NextAt))
	}
	if v.Waiting != "" {
		row("waiting", "%s", gate.Printable(v.Waiting, 600))
	} else if v.Problem != "" {
		row("problem", "%s (%d times in a row)", gate.Printable(v.Problem, 500), v.Failures)
	}
}

// mirrorText is how a repository is, for people.
func mirrorText(m gate.AdvisoryMirror) string {
	text := gate.Printable(m.State, 20)
	if m.Fails() {
		text = fmt.Sprintf("could not be used %d times in a row", m.Failures)
	}
	if !m.RestsUntil.IsZero() {
		text += ", not asked until " + utc(m.RestsUntil)
	}
	worked := "never"
	if !m.WorkedAt.IsZero() {
		worked = utc(m.WorkedAt)
	}
	text += "; last success: " + worked
	if !m.FailedAt.IsZero() {
		text += fmt.Sprintf("; last failure: %s, %s", utc(m.FailedAt), gate.Printable(m.LastError, 300))
	}
	return text
}

// dataOf says of when data is; it may not be known here, or not at all.
func dataOf(at time.Time) string {
	if !gate.AgeKnown(at) {
		return "data of an unknown time"
	}
	return "data of " + utc(at)
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
			of = fmt.Sprintf("data of %s, %d advisories", utc(s.UpdatedAt), s.Rows)
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
