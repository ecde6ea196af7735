package view

import (
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	registrysync "github.com/digestgate/digestgate/gate/sync"
)

// Registry is one configured registry.
type Registry struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Host    string   `json:"host" doc:"where images are pulled"`
	Aliases []string `json:"aliases"`
	// LastEvent is nil as long as nothing came.
	LastEvent *LastEvent `json:"lastEvent" doc:"the newest delivery that was authenticated and answered; null as long as none came"`
	Sync      Sync       `json:"sync"`
}

// OfRegistry is the view of a registry, with how its synchronisation stands and when it
// was last heard of.
func OfRegistry(r gate.Registry, st registrysync.SyncStatus, last intake.LastEvent) Registry {
	v := Registry{Name: r.Name, Type: r.Type, Host: r.Host, Aliases: orEmpty(r.Aliases), Sync: OfSync(st)}
	if !last.At.IsZero() {
		v.LastEvent = &LastEvent{last.At, last.State}
	}
	return v
}

// LastEvent is the newest delivery of a registry.
type LastEvent struct {
	At    time.Time      `json:"at"`
	State gate.PushState `json:"state" enum:"queued,duplicate,known,ignored" doc:"what it led to"`
}

// Sync is how the synchronisation of a registry stands.
type Sync struct {
	Registry  string                  `json:"registry"`
	State     registrysync.SyncPhase  `json:"state" enum:"never,waiting,running,done"`
	Full      bool                    `json:"full" doc:"the run under way, or the last one, confirms every tag"`
	StartedAt *time.Time              `json:"startedAt" doc:"of the run under way, or the last one"`
	UpdatedAt *time.Time              `json:"updatedAt"`
	EndedAt   *time.Time              `json:"endedAt"`
	Counts    registrysync.SyncCounts `json:"counts" doc:"of that run so far"`
	Cursor    string                  `json:"cursor" doc:"the last repository that is done; the names are sorted"`
	Attempt   int                     `json:"attempt" doc:"of a run that makes no progress"`
	NextTryAt *time.Time              `json:"nextTryAt" doc:"when a run that waits continues"`
	Error     string                  `json:"error" doc:"why it waits, or the last problem of the run"`
	Note      string                  `json:"note" doc:"what the registry's lists leave out"`
	LastTags  *time.Time              `json:"lastTags" doc:"start of the last finished run"`
	LastFull  *time.Time              `json:"lastFull" doc:"start of the last finished run that confirmed every tag"`
	Every     SyncIntervals           `json:"every"`
}

// SyncIntervals is how often a registry is synchronised by itself, such as
// "15m0s"; "0s" is never.
type SyncIntervals struct {
	Tags string `json:"tags"`
	Full string `json:"full"`
}

// OfSync is the view of a synchronisation.
func OfSync(s registrysync.SyncStatus) Sync {
	return Sync{
		Registry: s.Registry, State: s.Phase, Full: s.Full, StartedAt: optional(s.Started), UpdatedAt: optional(s.Updated),
		EndedAt: optional(s.Ended), Counts: s.Counts, Cursor: s.Cursor, Attempt: s.Attempt, NextTryAt: optional(s.NextTry),
		Error: s.Error, Note: s.Note, LastTags: optional(s.LastTags), LastFull: optional(s.LastFull),
		Every: SyncIntervals{s.Plan.Tags.String(), s.Plan.Full.String()},
	}
}

// Step is one step of a connection test.
type Step struct {
	Name   string           `json:"name" enum:"reachability,certificate,login,catalog,pull"`
	Result gate.ProbeResult `json:"result" enum:"ok,warning,failed,skipped"`
	Text   string           `json:"text"`
	Advice string           `json:"advice" doc:"what to do, empty when nothing is"`
}
