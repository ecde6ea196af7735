package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/schedule"
	"github.com/digestgate/digestgate/gate/view"
)

// Schedules shows schedules and changes those that are made here; schedule.Desk
// implements it.
type Schedules interface {
	// List is every schedule. gate.ErrStoreUnavailable: 503.
	List(ctx context.Context) ([]schedule.Status, error)
	// Get is one of them. gate.ErrNotFound: 404; gate.ErrStoreUnavailable: 503.
	Get(ctx context.Context, name string) (schedule.Status, error)
	// Problems says what is wrong with a schedule.
	Problems(c schedule.Config) []gate.ScanProblem
	// Add makes one. gate.ErrConflict: the name is taken, or there are too many, 409;
	// gate.ErrStoreUnavailable: 503.
	Add(ctx context.Context, c schedule.Config) (schedule.Status, error)
	// Replace replaces one that was made here. gate.ErrConflict: it is in the file, 409; and
	// the errors of Get.
	Replace(ctx context.Context, c schedule.Config) (schedule.Status, error)
	// Remove forgets one that was made here. gate.ErrConflict: it is in the file, 409; and
	// the errors of Get.
	Remove(ctx context.Context, name string) error
	// Enable switches one that was made here on or off. Errors: those of Remove.
	Enable(ctx context.Context, name string, on bool) (schedule.Status, error)
	// RunNow starts a run. gate.ErrConflict: one is under way, 409; and the errors of Get.
	RunNow(ctx context.Context, name string) (gate.ScanTask, error)
	// Pause stops the run that is under way until Resume. gate.ErrConflict: there is none,
	// or its state does not allow it, 409; and the errors of Get.
	Pause(ctx context.Context, name string) (gate.ScanTask, error)
	// Resume continues the run that is paused. Errors: those of Pause.
	Resume(ctx context.Context, name string) (gate.ScanTask, error)
	// Cancel ends the run. Errors: those of Pause.
	Cancel(ctx context.Context, name string) (gate.ScanTask, error)
}

// registerSchedules adds the operations about schedules.
func (s *server) registerSchedules(api huma.API) {
	huma.Register(api, operation(http.MethodGet, "/schedules", "list-schedules", "List schedules", "digestgate schedules list"), s.listSchedules)
	huma.Register(api, operation(http.MethodGet, "/schedules/{name}", "get-schedule", "One schedule", "digestgate schedules show"), s.getSchedule)
	add := operation(http.MethodPost, "/schedules", "add-schedule", "Add a schedule", "digestgate schedules add")
	add.DefaultStatus = http.StatusCreated
	huma.Register(api, add, s.addSchedule)
	huma.Register(api, operation(http.MethodPut, "/schedules/{name}", "replace-schedule", "Replace a schedule that was added through the API; a run that is under way ends as it began", "digestgate schedules set"), s.replaceSchedule)
	huma.Register(api, operation(http.MethodDelete, "/schedules/{name}", "remove-schedule", "Remove a schedule that was added through the API, and cancel its run", "digestgate schedules remove"), s.removeSchedule)
	for verb, on := range map[string]bool{"enable": true, "disable": false} {
		huma.Register(api, operation(http.MethodPost, "/schedules/{name}/"+verb, verb+"-schedule", "Switch a schedule that was added through the API on or off", "digestgate schedules "+verb), func(ctx context.Context, in *scheduleInput) (*scheduleOutput, error) {
			st, err := s.Schedules.Enable(ctx, in.Name, on)
			return s.shownSchedule(ctx, "switching a schedule", st, err)
		})
	}
	for _, o := range []struct {
		verb, summary string
		status        int
		do            func(context.Context, string) (gate.ScanTask, error)
	}{
		{"run", "Start a run of a schedule now", http.StatusAccepted, s.Schedules.RunNow},
		{"pause", "Pause the run of a schedule", http.StatusOK, s.Schedules.Pause},
		{"resume", "Continue the paused run of a schedule", http.StatusOK, s.Schedules.Resume},
		{"cancel", "Cancel the run of a schedule", http.StatusOK, s.Schedules.Cancel},
	} {
		op := operation(http.MethodPost, "/schedules/{name}/"+o.verb, o.verb+"-schedule", o.summary, "digestgate schedules "+o.verb)
		op.DefaultStatus = o.status
		huma.Register(api, op, func(ctx context.Context, in *scheduleInput) (*scanOutput, error) {
			t, err := o.do(ctx, in.Name)
			if err != nil {
				return nil, s.problem(ctx, "changing the run of a schedule", err)
			}
			return &scanOutput{view.OfScanTask(t, s.Now())}, nil
		})
	}
}

type listSchedulesOutput struct {
	Body struct {
		Schedules []view.Schedule `json:"schedules"`
	}
}

