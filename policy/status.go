package policy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Status is what is known of the policies in use.
type Status struct {
	// Revision names the set and the options that decide with it.
	Revision string `json:"revision"`
	// Activation is the number under which Content is in force, since
	// ActivatedAt and by the process By.
	Activation  int64       `json:"activation"`
	Content     gate.Digest `json:"content"`
	ActivatedAt time.Time   `json:"activatedAt"`
	By          string      `json:"by"`
	Files       []string    `json:"files"`
	Rules       int         `json:"rules"`
	LoadedAt    time.Time   `json:"loadedAt"`
	// Error is why the newest files were refused, "" when they are not;
	// RefusedAt is when.
	Error     string    `json:"error"`
	RefusedAt time.Time `json:"refusedAt,omitzero"`
	// Differs says in words that the files here are not what is in force,
	// Behind that what is in force does not load here, Waits that a change of the
	// files waits for a store that does not answer; "" when all is well.
	Differs string `json:"differs"`
	Behind  string `json:"behind"`
	Waits   string `json:"waits"`
	// Outdated says that what is in force has mistakes for which this version
	// refuses new sets.
	Outdated string `json:"outdated"`
	// LostSlots of Slots are held by evaluations over their budget.
	LostSlots int `json:"lostSlots"`
	Slots     int `json:"slots"`
}

// Problems are what people should look at, one sentence each.
func (s Status) Problems() []string {
	var list []string
	for _, p := range []struct{ before, text string }{
		{"the last change was refused: ", s.Error},
		{"", s.Behind},
		{"", s.Outdated},
		{"", s.Differs},
		{"the changed files wait for the store: ", s.Waits},
	} {
		if p.text != "" {
			list = append(list, p.before+p.text)
		}
	}
	return list
}

// Status reports the policies in use and what keeps others from being it. It
// never waits for a trial.
func (a *Active) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, live := a.status, a.live.Status()
	s.Differs, s.Behind, s.Waits = live.Differs, live.Behind, live.Waits
	s.LostSlots, s.Slots = a.pool.lostSlots()
	return s
}

func (a *Active) setStatus(change func(*Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.status)
}

// Describe registers what the engine decides with.
func (a *Active) Describe(reg prometheus.Registerer) {
	gauge := func(o prometheus.GaugeOpts, value func(Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(o, func() float64 { return value(a.Status()) })
	}
	flag := func(o prometheus.GaugeOpts, is func(Status) bool) prometheus.Collector {
		return gauge(o, func(s Status) float64 {
			if is(s) {
				return 1
			}
			return 0
		})
	}
	reg.MustRegister(
		gauge(prometheus.GaugeOpts{
			Name: "digestgate_policy_activation", Help: "Number of the activation whose policies this process decides with.",
		}, func(s Status) float64 { return float64(s.Activation) }),
		gauge(prometheus.GaugeOpts{
			Name: "digestgate_policy_activated_timestamp_seconds", Help: "When these policies were put in force.",
		}, func(s Status) float64 { return float64(s.ActivatedAt.Unix()) }),
		flag(prometheus.GaugeOpts{
			Name: "digestgate_policy_active", Help: "1 when this process decides with the policies in force, 0 when those do not load here.",
		}, func(s Status) bool { return s.Behind == "" }),
		flag(prometheus.GaugeOpts{
			Name: "digestgate_policy_files_differ", Help: "1 when the policy files of this process are not the policies in force.",
		}, func(s Status) bool { return s.Differs != "" }),
		flag(prometheus.GaugeOpts{
			Name: "digestgate_policy_outdated", Help: "1 when the policies in force have mistakes for which this version refuses a new set.",
		}, func(s Status) bool { return s.Outdated != "" }),
		flag(prometheus.GaugeOpts{
			Name: "digestgate_policy_refused", Help: "1 when the policy files of this process were refused.",
		}, func(s Status) bool { return s.Error != "" }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "digestgate_policy_restored_total", Help: "Times that the store had lost the policies in force, or they had been changed from outside, and this process put them back.",
		}, func() float64 { return float64(a.live.Member().Restored()) }),
	)
}
