package advisory

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

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
		return fmt.Errorf("its sources make %s here and not %s; this process may have another version: %w", db.Content.Short(), active.Content.Short(), gate.ErrIntegrity)
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