func (s *server) listSchedules(ctx context.Context, _ *struct{}) (*listSchedulesOutput, error) {
	list, err := s.Schedules.List(ctx)
	if err != nil {
		return nil, s.problem(ctx, "listing schedules", err)
	}
	out := &listSchedulesOutput{}
	out.Body.Schedules = []view.Schedule{}
	for _, st := range list {
		out.Body.Schedules = append(out.Body.Schedules, view.OfSchedule(st, s.Now()))
	}
	return out, nil
}

type scheduleInput struct {
	Name string `path:"name" maxLength:"63"`
}

type scheduleOutput struct{ Body view.Schedule }

func (s *server) getSchedule(ctx context.Context, in *scheduleInput) (*scheduleOutput, error) {
	st, err := s.Schedules.Get(ctx, in.Name)
	return s.shownSchedule(ctx, "reading a schedule", st, err)
}

func (s *server) shownSchedule(ctx context.Context, doing string, st schedule.Status, err error) (*scheduleOutput, error) {
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	return &scheduleOutput{view.OfSchedule(st, s.Now())}, nil
}

// ScheduleInput is a schedule as a caller writes it, without its name.
type ScheduleInput struct {
	Cron        string        `json:"cron,omitempty" maxLength:"500" doc:"five fields, or @hourly, @daily, @weekly, @monthly, @yearly, @every 6h"`
	Every       string        `json:"every,omitempty" maxLength:"40" doc:"instead of cron: a number of days, such as 3d"`
	At          string        `json:"at,omitempty" maxLength:"40" doc:"time of day with every; 00:00 by default"`
	From        string        `json:"from,omitempty" maxLength:"40" doc:"day from which every counts, such as 2026-12-01; by default the first day on which the schedule is due"`
	TimeZone    string        `json:"timeZone,omitempty" maxLength:"100" doc:"IANA name of the time zone; empty: UTC"`
	Window      string        `json:"window,omitempty" maxLength:"40" doc:"time of the day in which images are begun, such as 00:00-07:00; a run continues in the next window"`
	Scope       scopeInput    `json:"scope,omitempty" doc:"which images; every image when it is left out"`
	Kind        gate.ScanKind `json:"kind" maxLength:"40" doc:"match: nothing is pulled. content: images are analysed again"`
	Risks       []gate.Risk   `json:"risks,omitempty" maxItems:"20" doc:"risks to look at; empty: all"`
	Rate        int           `json:"rate,omitempty" doc:"most images begun in an hour; 0: no limit"`
	Concurrency int           `json:"concurrency,omitempty" doc:"images at a time; 0: digestgate decides"`
	Enabled     *bool         `json:"enabled,omitempty" doc:"true by default, for a schedule that is replaced as it is"`
}

// read makes a schedule of what a caller wrote; enabled is the default of that key.
func (b ScheduleInput) read(name string, enabled bool) (schedule.Config, []gate.ScanProblem) {
	scope, problems := b.Scope.read(true)
	if b.Enabled != nil {
		enabled = *b.Enabled
	}
	return schedule.Config{
		Name: name, Cron: b.Cron, Every: b.Every, At: b.At, From: b.From, TimeZone: b.TimeZone, Window: b.Window, Scope: scope, Kind: b.Kind,
		Risks: b.Risks, Rate: b.Rate, Concurrency: b.Concurrency, Enabled: enabled,
	}, problems
}

type addScheduleInput struct {
	Body struct {
		Name string `json:"name" maxLength:"200" doc:"lower-case letters, digits and hyphens, at most 63"`
		ScheduleInput
	}
}

func (s *server) addSchedule(ctx context.Context, in *addScheduleInput) (*scheduleOutput, error) {
	c, problems := in.Body.read(in.Body.Name, true)
	if problems = append(problems, s.Schedules.Problems(c)...); len(problems) > 0 {
		return nil, refusedValues("no schedule was made", problems)
	}
	st, err := s.Schedules.Add(ctx, c)
	return s.shownSchedule(ctx, "making a schedule", st, err)
}

type replaceScheduleInput struct {
	Name string `path:"name" maxLength:"63"`
	Body ScheduleInput
}

func (s *server) replaceSchedule(ctx context.Context, in *replaceScheduleInput) (*scheduleOutput, error) {
	const doing = "changing a schedule"
	was, err := s.Schedules.Get(ctx, in.Name)
	if err != nil {
		return nil, s.problem(ctx, doing, err)
	}
	c, problems := in.Body.read(in.Name, was.Enabled)
	if problems = append(problems, s.Schedules.Problems(c)...); len(problems) > 0 {
		return nil, refusedValues("the schedule was not changed", problems)
	}
	st, err := s.Schedules.Replace(ctx, c)
	return s.shownSchedule(ctx, doing, st, err)
}

func (s *server) removeSchedule(ctx context.Context, in *scheduleInput) (*struct{}, error) {
	if err := s.Schedules.Remove(ctx, in.Name); err != nil {
		return nil, s.problem(ctx, "removing a schedule", err)
	}
	return nil, nil
}
