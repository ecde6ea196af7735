package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

const recordColumns = `digest, version, epoch, body, crc`

// record is a row of records. What is stored as JSON is gate's record without
// its locations, which have rows of their own.
type record struct {
	digest         gate.Digest
	version, epoch int64
	body           store.Body
	damage         error // why the body cannot be read
	history        int64 // number of the entry that goes with a change of it, 0 for none
	forgotten      bool  // it is written as forgotten, see store.Body.Forget
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(d gate.Digest, text string) uint32 {
	return crc32.Update(crc32.Checksum([]byte(d), castagnoli), castagnoli, []byte(text))
}

func scanRecord(row scanner) (record, error) {
	var r record
	var text string
	var crc uint32
	if err := row.Scan(&r.digest, &r.version, &r.epoch, &text, &crc); err != nil {
		return record{}, err
	}
	r.damage = r.decode(text, crc)
	if r.damage != nil {
		r.body = store.Body{}
	}
	r.body.Digest, r.body.Epoch = r.digest, r.epoch
	return r, nil
}

func (r *record) decode(text string, crc uint32) error {
	if crc != checksum(r.digest, text) {
		return errors.New("checksum does not match")
	}
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &r.body); err != nil {
		return err
	}
	if r.body.Digest != r.digest {
		return fmt.Errorf("it is that of %s", gate.Quoted(string(r.body.Digest), 100))
	}
	return nil
}

// shown is the record as gate knows it.
func (r *record) shown() gate.Record {
	out := r.body.Shown()
	out.Version = r.version
	return out
}

// update changes the record of one digest: fn gets it, empty when it is
// unknown or cannot be read, and says whether it changed anything.
func update[T any](ctx context.Context, s *Store, what string, d gate.Digest, fn func(*tx, *record) (T, bool, error)) (T, error) {
	var zero T
	what = fmt.Sprintf("%s %s", what, gate.Printable(string(d), 100))
	if !d.Valid() {
		return zero, fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	return write(ctx, s, what, func(t *tx) (T, error) {
		r, err := t.record(d)
		if err != nil {
			return zero, err
		}
		value, changed, err := fn(t, &r)
		if err != nil {
			if classified(err) {
				err = fmt.Errorf("%s: %w", what, err)
			}
			return zero, err
		}
		if !changed {
			return value, nil
		}
		return value, t.saveRecord(&r)
	})
}

// record reads the record of one digest for a change of it, empty when it is unknown or
// cannot be read.
func (t *tx) record(d gate.Digest) (record, error) {
	r, err := scanRecord(t.row(`SELECT `+recordColumns+` FROM records WHERE digest = ?`, string(d)))
	if errors.Is(err, sql.ErrNoRows) {
		return record{digest: d, body: store.Body{Record: gate.Record{Digest: d}}}, nil
	}
	if err == nil && r.damage != nil {
		t.store.damaged("record", d, r.damage)
	}
	return r, err
}

func (t *tx) saveRecord(r *record) error {
	t.wrote.digests = append(t.wrote.digests, r.digest)
	epoch := r.body.Epoch
	r.body.Forgotten = r.forgotten                             // any other write takes it back
	r.body.Version, r.body.Epoch, r.body.Locations = 0, 0, nil // they have columns and rows of their own
	text, err := json.Marshal(r.body)
	if err != nil {
		return err
	}
	err = t.exec(`INSERT INTO records (digest, version, epoch, body, crc) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (digest) DO UPDATE SET version = ?2, epoch = ?3, body = ?4, crc = ?5`,
		string(r.digest), r.version+1, epoch, string(text), int64(checksum(r.digest, string(text))))
	if err != nil {
		return err
	}
	return t.changeWith(gate.ChangeRecord, string(r.digest), r.history)
}

type none = struct{}

// change is update for the rules of store.Body, which need nothing else.
func change(ctx context.Context, s *Store, what string, d gate.Digest, rule func(*store.Body) (bool, error)) error {
	_, err := update(ctx, s, what, d, func(_ *tx, r *record) (none, bool, error) {
		changed, err := rule(&r.body)
		return none{}, changed, err
	})
	return err
}

// Fence announces a claim.
func (s *Store) Fence(ctx context.Context, d gate.Digest, epoch int64) error {
	return change(ctx, s, "fencing", d, func(b *store.Body) (bool, error) { return b.Fence(epoch) })
}

// PutManifest stores what a manifest is.
func (s *Store) PutManifest(ctx context.Context, m gate.Manifest) error {
	return change(ctx, s, "storing the manifest of", m.Digest, func(b *store.Body) (bool, error) { return b.PutManifest(m) })
}

// PutUnassessable records that an analysis found the digest unassessable.
func (s *Store) PutUnassessable(ctx context.Context, d gate.Digest, epoch int64, reason string) error {
	return change(ctx, s, "recording as unassessable", d, func(b *store.Body) (bool, error) { return b.PutUnassessable(epoch, reason) })
}
