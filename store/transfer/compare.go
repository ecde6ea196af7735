package transfer

import (
	"context"
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// compare walks through both stores in the order of their names, as one does
// through two sorted lists.
func (c *Copy) compare(ctx context.Context, r *Result) error {
	for _, section := range store.Sections() {
		if err := c.compareSection(ctx, section, r); err != nil {
			return fmt.Errorf("comparing %s: %w", section, err)
		}
		c.Log.Info("compared", "section", section, "count", r.Compared[section])
	}
	return nil
}

// found are the pieces of a store as they come.
type found struct {
	piece store.Piece
	err   error
}

// pieces reads a section in the background, a few pieces ahead.
func (c *Copy) pieces(ctx context.Context, from store.Exporter, section store.Section) <-chan found {
	out := make(chan found, 8)
	send := func(f found) error {
		select {
		case out <- f:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	go func() {
		defer close(out)
		err := from.Export(ctx, section, "", func(p store.Piece) error {
			if c.left(ctx, p) != "" {
				return nil
			}
			return send(found{piece: p})
		})
		if err != nil {
			_ = send(found{err: err}) // nobody reads any more when it fails
		}
	}()
	return out
}

func (c *Copy) compareSection(ctx context.Context, section store.Section, r *Result) error {
	ctx, cancel := context.WithCancel(ctx)
	from, to := c.pieces(ctx, c.From, section), c.pieces(ctx, c.To, section)
	defer func() {
		cancel()
		for range from { // until both have ended
		}
		for range to {
		}
	}()
	a, moreA := <-from
	b, moreB := <-to
	for moreA || moreB {
		if a.err != nil || b.err != nil {
			return fmt.Errorf("reading on: %w", firstOf(a.err, b.err))
		}
		switch {
		case !moreB || (moreA && a.piece.Name < b.piece.Name):
			r.differ(section, a.piece.Name, "it is missing in the target")
			a, moreA = <-from
		case !moreA || b.piece.Name < a.piece.Name:
			r.differ(section, b.piece.Name, "only the target has it")
			b, moreB = <-to
		default:
			r.Compared[section]++
			if fields := store.Differences(a.piece, b.piece); len(fields) > 0 {
				r.differ(section, a.piece.Name, "they differ in "+strings.Join(fields, ", "))
			}
			a, moreA = <-from
			b, moreB = <-to
		}
	}
	return ctx.Err()
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Result) differ(section store.Section, name, how string) {
	if len(r.Differences) == MaxDifferences {
		r.More++
		return
	}
	r.Differences = append(r.Differences, fmt.Sprintf("%s %s: %s", section, gate.Printable(name, 200), how))
}
