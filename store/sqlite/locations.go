package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

const locationColumns = `digest, registry, repository, seen_at, gone, verdict, gone_at`

func scanLocation(row scanner) (d gate.Digest, l gate.LocationState, verdict string, err error) {
	var seen, gone int64
	err = row.Scan(&d, &l.Registry, &l.Repository, &seen, &l.Gone, &verdict, &gone)
	l.SeenAt, l.GoneAt = timeOf(seen), timeOf(gone)
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
		ON CONFLICT (digest, registry, repository) DO UPDATE SET seen_at = ?4, gone = 0, gone_at = 0`,
		string(d), loc.Registry, loc.Repository, t.now)
}

// MarkGone records that the digest was deleted from loc.
func (s *Store) MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error {
	_, err := update(ctx, s, "marking gone a location of", d, func(t *tx, r *record) (none, bool, error) {
		l, _, found, err := t.location(d, loc)
		if err != nil || !found || l.Gone && !l.GoneAt.IsZero() {
			return none{}, false, err
		}
		return none{}, true, t.exec(`UPDATE locations SET gone = 1, gone_at = ? WHERE digest = ? AND registry = ? AND repository = ?`,
			t.now, string(d), loc.Registry, loc.Repository)
	})
	return err
}

// PutVerdicts stores standing verdicts of known locations.
func (s *Store) PutVerdicts(ctx context.Context, d gate.Digest, basis gate.Basis, verdicts []gate.Verdict) ([]gate.Verdict, error) {
	fresh := make([]string, len(verdicts)) // not in the writer, which everybody waits for
	for i := range verdicts {
		text, err := json.Marshal(verdicts[i].Decision)
		if err != nil {
			return nil, fmt.Errorf("storing verdicts of %s: %w: %w", gate.Printable(string(d), 100), gate.ErrInvalid, err)
		}
		fresh[i] = string(text)
	}
	return keep(ctx, s, "storing verdicts of", d, basis.Version, func(t *tx, r *record, version int64) (replaced []gate.Verdict, n note, err error) {
		if r != nil {
			if err := r.body.Rests(basis); err != nil {
				return nil, n, err
			}
		}
		for i, v := range verdicts {
			_, stored, found, err := t.location(d, v.Location)
			if err != nil {
				return nil, n, err
			}
			old, same := sameVerdict(stored, v.Decision)
			if !found || same {
				continue
			}
			if err := t.exec(`UPDATE locations SET verdict = ? WHERE digest = ? AND registry = ? AND repository = ?`,
				fresh[i], string(d), v.Location.Registry, v.Location.Repository); err != nil {
				return nil, n, err
			}
			replaced = append(replaced, gate.Verdict{Decision: old, Location: v.Location})
			n.tell = n.tell || store.Tells(old, v.Decision)
		}
		entry, err := encodeHistory(store.VerdictHistory(basis, replaced, verdicts))
		if err == nil && entry != nil {
			n.history = version + 1
			err = t.appendHistory(d, n.history, entry)
		}
		return replaced, n, err
	})
}

// note is what the feed is told of a change beside a record.
type note struct {
	tell    bool
	history int64 // number of the entry that was written with it, 0 for none
}

// keep changes what stands beside the record of a digest and leaves its body as it is. fn
// gets the record, or nil when that has still the version that its caller has read, which
// then need not be decoded, and its version; what it returns has changed, and what the feed
// is told. The copies that reviews answer from hold nothing of it, and stay.
func keep[T any](ctx context.Context, s *Store, what string, d gate.Digest, version int64, fn func(*tx, *record, int64) ([]T, note, error)) ([]T, error) {
	what = fmt.Sprintf("%s %s", what, gate.Printable(string(d), 100))
	if !d.Valid() {
		return nil, fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	return write(ctx, s, what, func(t *tx) ([]T, error) {
		var now int64
		err := t.row(`SELECT version FROM records WHERE digest = ?`, string(d)).Scan(&now)
		known := err == nil
		var r *record
		if err == nil && (version == 0 || now != version) || errors.Is(err, sql.ErrNoRows) {
			var whole record
			whole, err = t.record(d)
			r = &whole
		}
		if err != nil {
			return nil, err
		}
		changed, told, err := fn(t, r, now)
		switch {
		case err != nil && classified(err):
			return nil, fmt.Errorf("%s: %w", what, err)
		case err != nil || len(changed) == 0:
			return nil, err
		case !known || r != nil && r.damage != nil: // there is no body to leave
			r.history = told.history
			return changed, t.saveRecord(r)
		}
		if err := t.exec(`UPDATE records SET version = version + 1 WHERE digest = ?`, string(d)); err != nil || !told.tell {
			return changed, err
		}
		return changed, t.changeWith(gate.ChangeRecord, string(d), told.history)
	})
}

// sameVerdict reports whether a stored verdict, "" for none, differs from a new one by
// its time at most. One that cannot be read counts as none.
func sameVerdict(stored string, fresh gate.Decision) (old gate.Decision, same bool) {
	if stored == "" || json.Unmarshal([]byte(stored), &old) != nil {
		return gate.Decision{}, false
	}
	return old, old.Same(fresh)
}
