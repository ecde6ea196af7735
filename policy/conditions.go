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
func noVerdict(q gate.Question) (reason gate.Reason, ok bool) {
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

// conditions judges what is known of an image apart from its findings: risks
// that were not fully looked at, a distribution that cannot be judged, and old
// advisory data. Deny reasons come first, in this order; what the
// configuration lets through is a warning.
func (e *Engine) conditions(q gate.Question, fs *facts) []gate.Reason {
	reasons := slices.Clone(fs.incomplete)
	add := func(word string, text gate.Text) {
		if slices.Contains(e.options.Config.AllowIncomplete, word) {
			r := letThrough(word, text)
			r.Code = gate.CodeUnassessable
			reasons = append(reasons, r)
			return
		}
		reasons = append(reasons, none(gate.CodeUnassessable, refusal.Say(refusal.OrAllow, refusal.P{"what": text, "entry": word})))
	}
	switch {
	case !fs.distributionFiles || fs.packageDatabase:
	case fs.database.Path != "":
		add(IncompletePackageDatabase, refusal.Say(refusal.DatabaseUnread,
			refusal.P{"release": fs.release(), "path": fs.database.Path, "manager": fs.database.Manager}))
	default:
		add(IncompletePackageDatabase, refusal.Say(refusal.DatabaseMissing, refusal.P{"release": fs.release()}))
	}
	if fs.unassessable != "" {
		add(IncompleteDistributionRelease, refusal.Say(refusal.ReleaseUnknown, refusal.P{"why": fs.unassessable}))
	}
	if r, ok := e.stale(q, fs); ok {
		reasons = append(reasons, r)
	}
	slices.SortStableFunc(reasons, func(a, b gate.Reason) int { return rank(a.Action) - rank(b.Action) })
	return reasons
}

func rank(o gate.Outcome) int {
	if o == gate.OutcomeDeny {
		return 0
	}
	return 1
}

// stale compares the age of the advisory data with advisories.maxAge.
func (e *Engine) stale(q gate.Question, fs *facts) (gate.Reason, bool) {
	if e.options.MaxAge <= 0 {
		return gate.Reason{}, false
	}
	at := fs.advisories(q).UpdatedAt
	age := q.Now.Sub(at)
	ahead := age < -gate.ClockSkew // no age at all, least of all a young one
	if !at.IsZero() && !ahead && age <= e.options.MaxAge {
		return gate.Reason{}, false
	}
	action := gate.OutcomeWarn
	if e.options.DenyStale {
		action = gate.OutcomeDeny
	}
	if at.IsZero() {
		return condition(action, gate.CodeStale, refusal.Say(refusal.StaleUndated, nil)), true
	}
	if ahead {
		return condition(action, gate.CodeStale, refusal.Say(refusal.StaleFuture, refusal.P{"at": rfc3339(at)})), true
	}
	return condition(action, gate.CodeStale, refusal.Say(refusal.StaleOld,
		refusal.P{"at": rfc3339(at), "age": spoken(age), "most": spoken(e.options.MaxAge)})), true
}

// spoken is a duration in whole hours, in minutes when it is short.
func spoken(d time.Duration) string {
	if d < 3*time.Hour {
		return fmt.Sprintf("%d minutes", int64(d/time.Minute))
	}
	return fmt.Sprintf("%d hours", int64(d/time.Hour))
}

// release names the distribution as far as it is known.
func (fs *facts) release() string {
	if fs.os.Family == "" {
		return "release unknown"
	}
	if fs.os.Name == "" {
		return fs.os.Family
	}
	return fs.os.Family + " " + fs.os.Name
}
