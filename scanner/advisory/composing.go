package advisory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
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

// bring adds the part of a source: its newer data, or the part of the generation in force.
func (c *composing) bring(ctx context.Context, s Supplied, is *sourceState) error {
	was, had := c.part(s)
	keep := func() { _ = c.keep(s, sourceState{}) }
	settled := is.Settled
	if c.accepted || is.Refused && c.again || !is.Refused && (!had || !c.here(ctx, was.Digest)) {
		settled = ""
	}
	db, mark, err := c.fetch(ctx, s, settled, was, had)
	if mark != "" {
		is.Settled, is.Refused = mark, errors.Is(err, gate.ErrInvalid)
	}
	switch {
	case err != nil:
		keep()
		return err
	case db == nil && is.Refused:
		keep()
		return fmt.Errorf("%s: %w", is.Problem, gate.ErrInvalid)
	case db == nil:
		keep()
		return nil
	}
	c.changed = append(c.changed, s.Name)
	c.parts = append(c.parts, part{Source: described(s.Config, db.Content, db.UpdatedAt, db.Manifest.Sources[0].From), db: db})
	return nil
}

// here makes sure that a part of the generation in force is on this disk.
func (c *composing) here(ctx context.Context, content gate.Digest) bool {
	if c.r.Manager.copies.present(content) {
		return true
	}
	return c.r.fromPeers(ctx, content, 0) == nil
}

// fetch asks a source for its data and keeps it; nil without an error says that it has
// what is settled. mark is what it has now.
func (c *composing) fetch(ctx context.Context, s Supplied, settled gate.Digest, was Source, had bool) (db *Database, mark gate.Digest, err error) {
	m := c.r.Manager
	c.r.Progress(s.Where(), "asking", 0, 0)
	var former *Database
	var refused []BucketFinding
	d, err := s.Mirrors.Fetch(ctx, MirrorRequest{Settled: settled, Again: c.again, Accept: func(ctx context.Context, d Download) (err error) {
		mark = d.Manifest
		if db, err = Inspect(ctx, d.Dir, m.now()); err != nil {
			return err
		}
		if d.Repository != "" {
			db.Manifest.Sources[0].From = d.from()
		}
		if had && m.copies.present(was.Digest) {
			if former, err = m.copies.verify(ctx, was.Digest); err != nil && ctx.Err() != nil {
				return err
			}
		}
		whole := c.orders.accepts(c.now, string(db.Content), string(d.Manifest))
		j := Judge(db, former, Rules{Own: d.Own, Accepted: func(bucket string) bool { return whole || c.orders.accepts(c.now, bucket) }})
		if j.Whole != nil && !whole {
			return j.Whole
		}
		refused = j.Buckets
		return nil
	}})
	if err != nil || d == nil {
		return nil, mark, err
	}
	defer d.Discard()
	if len(refused) > 0 && former != nil {
		if db, err = compose(ctx, db, former, refused); err != nil {
			return nil, "", err
		}
		for _, h := range db.Manifest.Held {
			m.log.Warn("a part of the newer advisory data is refused, its former rows stay", "source", s.Name, "bucket", h.Bucket, "reason", h.Reason, "updatedAt", h.UpdatedAt)
		}
	}
	c.release = append(c.release, m.copies.hold(db.Manifest.Digest().Hex()))
	kept, err := m.copies.keep(ctx, db)
	if err != nil {
		return nil, "", err
	}
	return kept, d.Manifest, nil
}

