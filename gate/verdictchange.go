package gate

import "slices"

// VerdictChanges pairs the verdicts that a write has replaced with those that stand now.
// It lists [MaxChanged] of those that differ and counts the others.
func VerdictChanges(replaced, fresh []Verdict) (list []VerdictChange, more int) {
	now := make(map[Location]Decision, len(fresh))
	for _, v := range fresh {
		now[v.Location] = v.Decision
	}
	for _, v := range replaced {
		before, after := verdictRef(v.Decision), verdictRef(now[v.Location])
		switch {
		case before.Outcome == after.Outcome && before.Code == after.Code && slices.Equal(before.Rules, after.Rules):
		case len(list) == MaxChanged:
			more++
		default:
			list = append(list, VerdictChange{Location: v.Location, Before: before, After: after})
		}
	}
	return list, more
}

func verdictRef(d Decision) VerdictRef {
	ref := VerdictRef{Outcome: d.Outcome, Code: d.Code, PolicyRevision: d.PolicyRevision}
	for _, r := range d.Reasons {
		if r.Rule != "" {
			ref.Rules = append(ref.Rules, r.Rule)
		}
	}
	slices.Sort(ref.Rules)
	ref.Rules = slices.Compact(ref.Rules)
	return ref
}
