package view

import (
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/schedule"
)

// ScanScope is which images are scanned.
type ScanScope struct {
	All           bool     `json:"all" doc:"every image"`
	Registries    []string `json:"registries"`
	RegistryTypes []string `json:"registryTypes"`
	Repositories  []string `json:"repositories"`
	Tags          []string `json:"tags"`
	PushedWithin  string   `json:"pushedWithin" doc:"first seen at a location within this time, such as 360h0m0s; empty for any time"`
	Running       bool     `json:"running" doc:"only images that admission was asked for lately"`
	Verdict       string   `json:"verdict" doc:"standing verdict: allow, warn, deny, none; empty for any"`
	Recommended   bool     `json:"recommended" doc:"running, pushed in the last 7 days, or never scanned"`
}

func ofScope(s gate.ScanScope) ScanScope {
	v := ScanScope{
		All: s.Zero(), Registries: orEmpty(s.Registries), RegistryTypes: orEmpty(s.RegistryTypes), Repositories: orEmpty(s.Repositories),
		Tags: orEmpty(s.Tags), Running: s.Running, Verdict: string(s.Verdict), Recommended: s.Recommended,
	}
	if s.PushedWithin > 0 {
		v.PushedWithin = s.PushedWithin.String()
	}
	return v
}

// ScanTask is a scan of many images.
type ScanTask struct {
	ID          string         `json:"id"`
	State       gate.ScanState `json:"state" enum:"queued,running,waiting,paused,done,cancelled,failed" doc:"waiting: for its window, or for the next attempt"`
	Kind        gate.ScanKind  `json:"kind" enum:"match,content"`
	Force       bool           `json:"force" doc:"images that the present analysers have seen are analysed again too"`
	Scope       ScanScope      `json:"scope"`
	Risks       []gate.Risk    `json:"risks" doc:"empty for all"`
	Rate        int            `json:"rate" doc:"most images begun in an hour; 0: no limit"`
	Concurrency int            `json:"concurrency" doc:"images at a time; 0: digestgate decides"`
	Window      string         `json:"window" doc:"time of the day, in timeZone, in which images are begun; empty: any time"`
	TimeZone    string         `json:"timeZone"`
	Schedule    string         `json:"schedule" doc:"the schedule whose run it is; empty when it is not a run"`
	Tick        *time.Time     `json:"tick" doc:"when the run was due; null for a run that was started through the API"`
	CreatedAt   time.Time      `json:"createdAt"`
	StartedAt   *time.Time     `json:"startedAt"`
	UpdatedAt   time.Time      `json:"updatedAt"`
	FinishedAt  *time.Time     `json:"finishedAt"`
	Total       *int           `json:"total" doc:"images of the scope; null until they are counted"`
	Done        int            `json:"done" doc:"images that were matched or analysed"`
	Analyzed    int            `json:"analyzed" doc:"those of done that were analysed since the task began"`
	Failed      int            `json:"failed"`
	Skipped     int            `json:"skipped" doc:"images that needed no work: no inventory to match, waiting for quota, or a first scan that was cancelled"`
	ExpectedEnd *time.Time     `json:"expectedEnd" doc:"when it ends at the present pace; null while that is not known"`
	Error       string         `json:"error" doc:"why it waits or has failed"`
	RetryAt     *time.Time     `json:"retryAt" doc:"when it is tried again"`
	Note        string         `json:"note" doc:"what is odd about it, such as a scope without images; empty for nothing"`
}

