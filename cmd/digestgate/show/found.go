package show

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// PrintFindings prints tables of what was found in one platform's image, the worst
// first. Text in them is hostile.
func PrintFindings(w io.Writer, title string, f view.FindingsDetail) error {
	if title != "" {
		fmt.Fprintf(w, "\n%s %s\n", title, f.Digest)
	}
	if err := printVulnerabilities(w, f.Vulnerabilities); err != nil {
		return err
	}
	if len(f.Hidden) > 0 {
		fmt.Fprintln(w)
		if err := PrintHidden(w, f.Hidden, false); err != nil {
			return err
		}
	}
	if err := printSecrets(w, f.Secrets); err != nil {
		return err
	}
	return printGaps(w, f)
}

func printVulnerabilities(w io.Writer, list []gate.Vulnerability) error {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	grades := gate.Severities()
	rank := func(s gate.Severity) int {
		if i := slices.Index(grades, s); i >= 0 {
			return i
		}
		return len(grades)
	}
	slices.SortStableFunc(list, func(a, b gate.Vulnerability) int {
		return cmp.Or(rank(a.Severity)-rank(b.Severity), cmp.Compare(a.Package, b.Package), cmp.Compare(a.ID, b.ID))
	})
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	several := slices.ContainsFunc(list, func(v gate.Vulnerability) bool { return v.Source != "" && v.Source != gate.SourceTrivyDB })
	heading, source := "", func(gate.Vulnerability) string { return "" }
	if several {
		heading, source = "SOURCE\t", func(v gate.Vulnerability) string { return Cell(v.Source, 40) + "\t" }
	}
	fmt.Fprintln(t, "SEVERITY\tVULNERABILITY\tPACKAGE\tINSTALLED\tFIXED\t"+heading+"LAYER\tFILE")
	for _, v := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s%s\t%s\n", Cell(string(v.Severity), 10), Cell(v.ID, 40), Cell(v.Package, 80),
			Cell(v.InstalledVersion, 60), Cell(v.FixedVersion, 80), source(v), layer(v.Layer), Cell(v.Path, 120))
	}
	return t.Flush()
}

// PrintHidden prints a table of findings that VEX statements hide; images says that they
// are of more than one.
func PrintHidden(w io.Writer, list []gate.HiddenFinding, images bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	first := func(h gate.HiddenFinding) string {
		if !images {
			return ""
		}
		return h.Digest.Short() + "\t"
	}
	head := "HIDDEN BY VEX\tPACKAGE\tSTATE\tSOURCE\tAUTHOR\tSTATED\tWHERE\tWHY"
	if images {
		head = "IMAGE\t" + head
	}
	fmt.Fprintln(t, head)
	for _, h := range list {
		where := ""
		if len(h.Locations) > 0 {
			where = h.Locations[0].String()
		}
		if n := len(h.Locations) - 1; n > 0 {
			where += fmt.Sprintf(" and %d more", n)
		}
		s := h.Statement
		fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", first(h), Cell(h.ID, 40), Cell(h.Package, 80), Cell(s.Status, 20), Cell(s.Source, 63),
			Cell(s.Author, 60), s.At.UTC().Format(time.DateOnly), Cell(where, 120), Cell(cmp.Or(s.Reason, s.Justification), 120))
	}
	return t.Flush()
}

func printSecrets(w io.Writer, list []gate.Secret) error {
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SEVERITY\tSECRET\tFILE\tLINE\tLAYER")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", Cell(s.Severity, 10), Cell(s.Rule, 60), Cell(s.Path, 160), strconv.Itoa(s.StartLine), layer(s.Layer))
	}
	return t.Flush()
}

// maxGaps is how many packages without advisories, and how many errors, a table
// has; JSON has all.
const maxGaps = 20

// printGaps says what the findings do not cover.
func printGaps(w io.Writer, f view.FindingsDetail) error {
	if len(f.Gaps)+len(f.Errors) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(f.Gaps) > 0 {
		fmt.Fprintln(t, "NOT COVERED\tVERSION\tWHY")
		for _, g := range f.Gaps[:min(maxGaps, len(f.Gaps))] {
			fmt.Fprintf(t, "%s\t%s\t%s\n", Cell(g.Package, 80), Cell(g.Version, 60), Cell(g.Reason, 200))
		}
		more(t, len(f.Gaps))
	}
	if len(f.Errors) > 0 {
		fmt.Fprintln(t, "NOT READ\tRISK\tWHY")
		for _, e := range f.Errors[:min(maxGaps, len(f.Errors))] {
			fmt.Fprintf(t, "%s\t%s\t%s\n", Cell(e.Path, 120), Cell(string(e.Risk), 40), Cell(e.Message, 200))
		}
		more(t, len(f.Errors))
	}
	return t.Flush()
}

func more(w io.Writer, n int) {
	if n > maxGaps {
		fmt.Fprintf(w, "and %d more; --format json has all\t\t\n", n-maxGaps)
	}
}

// Cell is a text fit for a column; an empty one is a dash.
func Cell(s string, limit int) string {
	if s == "" {
		return "-"
	}
	return gate.Printable(s, limit)
}

// layer is the layer that brought something, by the hash of its unpacked bytes.
func layer(d gate.Digest) string { return Cell(d.Short(), 80) }

// NotCompared says why the packages of a platform were not compared with
// advisories, "" when they were.
func NotCompared(f view.FindingsDetail) string {
	risk := f.Risks[gate.RiskVulnerabilities]
	switch {
	case risk.Coverage == gate.NotLookedAt || risk.Coverage == "":
		return "vulnerabilities were not looked for (scan.risks)"
	case f.MatchedAt == nil:
		return "no advisory data was there"
	case f.Unassessable != "":
		return gate.Printable(f.Unassessable, 300)
	case f.Packages == 0:
		return "no package was found in the image"
	}
	return ""
}
