package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
)

// maxReason is at least as long as what a verdict keeps of a reason, so that what
// to do, which stands at its end, is printed.
const maxReason = 1000

// noVerdict is the error of a command that has no verdict to tell (exit 3).
func noVerdict(format string, args ...any) error {
	return exitError{code: exitNoVerdict, text: fmt.Sprintf(format, args...)}
}

func validFormat(format string) error {
	if format != "table" && format != "json" {
		return fmt.Errorf("--format %q: want table or json", format)
	}
	return nil
}

// printVerdict prints an image with its verdict and returns the error that
// makes the exit status: nil for allow and warn.
func printVerdict(w io.Writer, format string, v api.ImageDetail) error {
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else if err := printTable(w, v); err != nil {
		return err
	}
	// Some platforms of an index may have a verdict while others cannot get one.
	if v.Verdict == nil || (v.State != gate.StateScanned && v.Verdict.Decision != gate.OutcomeDeny) {
		return noVerdict("no verdict: the image is %s", v.State)
	}
	switch v.Verdict.Decision {
	case gate.OutcomeAllow, gate.OutcomeWarn:
		return nil
	case gate.OutcomeDeny:
		if v.Verdict.Code != gate.CodePolicy && v.Verdict.Code != gate.CodePolicyError {
			return noVerdict("no verdict: %s", v.Verdict.Code)
		}
		return exitError{code: exitDeny}
	}
	return noVerdict("no verdict: %s", v.Verdict.Code)
}

func printTable(w io.Writer, v api.ImageDetail) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "digest\t%s\n", v.Digest)
	for _, p := range v.Platforms {
		judged := ""
		if !p.Judged {
			judged = " (not judged)"
		}
		fmt.Fprintf(t, "platform\t%s %s %s%s\n", p.Platform, p.Digest.Short(), p.State, judged)
	}
	fmt.Fprintf(t, "state\t%s\n", v.State)
	if v.Advisories != nil {
		at := "unknown time"
		if gate.AgeKnown(v.Advisories.UpdatedAt) {
			at = v.Advisories.UpdatedAt.Format("2006-01-02 15:04 MST")
		}
		fmt.Fprintf(t, "advisories\tgeneration %d of %s\n", v.Advisories.Generation, at)
	}
	c := v.Counts
	fmt.Fprintf(t, "vulnerabilities\t%d critical, %d high, %d medium, %d low, %d unknown\n", c.Critical, c.High, c.Medium, c.Low, c.Unknown)
	if v.Unassessable != "" {
		fmt.Fprintf(t, "unassessable\t%s\n", gate.Printable(v.Unassessable, maxReason))
	}
	if v.Verdict != nil {
		fmt.Fprintf(t, "verdict\t%s\n", v.Verdict.Decision)
		for _, r := range v.Verdict.Reasons {
			rule := r.Rule
			if rule == "" {
				rule = string(r.Code)
			}
			fmt.Fprintf(t, "  %s\t%s: %s\n", r.Action, gate.Printable(rule, 80), gate.Printable(r.Msg, maxReason))
		}
	}
	return t.Flush()
}