// putInForce composes the parts if they are others than those in force.
func (c *composing) putInForce(ctx context.Context) error {
	m := c.r.Manager
	if len(c.parts) == 1 && c.parts[0].Name == gate.SourceTrivyDB {
		if c.any && c.former.Composition == 0 && c.parts[0].Digest == c.former.withoutJava() {
			return nil
		}
		db, err := m.copies.verify(ctx, c.parts[0].Digest)
		if err != nil {
			return err
		}
		java := c.java()
		if java == nil {
			return c.activate(ctx, db)
		}
		next := db.Manifest
		next.Java = java
		db, discard, err := m.copies.sameDatabase(ctx, db, next) // the part itself stays
		if err != nil {
			return err
		}
		defer discard()
		return c.keepAndActivate(ctx, db)
	}
	if c.any && c.former.sameInputs(manifestOfParts(c.parts)) {
		return nil
	}
	if c.held() {
		c.forget()
		return nil // as the person who went back wants it
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	c.r.Progress("", "composing", 0, 0)
	db, discard, err := m.copies.composeParts(ctx, c.parts)
	if err != nil {
		return err
	}
	defer discard()
	return c.keepAndActivate(ctx, db)
}

// java is the index of Java archives in force, which stays until there is a newer one; nil
// for none.
func (c *composing) java() *JavaSource {
	if java := c.former.Java; c.any && java != nil && c.r.Manager.copies.javaPresent(java) {
		return java
	}
	return nil
}

func (c *composing) keepAndActivate(ctx context.Context, db *Database) error {
	db.join(c.java())
	copies := c.r.Manager.copies
	c.release = append(c.release, copies.hold(db.Content.Hex()))
	kept, err := copies.keep(ctx, db)
	if err != nil {
		return err
	}
	if kept.Manifest.Composition > 0 {
		c.say(kept)
	}
	return c.activate(ctx, kept)
}

// read checks the parts that are to be composed. One that is damaged or gone is removed
// and fetched again.
func (c *composing) read(ctx context.Context) (err error) {
	m := c.r.Manager
	for i := range c.parts {
		p := &c.parts[i]
		if p.db != nil {
			continue
		}
		if c.here(ctx, p.Digest) {
			c.release = append(c.release, m.copies.hold(p.Digest.Hex()))
			p.db, err = m.copies.verify(ctx, p.Digest)
		} else {
			err = fmt.Errorf("no process keeps it: %w", gate.ErrNotFound)
		}
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, gate.ErrInvalid) {
				_ = os.RemoveAll(m.copies.dir(p.Digest)) // what stays is found damaged again
			}
			c.changed = append(c.changed, p.Name)
			return fmt.Errorf("the data of source %q that is in force cannot be read, it is fetched again: %w: %w", p.Name, err, gate.ErrConflict)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// held reports whether a person went back from data that these parts are not newer than.
func (c *composing) held() bool {
	back := c.orders.RolledBack
	if back == nil {
		return false
	}
	for _, p := range c.parts {
		if p.UpdatedAt.After(back.UpdatedAt) || c.orders.accepts(c.now, string(p.Digest)) {
			return false
		}
	}
	return true
}

// say logs what was composed, and what of it a person should know.
func (c *composing) say(db *Database) {
	for _, s := range db.Manifest.Sources {
		g := s.Gave
		c.r.Log.Info("advisory data was composed", "source", s.Name, "priority", s.Priority, "updatedAt", s.UpdatedAt, "rows", g.Rows,
			"overruled", g.Overruled, "replaced", g.Replaced)
		if len(g.Unused) > 0 {
			c.r.Log.Warn("rows of a source cannot be united with those of another and are not used", "source", s.Name, "buckets", gate.Printable(strings.Join(g.Unused, ", "), 300))
		}
	}
}

func (c *composing) activate(ctx context.Context, db *Database) error {
	c.outcome.offered = &gate.OfferedAdvisories{Content: db.Content, UpdatedAt: db.UpdatedAt}
	_, c.outcome.offered.Buckets = db.Manifest.views()
	return c.r.activate(ctx, db, c.active, c.any, strings.Join(c.changed, ", "))
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

// recompose makes the generation in force out of its sources, which other processes or
// repositories have, where no process keeps it itself.
func (r *Refresher) recompose(ctx context.Context, active agree.Activation) error {
	m := manifestOf(active)
	if m.Composition == 0 {
		return errors.New("it was not composed of sources")
	}
	var parts []part
	for _, s := range m.Sources {
		if err := r.obtainSource(ctx, s); err != nil {
			return fmt.Errorf("source %q: %w", s.Name, err)
		}
		parts = append(parts, part{Source: s})
	}
	db, discard, err := r.Manager.copies.composeParts(ctx, parts)
	if err != nil {
		return err
	}
	defer discard()
	if db.join(m.Java); db.Content != active.Content {
		return fmt.Errorf("its sources make %s here and not %s: this process may be of another version: %w", db.Content.Short(), active.Content.Short(), gate.ErrIntegrity)
	}
	_, err = r.Manager.copies.keep(ctx, db)
	return err
}

// obtainSource gets a source of the generation in force from a process that keeps it, or
// by its digest from the repository that it came from.
func (r *Refresher) obtainSource(ctx context.Context, s Source) error {
	if r.Manager.copies.present(s.Digest) {
		return nil
	}
	err := r.fromPeers(ctx, s.Digest, 0)
	if err == nil || !manifestDigest(s.From).Valid() {
		return err
	}
	for _, supplied := range r.supplies() {
		if supplied.Name == s.Name && supplied.Mirrors != nil {
			return r.fromMirror(ctx, supplied.Mirrors, s.Digest, s.From, nil)
		}
	}
	return err
}
