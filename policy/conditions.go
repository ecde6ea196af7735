package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// The conditions are what the engine itself refuses, before any rule runs
// (DESIGN.md §8). Their texts are for the person whose Pod was refused: what is
// wrong, and what to do.

// noVerdict is the answer for an image without usable findings; ok is false
// when it has some.
func noVerdict(q *gate.Question) (reason gate.Reason, ok bool) {
	if q.State == gate.StateUnassessable {
		why := refusal.Say(refusal.CauseUnreadable, nil)
		if text := q.Record.WhyUnassessable(q.Location); text != "" {
			why = refusal.Say(refusal.Detail, refusal.P{"text": text})
		}
		return none(gate.CodeUnassessable, refusal.Say(refusal.UnassessableBecause, refusal.P{"why": why})), true
	}
	if q.Record.InventoryID != "" && q.Record.FindingsID != "" {
		return gate.Reason{}, false
	}
	switch q.State {
	case gate.StateQueued:
		return none(gate.CodePending, refusal.Say(refusal.PendingQueued, nil)), true
	case gate.StateScanning:
		return none(gate.CodePending, refusal.Say(refusal.PendingRunning, nil)), true
	case gate.StateScanned:
		return none(gate.CodePending, refusal.Say(refusal.PendingMatch, nil)), true
	case gate.StateFailed:
		return none(gate.CodeScanFailed, refusal.Say(refusal.ScanFailed, nil)), true
	case gate.StateQuotaExhausted:
		return none(gate.CodeQuotaExhausted, refusal.Say(refusal.QuotaUsed, nil)), true
	case gate.StateCancelled:
		return none(gate.CodeUnscanned, refusal.Say(refusal.UnscannedCancelled, nil)), true
	}
	return none(gate.CodeUnscanned, refusal.Say(refusal.Unscanned, nil)), true
}

func none(code gate.Code, text gate.Text) gate.Reason {
	return condition(gate.OutcomeDeny, code, text)
}

func condition(action gate.Outcome, code gate.Code, text gate.Text) gate.Reason {
	return gate.Reason{Action: action, Code: code, Msg: gate.Printable(refusal.English(text), maxMsgBytes), Text: text, Findings: []string{}}
}

// judgement is what is against an image apart from its findings and whatever the time:
// risks that were not fully looked at, and a distribution that cannot be judged. Deny
// reasons come first; what the configuration lets through is a warning.
type judgement struct {
	reasons []gate.Reason
	own     origin // what the findings are of
}

func (j judgement) bytes() int64 {
	n := int64(400)
	for i := range j.reasons {
		n += reasonBytes(&j.reasons[i])
	}
	return n
}

// judgementOf is the judgement of the image of a record, without reading more: most
// images have nothing against them, and their summary says so. ok is false where the
// large values are needed.
func (e *Engine) judgementOf(r *gate.Record) (j judgement, ok bool) {
	i, f := &r.Summary.Inventory, &r.Summary.Findings
	if r.Summarized() && !f.Unassessable && (i.PackageDatabase || !i.DistributionFiles) &&
		!slices.ContainsFunc(i.Incomplete, func(risk gate.Risk) bool { return slices.Contains(e.risks, risk) }) {
		return judgement{own: origin{gate.Generation{Number: f.Generation, Content: f.Advisories, UpdatedAt: f.UpdatedAt}, f.Uses}}, true
	}
	return e.judged.get(imageKey{r.InventoryID, r.FindingsID})
}

// judge makes the judgement of an image from both large values.
func (e *Engine) judge(l large) judgement {
	reasons := incomplete(e.risks, e.allowed, l.inv.Named(l.f))
	add := func(word string, text gate.Text) {
		if slices.Contains(e.options.Config.AllowIncomplete, word) {
			r := letThrough(word, text)
			r.Code = gate.CodeUnassessable
			reasons = append(reasons, r)
			return
		}
		reasons = append(reasons, none(gate.CodeUnassessable, refusal.Say(refusal.OrAllow, refusal.P{"what": text, "entry": word})))
	}
	release := releaseOf(l.inv.OS)
	switch d := l.inv.Distribution; {
	case !l.inv.DistributionFiles || l.inv.PackageDatabase:
	case d != nil && len(d.Databases) > 0 && d.Databases[0].Path != "": // the first, of whichever manager
		add(IncompletePackageDatabase, refusal.Say(refusal.DatabaseUnread,
			refusal.P{"release": release, "path": d.Databases[0].Path, "manager": d.Databases[0].Manager}))
	default:
		add(IncompletePackageDatabase, refusal.Say(refusal.DatabaseMissing, refusal.P{"release": release}))
	}
	if l.f.Unassessable != "" {
		add(IncompleteDistributionRelease, refusal.Say(refusal.ReleaseUnknown, refusal.P{"why": l.f.Unassessable}))
	}
	slices.SortStableFunc(reasons, byRank)
	return judgement{reasons, originOf(l.f)}
}

// conditions adds to a judgement what depends on the time: old advisory data. Deny
// reasons come first. In the period around now they are the same.
func (e *Engine) conditions(q *gate.Question, j judgement, set *activeSet, t Tables) ([]gate.Reason, period) {
	if r, ok := set.lacking(t); ok {
		return append([]gate.Reason{r}, j.reasons...), period{end: q.Now}
	}
	limit := e.options.youngest()
	if limit <= 0 {
		return j.reasons, period{}
	}
	at := inForce(q, j.own).UpdatedAt
	if !older(q.Now, at, limit) {
		return j.reasons, period{end: at.Add(limit + 1)}
	}
	said := e.stale(q, j.own, at)
	if len(j.reasons) == 0 {
		return said, period{end: q.Now} // its words say the age
	}
	reasons := append(slices.Clone(j.reasons), said...)
	slices.SortStableFunc(reasons, byRank)
	return reasons, period{end: q.Now}
}

func byRank(a, b gate.Reason) int { return rank(a.Action) - rank(b.Action) }

func rank(o gate.Outcome) int {
	if o == gate.OutcomeDeny {
		return 0
	}
	return 1
}

// spoken is a duration in whole hours, in minutes when it is short.
type spoken struct {
	n    int64
	unit string
}

func spokenOf(d time.Duration) spoken {
	if d < 3*time.Hour {
		return spoken{int64(d / time.Minute), "minutes"}
	}
	return spoken{int64(d / time.Hour), "hours"}
}

func (s spoken) String() string { return fmt.Sprintf("%d %s", s.n, s.unit) }

// releaseOf names a distribution as far as it is known.
func releaseOf(os gate.OS) string {
	if os.Family == "" {
		return "release unknown"
	}
	if os.Name == "" {
		return os.Family
	}
	return os.Family + " " + os.Name
}
