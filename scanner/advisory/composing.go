package advisory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// sourceState is how one source of a composition goes, for all processes.
type sourceState struct {
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	NextAt    time.Time `json:"nextAt,omitzero"`
	Failures  int       `json:"failures,omitempty"`
	Problem   string    `json:"problem,omitempty"`
	// Settled is what needs not be fetched again: it is a part of what is in force, or was
	// refused for the reason in Problem.
	Settled gate.Digest `json:"settled,omitempty"`
	Refused bool        `json:"refused,omitempty"`
}

// composing is one attempt to bring the sources of a composition up to date. A source that
// fails keeps its part of the generation in force with its own age; the others are renewed.
type composing struct {
	r      *Refresher
	orders orders
	now    time.Time
	again  bool // a person wants it now
	// accepted: a person has overridden a refusal since.
	accepted bool
	active   agree.Activation
	any      bool // something is in force
	former   Manifest

	states  map[string]sourceState
	parts   []part
	changed []string // sources with other data
	errs    []error
	release []func()
	outcome
}

// composes reports whether generations are made of several sources.
func (r *Refresher) composes() bool { return len(r.Sources) > 0 }

// supplies are the sources in the order in which they decide; trivy-db is that of Mirrors.
func (r *Refresher) supplies() []Supplied {
	var configs []source.Config
	by := map[string]Mirrors{gate.SourceTrivyDB: r.Mirrors}
	for _, s := range r.Sources {
		configs, by[s.Name] = append(configs, s.Config), s.Mirrors
	}
	var list []Supplied
	for _, c := range source.Ordered(configs, r.Mirrors != nil) {
		list = append(list, Supplied{c, by[c.Name]})
	}
	return list
}

// refreshComposed asks all sources that are due and puts in force what they make
// together. The error is that of trivy-db, or of all where none has data; those of single
// sources are in their states.
func (r *Refresher) refreshComposed(ctx context.Context, st refreshState, o orders, now time.Time) (outcome, error) {
	c := &composing{r: r, orders: o, now: now, again: !o.Asked.Equal(st.Served), accepted: o.acceptedAt().After(st.Served), states: map[string]sourceState{}}
	defer func() {
		for _, release := range c.release {
			release()
		}
	}()
	var err error
	if c.active, c.any, err = r.Manager.member.Active(ctx); err != nil {
		return c.outcome, err
	}
	if c.any {
		c.former = manifestOf(c.active)
	}
	var main error
	for _, s := range r.supplies() {
		is := st.Sources[s.Name]
		var err error
		if c.rests(s, is) {
			err = c.keep(s, is)
			c.states[s.Name] = is
		} else {
			err = c.bring(ctx, s, &is)
			if ctx.Err() != nil {
				return c.outcome, fmt.Errorf("%w: %w", gate.ErrTimeout, ctx.Err())
			}
			c.note(s, &is, err)
		}
		if s.Name == gate.SourceTrivyDB {
			main = err
		}
	}
	c.outcome.sources = c.states
	if len(c.parts) == 0 || r.Mirrors != nil && !c.hasTrivyDB() {
		// A source with a few rows of a release would have all of its images look clean.
		c.forget()
		return c.outcome, joined(c.errs)
	}
	if err := c.putInForce(ctx); err != nil {
		c.forget()
		return c.outcome, err
	}
	return c.outcome, main
}

func (c *composing) hasTrivyDB() bool {
	return slices.ContainsFunc(c.parts, func(p part) bool { return p.Name == gate.SourceTrivyDB })
}

// forget has what was fetched, and did not come into force, fetched again the next time.
func (c *composing) forget() {
	for _, name := range c.changed {
		is := c.states[name]
		is.Settled = ""
		c.states[name] = is
	}
}

// note writes down how a source went and says each new problem once.
func (c *composing) note(s Supplied, is *sourceState, err error) {
	log := c.r.Log
	switch {
	case err == nil:
		if is.Failures > 0 {
			log.Info("a source of advisory data works again", "source", s.Name, "failures", is.Failures)
		}
		is.Failures, is.Problem, is.Refused = 0, "", false
		is.NextAt = c.now.Add(c.r.Every).UTC()
	default:
		c.errs = append(c.errs, fmt.Errorf("source %q: %w", s.Name, err))
		problem := gate.Printable(strings.TrimSuffix(err.Error(), ": "+gate.ErrInvalid.Error()), 500)
		if problem != is.Problem {
			log.Warn("a source of advisory data cannot be used, its former rows stay", "source", s.Name, "error", problem)
		}
		is.Failures++
		is.Problem = problem
		wait := refreshState{Failures: is.Failures}.wait(err, c.r.Every, c.any)
		is.NextAt = c.now.Add(wait).UTC()
	}
	is.CheckedAt = c.now.UTC()
	c.states[s.Name] = *is
}

// part is that of a source in the generation in force, as the configuration has it now.
func (c *composing) part(s Supplied) (was Source, ok bool) {
	was, ok = c.former.named(c.active.Content, c.active.UpdatedAt, s.Name)
	return was, ok && c.any
}

// rests reports whether a source is not due yet.
func (c *composing) rests(s Supplied, is sourceState) bool {
	_, had := c.part(s)
	return !c.again && !c.accepted && c.now.Before(is.NextAt) && is.NextAt.Sub(c.now) <= max(c.r.Every, lastRetry) && (had || is.Failures > 0)
}

// keep adds the part that a source has in the generation in force, if it has one. The
// error is the problem that the source had when it was asked last.
func (c *composing) keep(s Supplied, is sourceState) error {
	if was, had := c.part(s); had {
		kept := described(s.Config, was.Digest, was.UpdatedAt, was.From)
		kept.Gave = was.Gave
		c.parts = append(c.parts, part{Source: kept})
	}
	if is.Problem == "" {
		return nil
	}
	err := fmt.Errorf("%s: %w", is.Problem, gate.ErrRegistryUnavailable)
	c.errs = append(c.errs, fmt.Errorf("source %q: %w", s.Name, err))
	return err
}

// nextOf is when the next source is due, no later than at.
func nextOf(states map[string]sourceState, at time.Time) time.Time {
	for _, name := range slices.Sorted(maps.Keys(states)) {
		if next := states[name].NextAt; !next.IsZero() && next.Before(at) {
			at = next
		}
	}
	return at
}