// OfScanTask is the view of a task at a time.
func OfScanTask(t gate.ScanTask, now time.Time) ScanTask {
	v := ScanTask{
		ID: t.ID, State: t.State, Kind: t.Kind, Force: t.Force, Scope: ofScope(t.Scope), Risks: orEmpty(t.Risks), Rate: t.Rate,
		Concurrency: t.Concurrency, Window: t.Window, TimeZone: zoneName(t.TimeZone), Schedule: t.Schedule, Tick: optional(t.Tick),
		CreatedAt: t.CreatedAt, StartedAt: optional(t.StartedAt), UpdatedAt: t.UpdatedAt, FinishedAt: optional(t.FinishedAt),
		Done: t.Done, Analyzed: t.Analyzed, Failed: t.Failed, Skipped: t.Skipped, ExpectedEnd: optional(t.ExpectedEnd(now)),
		Error: t.Error, RetryAt: optional(t.RetryAt),
	}
	if t.Counted {
		v.Total = &t.Total
		if t.Total == 0 {
			v.Note = emptyScope(t)
		}
	}
	return v
}

// emptyScope says that a task has nothing to do, and where to look.
func emptyScope(t gate.ScanTask) string {
	switch {
	case t.Scope.Zero() && t.Kind == gate.ScanContent:
		return "no image is known in a configured registry"
	case t.Scope.Zero():
		return "no image is known yet"
	}
	return "no known image is in the scope; \"digestgate images\" lists those that are known, with their registries, repositories and tags"
}

func zoneName(name string) string {
	if name == "" {
		return "UTC"
	}
	return name
}

// Schedule is a schedule with how its runs go.
type Schedule struct {
	Name        string        `json:"name"`
	Source      string        `json:"source" enum:"file,api" doc:"where it is changed: the configuration file, or this API"`
	Enabled     bool          `json:"enabled"`
	Cron        string        `json:"cron" doc:"empty with every"`
	Every       string        `json:"every" doc:"a number of days, such as 3d; empty with cron"`
	At          string        `json:"at" doc:"time of day with every; empty: 00:00"`
	From        string        `json:"from" doc:"day from which every counts; empty: the first day on which the schedule was due"`
	TimeZone    string        `json:"timeZone"`
	Window      string        `json:"window"`
	Scope       ScanScope     `json:"scope"`
	Kind        gate.ScanKind `json:"kind" enum:"match,content"`
	Risks       []gate.Risk   `json:"risks" doc:"empty for all"`
	Rate        int           `json:"rate" doc:"most images begun in an hour; 0: no limit"`
	Concurrency int           `json:"concurrency" doc:"images at a time; 0: digestgate decides"`
	CreatedAt   *time.Time    `json:"createdAt" doc:"when it was added through the API; null for a schedule of the file"`
	Problem     string        `json:"problem" doc:"why it is not followed; empty when it is"`
	Next        []time.Time   `json:"next" doc:"the next five times at which a run begins; empty while it is not enabled"`
	LastTick    *time.Time    `json:"lastTick" doc:"the last time at which it was due"`
	LastResult  string        `json:"lastResult" doc:"of lastTick: begun; joined: the previous run had not ended and stands for it; off: it was not enabled; empty: it was never due"`
	Run         *ScanTask     `json:"run" doc:"the run that has not ended; null for none"`
	LastRun     *ScanTask     `json:"lastRun" doc:"the run that ended last; null for none"`
}

// OfSchedule is the view of a schedule at a time.
func OfSchedule(s schedule.Status, now time.Time) Schedule {
	v := Schedule{
		Name: s.Name, Source: s.Source, Enabled: s.Enabled, Cron: s.Cron, Every: s.Every, At: s.At, From: s.From, TimeZone: zoneName(s.TimeZone),
		Window: s.Window, Scope: ofScope(s.Scope), Kind: s.Kind, Risks: orEmpty(s.Risks), Rate: s.Rate, Concurrency: s.Concurrency,
		CreatedAt: optional(s.CreatedAt), Problem: s.Problem, Next: orEmpty(s.Next), LastTick: optional(s.LastTick), LastResult: s.LastResult,
	}
	for from, to := range map[*gate.ScanTask]**ScanTask{s.Live: &v.Run, s.Last: &v.LastRun} {
		if from != nil {
			task := OfScanTask(*from, now)
			*to = &task
		}
	}
	return v
}
