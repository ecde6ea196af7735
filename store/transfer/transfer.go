// Package transfer copies everything from one store to another and compares the
// two afterwards.
//
// A copy notes in the target where it stands. While it is not finished no server starts
// on the target: each calls [Refuse] first. After an interruption it continues where it
// stopped when it is run again; when the source has changed meanwhile it starts from
// the beginning, which costs time and harms nothing.
//
// It takes no lock: the source's servers must be stopped. That they were is seen
// afterwards, when the source's feed has not moved.
package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/store"
)

// Source is a store that is copied.
type Source interface {
	store.Exporter
	// Now is the store's clock. An error ends the copy, which continues when it is
	// started again.
	Now(ctx context.Context) (time.Time, error)
}

// Target is a store that is copied to.
type Target interface {
	Source
	store.Importer
	store.Settings
}

// progress is the value of the target's gate.SettingCopyProgress.
type progress struct {
	Source   string        `json:"source"`
	Position int64         `json:"position"` // of the source when the copy began
	Section  store.Section `json:"section"`
	After    string        `json:"after"` // the last name that is in the target
	Begun    time.Time     `json:"begun"`
	Finished time.Time     `json:"finished,omitzero"`
}

// Refuse returns gate.ErrConflict, with a sentence for the operator, when a copy to the
// store is not finished.
func Refuse(ctx context.Context, s store.Settings) error {
	p, _, err := load(ctx, s)
	if err != nil || p == nil || !p.Finished.IsZero() {
		return err
	}
	return fmt.Errorf("the copy of %q to this store, begun at %s, is not finished: run the same digestgate store copy again, it continues where it stopped: %w",
		p.Source, p.Begun.Format(time.RFC3339), gate.ErrConflict)
}

