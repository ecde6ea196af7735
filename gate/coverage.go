package gate

import "fmt"

// CoverageOf says how far a risk was looked at, which is supported and configured. What
// was left out by a stated limit does not make a risk partial, and is said beside
// "complete"; what an analyser could not read does.
func (inv *Inventory) CoverageOf(r Risk) RiskStatus {
	if gaps := inv.gapsOf(r); gaps != "" {
		return RiskStatus{Coverage: Partial, Reason: gaps}
	}
	return RiskStatus{Coverage: Complete, Reason: inv.leftOut(r)}
}

// gapsOf counts the errors of a risk, and names the first; "" for none.
func (inv *Inventory) gapsOf(r Risk) string {
	count, first := 0, ""
	for _, e := range inv.Errors {
		if e.Risk != r {
			continue
		}
		if count == 0 {
			first = fmt.Sprintf(", the first is %q (%s: %s)", e.Path, e.Analyzer, e.Message)
		}
		count++
	}
	for _, e := range inv.MoreErrors {
		if e.Risk == r {
			count += max(e.Count, 1)
		}
	}
	if count == 0 {
		return ""
	}
	if count == 1 {
		return "one gap" + first
	}
	return fmt.Sprintf("%d gaps%s", count, first)
}

// leftOut counts what stated limits left out of a risk; "" for nothing.
func (inv *Inventory) leftOut(r Risk) string {
	files, bytes := 0, int64(0)
	for _, s := range inv.Skipped {
		if s.Risk == r {
			files, bytes = files+max(s.Files, 1), bytes+s.Size
		}
	}
	if files == 0 {
		return ""
	}
	return fmt.Sprintf("stated limits left out %d files of %d bytes; the inventory lists them as skipped", files, bytes)
}
