package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// record is the record of one digest on its way from and to the server.
type record struct {
	store.Body
	text string // as read, "" for none
	// same is the body as it is stored, of a record that its writer has read before and
	// leaves as it is; the Body then has version and epoch only. Otherwise nil.
	same  json.RawMessage
	stamp int64
	now   time.Time
}

// change is what a rule wants written.
type change struct {
	value     string // a large value, "" for none
	valueKey  string
	locations map[string]gate.LocationState // by field
	quiet     bool                          // the feed is told nothing
	entry     []byte                        // of the history, nil for none
	forget    bool                          // all but the record is removed, see store.Body.Forget
}

// update changes the record of one digest by compare and set: rule gets it, empty
// when it is unknown or not believed, with the location of loc if that is not
// nil, and says what to write (nil: nothing). It may run more than once.
func (s *Store) update(ctx context.Context, what string, d gate.Digest, fields []string,
	rule func(r *record, known map[string]gate.LocationState) (*change, error)) error {
	return s.updateAt(ctx, what, d, 0, fields, rule)
}

// updateAt is update for a caller that has read the record at a version, unless that is 0,
// and leaves its body as it is: see record.same.
func (s *Store) updateAt(ctx context.Context, what string, d gate.Digest, version int64, fields []string,
	rule func(r *record, known map[string]gate.LocationState) (*change, error)) error {
	what = fmt.Sprintf("%s %s", what, gate.Printable(string(d), 100))
	if !d.Valid() {
		return fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	return s.compete(ctx, what, s.keys.record(d), func() (bool, error) {
		r, known, err := s.fetch(ctx, d, version, fields)
		if err != nil {
			return false, s.failedIn(ctx, what, err)
		}
		c, err := rule(r, known)
		if err != nil {
			return false, fmt.Errorf("%s: %w", what, err)
		}
		if c == nil {
			return true, nil
		}
		written, err := s.put(ctx, r, c)
		if err != nil {
			return false, s.failedIn(ctx, what, err)
		}
		if written && !c.quiet {
			s.changedHere()
		}
		return written, nil
	})
}

// fetch reads a record for a change of it, and the locations of fields. version is that of
// [Store.updateAt].
func (s *Store) fetch(ctx context.Context, d gate.Digest, version int64, fields []string) (*record, map[string]gate.LocationState, error) {
	mark := s.seals.mark()
	names, argv := s.timedRecord(d, fields)
	answer, err := scriptTime.Run(ctx, s.client, names, argv...).Slice()
	if err != nil {
		return nil, nil, err
	}
	return s.fetched(d, version, fields, answer, mark)
}

// timedRecord is what time.lua is given for a record and the locations of fields.
func (s *Store) timedRecord(d gate.Digest, fields []string) (names []string, argv []any) {
	for _, f := range fields {
		argv = append(argv, f)
	}
	return []string{s.keys.record(d), s.keys.locations(d)}, argv
}

// fetched reads what time.lua has answered for a record; version is that of
// [Store.updateAt].
func (s *Store) fetched(d gate.Digest, version int64, fields []string, answer []any, mark int64) (*record, map[string]gate.LocationState, error) {
	var err error
	r := &record{text: text(answer, 1)}
	if r.now, err = s.clockOf(text(answer, 0)); err != nil {
		return nil, nil, err
	}
	if r.sameAs(s.seals, s.keys.record(d), version, mark); r.same == nil {
		r.Body, r.stamp = s.believed(d, r.text, mark)
	}
	r.Digest = d
	known := map[string]gate.LocationState{}
	for i, field := range fields {
		if l, ok := s.location(d, field, text(answer, i+2), mark); ok {
			known[field] = l
		}
	}
	return r, known, nil
}

// sameAs takes a believed record of a version for the one that its writer has read, without
// decoding it. The signature covers the version with the body.
func (r *record) sameAs(seals *seals, place string, version, mark int64) {
	if version == 0 || r.text == "" {
		return
	}
	v, err := seals.believe(place, r.text, mark)
	if err != nil || v.Version != version {
		return // whatever it is, it is looked at
	}
	r.same, r.stamp, r.Version, r.Epoch = v.Body, v.Stamp, v.Version, v.Epoch
}

// clockOf is the time that a script answered, or that of a test's clock.
func (s *Store) clockOf(micros string) (time.Time, error) {
	if s.options.Clock != nil {
		return s.options.Clock().UTC().Round(0).Truncate(time.Microsecond), nil
	}
	n, err := strconv.ParseInt(micros, 10, 64)
	return time.UnixMicro(n).UTC(), err
}

// believed reads a stored record. One that is not signed by us, is older than
// one that this process has seen, or cannot be read, is told to the operator and
// counts as absent; the next write of it repairs it.
func (s *Store) believed(d gate.Digest, stored string, mark int64) (store.Body, int64) {
	if stored == "" {
		return store.Body{}, 0
	}
	place := s.keys.record(d)
	v, err := s.seals.believe(place, stored, mark)
	var body store.Body
	if err == nil {
		err = json.Unmarshal(v.Body, &body)
	}
	if err == nil && body.Digest != d {
		err = fmt.Errorf("it is that of %s", gate.Quoted(string(body.Digest), 100))
	}
	if err != nil {
		s.suspectType(place, stored)
		s.reject("record", string(d), err)
		if errors.Is(err, errReplay) {
			s.mend.ask(d)
			// Signed once, so that no claim before it may write.
			return store.Body{Record: gate.Record{Epoch: v.Epoch}}, v.Stamp
		}
		return store.Body{}, v.Stamp
	}
	body.Version, body.Epoch = v.Version, v.Epoch
	return body, v.Stamp
}

// put writes a changed record with what goes with it, and tells the feed. It
// reports false when another write was faster.
func (s *Store) put(ctx context.Context, r *record, c *change) (bool, error) {
	d := r.Digest
	place := s.keys.record(d)
	v := sealed{Version: r.Version + 1, Epoch: r.Epoch, Stamp: s.seals.next(place, r.stamp, r.now)}
	if r.same == nil {
		r.Forgotten = c.forget // any other write takes it back
	}
	var err error
	if v.Body, err = r.stored(); err != nil {
		return false, err
	}
	fresh, err := s.seals.seal(place, v)
	if err != nil {
		return false, err
	}
	if c.forget {
		return s.wipe(ctx, r, fresh, v.Stamp)
	}
	names := []string{place, s.keys.locations(d), place, s.keys.history(d)}
	if c.value != "" {
		names[2] = c.valueKey
	}
	number, entry, history := "", "", int64(0)
	if c.entry != nil {
		history = v.Version
		number, entry = s.sealEntry(d, store.HistoryPiece{Number: history, At: r.now, Data: c.entry})
	}
	argv := []any{r.text, fresh, c.value, number, entry, store.MaxHistory, micros(store.HistoryKept(r.now, s.options.HistoryRetention))}
	for field, l := range c.locations {
		stored, err := s.sealLocation(d, field, l, v.Stamp)
		if err != nil {
			return false, err
		}
		argv = append(argv, field, stored)
	}
	written, err := s.write(ctx, scriptRecord, names, argv, c.quiet, args{"changes": [][]any{{changeCode(gate.ChangeRecord), string(d), history}}, "fresh": r.text == ""})
	if written {
		s.seals.wrote(place, v.Stamp)
		for field := range c.locations {
			s.seals.wrote(s.placeOf(d, field), v.Stamp)
		}
	}
	return written, err
}

// stored is the body as it is written.
func (r *record) stored() (json.RawMessage, error) {
	if r.same != nil {
		return r.same, nil
	}
	body := r.Body
	body.Version, body.Epoch, body.Locations = 0, 0, nil // they have places of their own
	return json.Marshal(body)
}

// write runs a script that compares and sets, and then tells the feed, as tell.lua
// takes it, unless it is quiet. On one
// server both go in one round trip, in this order; the nodes of a cluster are
// asked one after the other, because a reader of the feed must find what it is
// told of.
func (s *Store) write(ctx context.Context, set *redis.Script, names []string, argv []any, quiet bool, told args) (bool, error) {
	if quiet {
		n, err := set.Run(ctx, s.client, names, argv...).Int()
		return n == 1, err
	}
	packed, err := s.pack(told)
	if err != nil {
		return false, err
	}
	tell := func(p redis.Scripter) *redis.Cmd {
		return scriptTell.EvalSha(ctx, p, []string{s.keys.clock()}, packed)
	}
	if !s.cluster {
		var wrote *redis.Cmd
		err := each(ctx, s.client, func(p redis.Pipeliner) { wrote = set.EvalSha(ctx, p, names, argv...); tell(p) }, set, scriptTell)
		if err != nil {
			return false, err
		}
		n, err := wrote.Int()
		return n == 1, err
	}
	n, err := set.Run(ctx, s.client, names, argv...).Int()
	if err != nil || n == 0 {
		return false, err
	}
	if err := s.tell(ctx, packed); err != nil {
		s.untold.add(packed) // what repeats this write finds nothing to change, and nothing to tell
		return true, err
	}
	return true, nil
}

// body is update for the rules of store.Body, which need nothing else.
func (s *Store) body(ctx context.Context, what string, d gate.Digest, rule func(*store.Body) (bool, error)) error {
	return s.update(ctx, what, d, nil, func(r *record, _ map[string]gate.LocationState) (*change, error) {
		if changed, err := rule(&r.Body); err != nil || !changed {
			return nil, err
		}
		return &change{}, nil
	})
}

// Fence announces a claim.
func (s *Store) Fence(ctx context.Context, d gate.Digest, epoch int64) error {
	return s.body(ctx, "fencing", d, func(b *store.Body) (bool, error) { return b.Fence(epoch) })
}

// PutManifest stores what a manifest is.
func (s *Store) PutManifest(ctx context.Context, m gate.Manifest) error {
	return s.body(ctx, "storing the manifest of", m.Digest, func(b *store.Body) (bool, error) { return b.PutManifest(m) })
}

// PutUnassessable records that an analysis found the digest unassessable.
func (s *Store) PutUnassessable(ctx context.Context, d gate.Digest, epoch int64, reason string) error {
	return s.body(ctx, "recording as unassessable", d, func(b *store.Body) (bool, error) { return b.PutUnassessable(epoch, reason) })
}
