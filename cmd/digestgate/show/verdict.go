package show

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// maxReason is at least as long as what a verdict keeps of a reason, so that what
// to do, which stands at its end, is printed.
const maxReason = 1000

// NoVerdict is the error of a command that has no verdict to tell (exit 3).
func NoVerdict(format string, args ...any) error {
	return ExitError{Code: ExitNoVerdict, Text: fmt.Sprintf(format, args...)}
}

// judged is a verdict in the words of a command: deny is what the policies have
// refused. What could not be judged, which admission refuses too, is none.
func judged(v *view.Verdict) *view.Verdict {
	if v == nil || v.Decision != gate.OutcomeDeny || v.Code == gate.CodePolicy {
		return v
	}
	none := *v
	none.Decision = gate.OutcomeNone
	return &none
}

// AsJudged is an image with the verdicts that a command tells; word, exit status and
// documents agree on them.
func AsJudged(v view.ImageDetail) view.ImageDetail {
	v.Verdict = judged(v.Verdict)
	v.Locations = slices.Clone(v.Locations)
	for i := range v.Locations {
		v.Locations[i].Verdict = judged(v.Locations[i].Verdict)
	}
	// Some platforms of an index may have a verdict while others cannot get one.
	if v.Verdict != nil && v.Verdict.Decision != gate.OutcomeDeny && v.State != gate.StateScanned {
		none := *v.Verdict
		none.Decision = gate.OutcomeNone
		v.Verdict = &none
	}
	return v
}

// VerdictError makes the exit status of an image as judged: nil for allow and warn.
func VerdictError(v view.ImageDetail) error {
	switch {
	case v.Verdict == nil:
		return NoVerdict("no verdict: the image is %s", v.State)
	case v.Verdict.Decision == gate.OutcomeAllow, v.Verdict.Decision == gate.OutcomeWarn:
		return nil
	case v.Verdict.Decision == gate.OutcomeDeny:
		return ExitError{Code: ExitDeny}
	case v.Verdict.Code == "":
		return NoVerdict("no verdict: the image is %s", v.State)
	}
	return NoVerdict("no verdict: %s", v.Verdict.Code)
}

// PrintVerdict prints an image with its verdict and returns the error that makes
// the exit status.
func PrintVerdict(w io.Writer, format string, v view.ImageDetail) error {
	v = AsJudged(v)
	print := func() error { return PrintJSON(w, v) }
	if format == "table" {
		print = func() error { return PrintImage(w, v, CountsOf(v)) }
	}
	if err := print(); err != nil {
		return err
	}
	return VerdictError(v)
}

// CountsOf is the line of counts of an image, as a server has it.
func CountsOf(v view.ImageDetail) string {
	if v.Advisories == nil || v.Verdict != nil && v.Verdict.Code == gate.CodeUnassessable {
		return "not compared"
	}
	return CountsText(v.Counts)
}

func CountsText(c gate.Counts) string {
	return fmt.Sprintf("%d critical, %d high, %d medium, %d low, %d unknown", c.Critical, c.High, c.Medium, c.Low, c.Unknown)
}

// PrintImage prints an image as judged; vulnerabilities is the line of counts.
func PrintImage(w io.Writer, v view.ImageDetail, vulnerabilities string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "digest\t%s\n", v.Digest)
	for _, p := range v.Platforms {
		aside := ""
		if !p.Judged {
			aside = " (not judged)"
		}
		fmt.Fprintf(t, "platform\t%s %s %s%s\n", gate.Printable(p.Platform, 100), gate.Printable(p.Digest.Short(), 100), p.State, aside)
	}
	fmt.Fprintf(t, "state\t%s\n", v.State)
	if v.Advisories != nil {
		at := "unknown time"
		if gate.AgeKnown(v.Advisories.UpdatedAt) {
			at = v.Advisories.UpdatedAt.UTC().Format("2006-01-02 15:04 MST")
		}
		fmt.Fprintf(t, "advisories\tgeneration %d of %s\n", v.Advisories.Generation, at)
	}
	fmt.Fprintf(t, "vulnerabilities\t%s\n", vulnerabilities)
	if v.Unassessable != "" {
		fmt.Fprintf(t, "unassessable\t%s\n", gate.Printable(v.Unassessable, maxReason))
	}
	if v.Verdict == nil {
		fmt.Fprintf(t, "verdict\t%s\n", gate.OutcomeNone)
		return t.Flush()
	}
	fmt.Fprintf(t, "verdict\t%s\n", v.Verdict.Decision)
	for _, r := range v.Verdict.Reasons {
		name, action := r.Rule, string(r.Action)
		if name == "" {
			name = string(r.Code)
		}
		if r.Action == gate.OutcomeDeny && v.Verdict.Decision == gate.OutcomeNone {
			action = string(gate.OutcomeNone)
		}
		fmt.Fprintf(t, "  %s\t%s: %s\n", action, gate.Printable(name, 80), gate.Printable(r.Msg, maxReason))
	}
	return t.Flush()
}