func load(ctx context.Context, s store.Settings) (*progress, int64, error) {
	value, version, err := s.Setting(ctx, agree.SettingCopyProgress)
	if errors.Is(err, gate.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	p := new(progress)
	if err := json.Unmarshal(value, p); err != nil {
		return nil, 0, fmt.Errorf("reading where the copy stands: %w: %w", gate.ErrInvalid, err)
	}
	return p, version, nil
}

// Copy is one copy.
type Copy struct {
	From Source
	To   Target
	// Name tells people and a later run which store the source is.
	Name string
	// Skip says why a setting is left out, "" for one that is copied; nil copies
	// all.
	Skip func(ctx context.Context, p store.Piece) string
	Log  *slog.Logger

	version int64 // of gate.SettingCopyProgress
}

// Counts are numbers of pieces by section.
type Counts map[store.Section]int

// Result is what a copy came to.
type Result struct {
	Seen     Counts `json:"read"` // by this run
	Written  Counts `json:"written"`
	Compared Counts `json:"compared"`
	// Differences are those found by the comparison, at most MaxDifferences.
	Differences []string `json:"differences"`
	More        int      `json:"more"` // beyond them
}

// MaxDifferences bounds what is listed.
const MaxDifferences = 20

const (
	// maxSkew is how far the clocks of the stores may be apart: the times of
	// tags are compared with that of the target.
	maxSkew = time.Minute
	// batch is how many pieces are imported between two notes of progress.
	batch = 100
	// importers work at once: a store commits in groups.
	importers = 16
)

// Run copies what is not in the target, marks it as finished and compares. Errors are
// those of the stores, and gate.ErrConflict when the target must not be copied to or
// the source is in use. Differences are not an error but an unfinished copy.
func (c *Copy) Run(ctx context.Context) (Result, error) {
	r := Result{Seen: Counts{}, Written: Counts{}, Compared: Counts{}, Differences: []string{}}
	p, err := c.begin(ctx)
	if err != nil {
		return r, err
	}
	if !p.Finished.IsZero() {
		c.Log.Info("the copy was finished before, comparing only", "finished", p.Finished)
		return r, c.compare(ctx, &r)
	}
	sections := store.Sections()
	for _, section := range sections[max(slices.Index(sections, p.Section), 0):] {
		if err := c.section(ctx, section, p, &r); err != nil {
			return r, err
		}
	}
	if err := c.compare(ctx, &r); err != nil {
		return r, err
	}
	now, err := c.From.Position(ctx)
	if err != nil {
		return r, err
	}
	if now != p.Position {
		return r, fmt.Errorf("the source has changed while it was copied: stop every server that uses it and run this again: %w", gate.ErrConflict)
	}
	if len(r.Differences) > 0 {
		p.Section, p.After = "", "" // the next run starts from the beginning
		return r, c.note(ctx, p)
	}
	p.Finished, err = c.To.Now(ctx)
	if err == nil {
		err = c.note(ctx, p)
	}
	return r, err
}

// begin finds out where to continue.
func (c *Copy) begin(ctx context.Context) (*progress, error) {
	from, err := c.From.Now(ctx)
	if err != nil {
		return nil, err
	}
	to, err := c.To.Now(ctx)
	if err != nil {
		return nil, err
	}
	if skew := to.Sub(from).Abs(); skew > maxSkew {
		return nil, fmt.Errorf("the clocks of the stores are %s apart, set them first: %w", skew.Round(time.Second), gate.ErrConflict)
	}
	position, err := c.From.Position(ctx)
	if err != nil {
		return nil, err
	}
	p, version, err := load(ctx, c.To)
	if err != nil {
		return nil, err
	}
	c.version = version
	switch {
	case p == nil:
		if err := c.empty(ctx); err != nil {
			return nil, err
		}
	case p.Source != c.Name:
		return nil, fmt.Errorf("the target holds a copy of %q already; copy into an empty store (another prefix): %w", p.Source, gate.ErrConflict)
	case !p.Finished.IsZero():
		return p, nil
	case p.Position == position:
		c.Log.Info("the copy continues", "section", p.Section, "cursor", p.After)
		return p, nil
	default:
		c.Log.Info("the source has changed since, the copy starts from the beginning")
	}
	p = &progress{Source: c.Name, Position: position, Begun: to}
	return p, c.note(ctx, p)
}

// empty refuses a target that holds anything.
func (c *Copy) empty(ctx context.Context) error {
	for _, section := range store.Sections() {
		err := c.To.Export(ctx, section, "", func(p store.Piece) error {
			return fmt.Errorf("the target is not empty, it has %s %s: copy into an empty store (another prefix): %w",
				section, gate.Quoted(p.Name, 100), gate.ErrConflict)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Copy) note(ctx context.Context, p *progress) error {
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if c.version, err = c.To.PutSetting(ctx, agree.SettingCopyProgress, value, c.version); err != nil {
		return fmt.Errorf("noting where the copy stands (is another one running?): %w", err)
	}
	return nil
}

// section copies one section from where it stands.
func (c *Copy) section(ctx context.Context, section store.Section, p *progress, r *Result) error {
	if p.Section != section {
		p.Section, p.After = section, ""
	}
	var pieces []store.Piece
	flush := func() error {
		written, err := c.put(ctx, pieces)
		if err != nil || len(pieces) == 0 {
			return err
		}
		r.Seen[section] += len(pieces)
		r.Written[section] += written
		p.After = pieces[len(pieces)-1].Name
		pieces = pieces[:0]
		return c.note(ctx, p)
	}
	err := c.From.Export(ctx, section, p.After, func(piece store.Piece) error {
		if why := c.left(ctx, piece); why != "" {
			c.Log.Info("left out", "section", section, "name", piece.Name, "reason", why)
			return nil
		}
		if pieces = append(pieces, piece); len(pieces) < batch {
			return nil
		}
		if err := flush(); err != nil {
			return err
		}
		c.Log.Info("copying", "section", section, "copied", r.Seen[section])
		return nil
	})
	if err == nil {
		err = flush()
	}
	return err
}

// left says why a piece is no part of the copy.
func (c *Copy) left(ctx context.Context, p store.Piece) string {
	switch {
	case p.Section == store.SectionSettings && strings.HasPrefix(p.Name, agree.SettingsOfCopies):
		return "it is about an earlier copy"
	case p.Section == store.SectionSettings && c.Skip != nil:
		return c.Skip(ctx, p)
	}
	return ""
}

func (c *Copy) put(ctx context.Context, pieces []store.Piece) (int, error) {
	written := make([]bool, len(pieces))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(importers)
	for i, piece := range pieces {
		g.Go(func() (err error) {
			written[i], err = c.To.Import(ctx, piece)
			return err
		})
	}
	err := g.Wait()
	return len(slices.DeleteFunc(written, func(w bool) bool { return !w })), err
}
