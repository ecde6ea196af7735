package advisory

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// BuildOptions says what a database is built from. See docs/advisories.md for
// the formats of the sources.
type BuildOptions struct {
	// From holds the sources; every .json, .yaml, .yml and .xml file in it is read, also
	// packed (.gz, .xz, .zst, .bz2), its format is recognised by its content, and a file
	// of no known format ends the build. Other files are ignored.
	From fs.FS
	// Out is the directory to make. An existing one is replaced only if it
	// holds nothing but a database.
	Out string
	// UpdatedAt is the time of the data, not in the future. Zero means what the
	// sources state (see docs/advisories.md), and [gate.UnknownTime] when one of
	// them states nothing. The times of files do not count: a copy of old
	// sources is old data.
	UpdatedAt time.Time
	// FetchedAt is when the sources were fetched: the time of the data where UpdatedAt is
	// zero and one of them states nothing.
	FetchedAt time.Time
	// Now is the clock that bounds UpdatedAt; nil means time.Now.
	Now func() time.Time
}

// BuildResult counts what was built.
type BuildResult struct {
	Database
	Files int // read
	// Skipped counts what was left out, by reason: withdrawn entries,
	// ecosystems that Trivy's detectors do not know.
	Skipped map[string]int
	// LeftOut is what could not be understood, by file and bucket, and left out: each may
	// be a vulnerability that is not found.
	LeftOut []LeftOut
	// Undated says which sources state no time; "" when the time of the data is
	// known.
	Undated string
}

// Build makes an advisory database in Trivy's format from sources. The result
// is complete or not there: it is written beside Out, checked by reading it
// back, and renamed. The same sources give the same bytes.
//
// Errors wrap gate.ErrInvalid and name file and field; nothing that cannot be
// understood is skipped silently, because a missing advisory reads as a clean
// image. gate.ErrResource: the disk is full.
func Build(ctx context.Context, o BuildOptions) (BuildResult, error) {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	if o.UpdatedAt.After(now().Add(gate.ClockSkew)) {
		return BuildResult{}, fmt.Errorf("building advisory database: the time of the data is given as %s, which is in the future (it is %s now): %w",
			o.UpdatedAt.UTC().Format(time.RFC3339), now().UTC().Format(time.RFC3339), gate.ErrInvalid)
	}
	c := newCollection(now())
	if err := c.readAll(ctx, o.From); err != nil {
		return BuildResult{}, err
	}
	c.settleAll()
	c.uniteLanguages()
	c.uniteLanguages()
	if len(c.buckets) == 0 {
		return BuildResult{}, fmt.Errorf("building advisory database: the %d files of the source hold no advisories: %w", c.files, gate.ErrInvalid)
	}
	updatedAt, undated := o.UpdatedAt, ""
	if updatedAt.IsZero() {
		var known bool
		if updatedAt, known = c.ages.oldest(); !known && !o.FetchedAt.IsZero() {
			updatedAt = o.FetchedAt
		} else if !known {
			updatedAt, undated = gate.UnknownTime(), c.ages.why()
		}
	}
	if updatedAt.After(now()) {
		updatedAt = now()
	}
	db, err := c.publish(ctx, o.Out, updatedAt.UTC().Truncate(time.Second), now())
	if err != nil {
		return BuildResult{}, err
	}
	return BuildResult{Database: *db, Files: c.files, Skipped: c.skipped, LeftOut: c.allLeftOut(), Undated: undated}, nil
}

// publish writes, checks and renames.
func (c *collection) publish(ctx context.Context, out string, updatedAt, now time.Time) (*Database, error) {
	return publishAt(out, func(tmp string) (*Database, error) {
		if err := c.write(ctx, tmp, updatedAt); err != nil {
			return nil, err
		}
		db, err := Inspect(ctx, tmp, now)
		if err != nil {
			return nil, fmt.Errorf("reading back what was built: %w", err)
		}
		return db, nil
	})
}
