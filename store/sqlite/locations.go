package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

const locationColumns = `digest, registry, repository, seen_at, gone, verdict`

func scanLocation(row scanner) (d gate.Digest, l gate.LocationState, verdict string, err error) {
	var seen int64
	err = row.Scan(&d, &l.Registry, &l.Repository, &seen, &l.Gone, &verdict)
	l.SeenAt = timeOf(seen)
	return d, l, verdict, err
}

func (t *tx) location(d gate.Digest, loc gate.Location) (l gate.LocationState, verdict string, found bool, err error) {
	_, l, verdict, err = scanLocation(t.row(`SELECT `+locationColumns+` FROM locations WHERE digest = ? AND registry = ? AND repository = ?`,
		string(d), loc.Registry, loc.Repository))
	if errors.Is(err, sql.ErrNoRows) {
		return l, "", false, nil
	}
	return l, verdict, err == nil, err
}

// AddLocation records that the digest was seen at loc.
func (s *Store) AddLocation(ctx context.Context, d gate.Digest, loc gate.Location) (bool, error) {
	return update(ctx, s, "adding a location of", d, func(t *tx, r *record) (added, changed bool, err error) {
		if err := store.CheckLocation(loc); err != nil {
			return false, false, err
		}
		return t.addLocation(d, loc)
	})
}

// addLocation writes that the digest was seen at loc just now, unless that is written.
func (t *tx) addLocation(d gate.Digest, loc gate.Location) (added, changed bool, err error) {
	l, _, found, err := t.location(d, loc)
	if err != nil {
		return false, false, err
	}
	if found && !l.Gone && t.now-nanos(l.SeenAt) < int64(store.SeenPrecision) {
		return false, false, nil
	}
	return !found, true, t.exec(`INSERT INTO locations (digest, registry, repository, seen_at, gone, verdict) VALUES (?1, ?2, ?3, ?4, 0, '')
		ON CONFLICT (digest, registry, repository) DO UPDATE SET seen_at = ?4, gone = 0`,
		string(d), loc.Registry, loc.Repository, t.now)
}

// MarkGone records that the digest was deleted from loc.
func (s *Store) MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error {
	_, err := update(ctx, s, "marking gone a location of", d, func(t *tx, r *record) (none, bool, error) {
		l, _, found, err := t.location(d, loc)
		if err != nil || !found || l.Gone {
			return none{}, false, err
		}
		return none{}, true, t.exec(`UPDATE locations SET gone = 1 WHERE digest = ? AND registry = ? AND repository = ?`,
			string(d), loc.Registry, loc.Repository)
	})
	return err
}

// PutVerdicts stores standing verdicts of known locations.
func (s *Store) PutVerdicts(ctx context.Context, d gate.Digest, basis gate.Basis, verdicts []gate.Verdict) ([]gate.Verdict, error) {
	return update(ctx, s, "storing verdicts of", d, func(t *tx, r *record) (replaced []gate.Verdict, changed bool, err error) {
		if err := r.body.Rests(basis); err != nil {
			return nil, false, err
		}
		for _, v := range verdicts {
			_, stored, found, err := t.location(d, v.Location)
			if err != nil {
				return nil, false, err
			}
			old, same := sameVerdict(stored, v.Decision)
			if !found || same {
				continue
			}
			text, err := json.Marshal(v.Decision)
			if err != nil {
				return nil, false, err
			}
			if err := t.exec(`UPDATE locations SET verdict = ? WHERE digest = ? AND registry = ? AND repository = ?`,
				string(text), string(d), v.Location.Registry, v.Location.Repository); err != nil {
				return nil, false, err
			}
			replaced = append(replaced, gate.Verdict{Decision: old, Location: v.Location})
		}
		return replaced, len(replaced) > 0, nil
	})
}

// sameVerdict reports whether a stored verdict, "" for none, differs from a new one by
// its time at most. One that cannot be read counts as none.
func sameVerdict(stored string, fresh gate.Decision) (old gate.Decision, same bool) {
	if stored == "" || json.Unmarshal([]byte(stored), &old) != nil {
		return gate.Decision{}, false
	}
	return old, store.SameVerdict(old, fresh)
}
