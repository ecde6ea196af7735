package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The conditions are what the engine itself refuses, before any rule runs
// (DESIGN.md §8). Their texts are for the person whose Pod was refused: what is
// wrong, and what to do.

// noVerdict is the answer for an image without usable findings; ok is false
// when it has some.
func noVerdict(q gate.Question) (reason gate.Reason, ok bool) {
	if q.State == gate.StateUnassessable {
		why := q.Record.WhyUnassessable(q.Location)
		if why == "" {
			why = "its content cannot be read"
		}
		return none(gate.CodeUnassessable, "the image cannot be assessed: %s; use another image, or ask the operators of digestgate", why), true
	}
	if q.Record.InventoryID != "" && q.Record.FindingsID != "" {
		return gate.Reason{}, false
	}
	const wait = "a controller retries by itself, a bare Pod must be applied again"
	switch q.State {
	case gate.StateQueued:
		return none(gate.CodePending, "the image is waiting to be scanned; %s", wait), true
	case gate.StateScanning:
		return none(gate.CodePending, "the image is being scanned; %s", wait), true
	case gate.StateScanned:
		return none(gate.CodePending, "the image has been read and is not yet compared with the vulnerability data; %s", wait), true
	case gate.StateFailed:
		return none(gate.CodeScanFailed, "the scan of the image failed; the job says why, and a new push or `POST /api/v1/scans` scans it again"), true
	case gate.StateQuotaExhausted:
		return none(gate.CodeQuotaExhausted, "the scan quota of this period is used up; the scan continues when the next one begins, or when the quota is raised"), true
	case gate.StateCancelled:
		return none(gate.CodeUnscanned, "the scan of the image was cancelled; ask for it again with `POST /api/v1/scans`"), true
	}
	return none(gate.CodeUnscanned, "the image has not been scanned; push it to a configured registry, or ask for a scan"), true
}

func none(code gate.Code, format string, args ...any) gate.Reason {
	return condition(gate.OutcomeDeny, code, format, args...)
}

func condition(action gate.Outcome, code gate.Code, format string, args ...any) gate.Reason {
	return gate.Reason{Action: action, Code: code, Msg: gate.Printable(fmt.Sprintf(format, args...), maxMsgBytes), Findings: []string{}}
}

// conditions judges what is known of an image apart from its findings: risks
// that were not fully looked at, a distribution that cannot be judged, and old
// advisory data. Deny reasons come first, in this order; what the
// configuration lets through is a warning.
func (e *Engine) conditions(q gate.Question, fs *facts) []gate.Reason {
	reasons := slices.Clone(fs.incomplete)
	add := func(word string, code gate.Code, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if slices.Contains(e.options.Config.AllowIncomplete, word) {
			r := letThrough(word, text)
			r.Code = code
			reasons = append(reasons, r)
			return
		}
		reasons = append(reasons, condition(gate.OutcomeDeny, code, "%s, or let the operators of digestgate add %q to policy.allowIncomplete", text, word))
	}
	switch {
	case !fs.distributionFiles || fs.packageDatabase:
	case fs.database.Path != "":
		add(IncompletePackageDatabase, gate.CodeUnassessable,
			"the image is built from a distribution (%s) whose package database %s (%s) could not be read, so what is installed is not known; use a base image with packages of dpkg, apk or rpm",
			fs.release(), gate.Quoted(fs.database.Path, 200), gate.Printable(fs.database.Manager, 60))
	default:
		add(IncompletePackageDatabase, gate.CodeUnassessable,
			"the image is built from a distribution (%s) but its package database is missing, so what is installed is not known; do not delete the package database in the build", fs.release())
	}
	if fs.unassessable != "" {
		add(IncompleteDistributionRelease, gate.CodeUnassessable,
			"the vulnerability data cannot judge the image: %s; use an image that it can judge, or ask the operators of digestgate", fs.unassessable)
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
		return condition(action, gate.CodeStale, "the age of the vulnerability data is not known: its sources state no time; ask the operators of digestgate to build it with --updated-at, or to load current data"), true
	}
	if ahead {
		return condition(action, gate.CodeStale, "the age of the vulnerability data is not known: it is dated %s, which is in the future; ask the operators of digestgate to load current data, or to correct the clock", rfc3339(at)), true
	}
	return condition(action, gate.CodeStale,
		"the vulnerability data is of %s, %s old, and at most %s are allowed (advisories.maxAge); ask the operators of digestgate to refresh it",
		rfc3339(at), spoken(age), spoken(e.options.MaxAge)), true
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
