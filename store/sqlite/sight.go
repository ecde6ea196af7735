package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Sight records what was found of a digest, all of it in one commit.
func (s *Store) Sight(ctx context.Context, found gate.Sighting) (gate.Sighted, error) {
	what := fmt.Sprintf("recording %s at %s", gate.Printable(string(found.Digest), 100), gate.Quoted(found.Location.String(), 200))
	if err := store.CheckSighting(found); err != nil {
		return gate.Sighted{}, fmt.Errorf("%s: %w", what, err)
	}
	return write(ctx, s, what, func(t *tx) (gate.Sighted, error) {
		out, err := t.sight(found)
		if errors.Is(err, gate.ErrBusy) {
			err = fmt.Errorf("%s: queueing the %s job of %s: %w", what, found.Request.Kind, gate.Quoted(found.Request.Key(), 300), err)
		}
		return out, err
	})
}

func (t *tx) sight(found gate.Sighting) (out gate.Sighted, err error) {
	r, err := t.record(found.Digest)
	if err != nil {
		return out, err
	}
	changed := false
	out.Forgotten = r.body.Forgotten
	if found.Manifest != nil {
		if changed, err = r.body.PutManifest(*found.Manifest); err != nil {
			return out, err
		}
	}
	_, located, err := t.addLocation(found.Digest, found.Location)
	if err != nil {
		return out, err
	}
	if changed || located {
		if err := t.saveRecord(&r); err != nil {
			return out, err
		}
	}
	for i, tag := range found.Tags {
		m, err := t.putTag(found.Key(i), found.Digest, tag.ReadAt, tag.Host)
		if err != nil {
			return out, err
		}
		out.Tags = append(out.Tags, m)
	}
	if found.Request == nil {
		return out, nil
	}
	j, outcome, err := t.enqueue(*found.Request)
	if err != nil {
		return out, err
	}
	out.Job, out.Outcome = j.Job, outcome
	return out, nil
}
