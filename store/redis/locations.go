package redis

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// field is where a location stands in the hash of its digest; neither part holds
// a newline.
func field(loc gate.Location) string { return loc.Registry + "\n" + loc.Repository }

// placeOf is what the MAC of a location covers: its key and its field.
func (s *Store) placeOf(d gate.Digest, field string) string {
	return s.keys.locations(d) + "\n" + field
}

func (s *Store) sealLocation(d gate.Digest, field string, l gate.LocationState, stamp int64) (string, error) {
	body, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	return s.seals.seal(s.placeOf(d, field), sealed{Stamp: stamp, Body: body})
}

// location reads a stored location; ok is false when there is none to believe.
func (s *Store) location(d gate.Digest, field, stored string, mark int64) (l gate.LocationState, ok bool) {
	if stored == "" {
		return l, false
	}
	v, err := s.seals.believe(s.placeOf(d, field), stored, mark)
	if err == nil {
		err = json.Unmarshal(v.Body, &l)
	}
	if err != nil {
		s.suspectType(s.keys.locations(d), stored)
		s.reject("location", string(d), err)
		return gate.LocationState{}, false
	}
	return l, true
}

// locationsOf reads a whole hash, given as field, value…, in the order of
// registry and repository.
func (s *Store) locationsOf(d gate.Digest, stored []any, mark int64) []gate.LocationState {
	var list []gate.LocationState
	for i := 0; i+1 < len(stored); i += 2 {
		at := text(stored, i)
		if l, ok := s.location(d, at, text(stored, i+1), mark); ok {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b gate.LocationState) int { return strings.Compare(field(a.Location), field(b.Location)) })
	return list
}

// AddLocation records that the digest was seen at loc.
func (s *Store) AddLocation(ctx context.Context, d gate.Digest, loc gate.Location) (added bool, err error) {
	at := field(loc)
	err = s.update(ctx, "adding a location of", d, []string{at}, func(r *record, known map[string]gate.LocationState) (*change, error) {
		if err := store.CheckLocation(loc); err != nil {
			return nil, err
		}
		_, found := known[at]
		added = !found
		return seenAt(known, loc, r.now), nil
	})
	return added && err == nil, err
}

// seenAt is the change that says that a digest was seen at loc just now, nil when that is
// written.
func seenAt(known map[string]gate.LocationState, loc gate.Location, now time.Time) *change {
	at := field(loc)
	l, found := known[at]
	if found && !l.Gone && now.Sub(l.SeenAt) < store.SeenPrecision {
		return nil
	}
	l.Location, l.SeenAt, l.Gone, l.GoneAt = loc, now, false, time.Time{}
	return &change{locations: map[string]gate.LocationState{at: l}}
}

// MarkGone records that the digest was deleted from loc.
func (s *Store) MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error {
	at := field(loc)
	return s.update(ctx, "marking gone a location of", d, []string{at}, func(r *record, known map[string]gate.LocationState) (*change, error) {
		l, found := known[at]
		if !found || l.Gone && !l.GoneAt.IsZero() {
			return nil, nil
		}
		l.Gone, l.GoneAt = true, r.now
		return &change{locations: map[string]gate.LocationState{at: l}}, nil
	})
}

// PutVerdicts stores standing verdicts of known locations.
func (s *Store) PutVerdicts(ctx context.Context, d gate.Digest, basis gate.Basis, verdicts []gate.Verdict) (replaced []gate.Verdict, err error) {
	fields := make([]string, len(verdicts))
	for i, v := range verdicts {
		fields[i] = field(v.Location)
	}
	err = s.updateAt(ctx, "storing verdicts of", d, basis.Version, fields, func(r *record, known map[string]gate.LocationState) (*change, error) {
		replaced = nil
		if r.same == nil {
			if err := r.Rests(basis); err != nil {
				return nil, err
			}
		}
		fresh, quiet := map[string]gate.LocationState{}, r.text != ""
		for i, v := range verdicts {
			l, found := known[fields[i]]
			if found && !l.Verdict.Same(v.Decision) {
				quiet = quiet && !store.Tells(l.Verdict, v.Decision)
				replaced = append(replaced, gate.Verdict{Decision: l.Verdict, Location: v.Location})
				l.Verdict = v.Decision
				fresh[fields[i]] = l
			}
		}
		if len(fresh) == 0 {
			return nil, nil
		}
		out := &change{locations: fresh, quiet: quiet}
		if c := store.VerdictHistory(basis, replaced, verdicts); c != nil {
			var err error
			if out.entry, err = store.EncodeHistory(c); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	return replaced, nil
}
